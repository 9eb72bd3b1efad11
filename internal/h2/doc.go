// Package h2 is HTTP/2 (RFC 9113) as a proxy needs it: a [Conn] is one
// connection, on either side, as plain data.
//
// A Conn has one reader goroutine, the one that runs [Conn.Serve]. It reads
// what the socket has, parses the frames in place, and hands headers and data
// to the [Receiver] of the stream and news of the connection to its [Owner],
// on that same goroutine and with no lock held. Any goroutine may send: it
// appends to the connection's outbox and notes the connection in its [Batch];
// the batch is flushed once, when the reader has nothing more to parse.
//
// Invariants:
//   - A stream is data, not a goroutine: an idle connection costs one
//     goroutine and no buffer, an idle stream costs neither. With TLS this
//     holds if the tls.Conn was made on a [Wire].
//   - The reader never waits for another connection. What cannot be sent is
//     queued on the stream it is for, and the credit of the stream it came
//     from is held back until it has left (see [Stream.Send]).
//   - No goroutine holds the locks of two connections, and nothing of the
//     Owner or of a Receiver is called with a lock held.
//   - Everything that a peer can make us hold, do or answer is bounded by
//     [Limits], and each limit counts in [Counters] when it is hit.
//   - All that is needed to go on with a connection is in its Conn and its
//     Streams. [Conn.Pause] stops it, [Frozen.Marshal] writes it down, and
//     [Thaw] makes a connection of that which goes on with the same socket, in
//     this process or another, at the byte where the first one stopped.
//
// Connections that have bytes of each other under way are written down and
// thawed together:
//
//	pause all -> Marshal all -> (the other side: Thaw all, Join all) ->
//	Detach all -> (the other side: Serve all); or Resume all, if anything fails
//
// A TLS connection cannot be written down ([ErrSecure]): no way leads to the
// keys in crypto/tls without a copy of it.
//
// Pitfalls: data given to a Receiver is valid only during the call. Header
// fields may be kept, but nobody may change them, neither those that come nor
// those that were sent: connections remember blocks that repeat. A Stream
// belongs to one attempt on one connection and is never used again. A pause
// stops a connection, not those who use it: who writes one down sees to it
// that its calls stand still.
package h2
