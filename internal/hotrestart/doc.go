// Package hotrestart hands the listening sockets and the state of a process to
// a fresh one, and takes everything back when anything goes wrong on the way.
// It knows nothing of what is served.
//
// The invariant: at every moment at least one of the two processes accepts, or
// waits for nothing but its own SIGCONT; both may, because they share the
// sockets and with them the queues of the kernel, so that no connection that
// waits there is lost whoever dies. Until the new process is told START the old
// one can take back everything by killing it, and does so at each mistake.
//
//	old process: Hand                               new process: Inherited, Heir
//
//	check       the program judges the configuration
//	spawn       a brother of this process, with a socket
//	greet       HELLO     versions, nonce   -->
//	                                        <--     WELCOME   the version
//	sockets     LISTENERS keys, descriptors -->
//	                                        <--     ACK       each of these frames
//	            LINKS     to older ones     -->
//	state       STATE     one section       -->
//	            COMPLETE                    -->     Inherited returns
//	prepare                                 <--     PROGRESS  each second
//	                                        <--     PREPARED  the plan
//	start       START                       -->     Prepared returns
//	                                        <--     SERVING
//	Hand returns: stop accepting            <->     MESSAGE   as long as both live
//
// What becomes of it when a process is killed (K) or stopped (S, and goes on
// after any time) at a point of this:
//
//	                       old process                  new process
//	before START is sent   K: the new one ends          K: the end of the socket is
//	                       with ErrOrphaned             seen, the old one goes on
//	                       S: the new one waits, ends   S: its time is over, it is
//	                       after 80 s; the old one      killed, the old one goes on
//	                       finds its time over and
//	                       goes on
//	START is on its way    K: the new one serves        K, S: as above. The old one has
//	                       S: the new one serves; the   not ceased to accept; what the
//	                       old one finds SERVING when   new one accepted in this moment
//	                       it goes on                   ends with it
//	after SERVING          K: the new one serves        K: Died, and the old one accepts
//	                       S: the new one serves        again if it has kept its sockets
//	                                                    S: as any server that is stopped:
//	                                                    whoever watches it ends it
//
// The end of a process is seen by the end of its socket and by a descriptor of
// the process (pidfd), and it is killed by the latter: numbers of processes are
// for people only. A frame that waits in a socket outlives its sender, so that a
// START that was sent counts, and a receiver whose time is over has a last look.
//
// State crosses in sections, each with a name and a version of its own. One
// that is damaged, late or cannot be saved costs a warning and nothing else;
// whether one is understood is for its owner to say. Times inside sections are
// durations: Saved.Age tells how much later it is. Sections, and messages that
// are large, cross as files in memory that their writer can change no more.
//
// Once the new process serves, the socket is a Link, by which the old process
// reports while it drains. When the new one is replaced in its turn, the links
// are handed on: the older processes notice nothing.
//
// Pitfalls:
//   - A descriptor that the old process does not close on exec is not handed
//     over but leaks into the new one. Go closes all that it opens itself.
//   - A Unix socket must not be unlinked when the old process closes it:
//     SetUnlinkOnClose(false) before Hand.
//   - The new process is a child of whoever started the first one, which has to
//     wait for it when it ends: systemd and shells do. PID 1 has no brothers: its
//     successor is its child, and since it takes the container with it, it must
//     not end before its successors have.
//   - What a new process writes to stderr comes to the old one first, which
//     copies it, until the new one serves. It is the old one's to say why a
//     handover failed.
//   - SIGHUP and the like are sent to the process that serves. Both are in one
//     process group and one session, so that ^C reaches both.
package hotrestart
