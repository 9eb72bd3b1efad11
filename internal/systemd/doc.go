// Package systemd is what loomd and the service manager say to each other:
// that it serves, how it fares, which process is the main one, that it is
// alive, and which sockets there are for it. Without systemd all of it does
// nothing.
//
// Invariant: of all processes of a unit one speaks, the one that systemd takes
// for the main process. With NotifyAccess=main it hears nobody else. A process
// that takes over is silent until [Notifier.TakeOver]; the one that it takes
// over from is silent from [Notifier.Main] on.
//
// Pitfalls: the environment is that of the first process, also in those that
// take over from it. LISTEN_PID and WATCHDOG_PID are wrong there: the sockets
// come from the process before, and the watchdog is inherited with the role.
// STOPPING=1 cannot be taken back, so a process that has been replaced never
// sends it.
//
// The protocol is that of sd_notify(3), sd_listen_fds(3) and
// sd_watchdog_enabled(3).
package systemd
