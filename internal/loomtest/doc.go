// Package loomtest is what loom's tests stand on: connections in memory, a
// leak check, HTTP/2 peers that are scripted frame by frame, a gRPC backend
// made of functions, and generators of random frames.
//
// Nothing here imports another package of loom. The scripted peers are built
// on golang.org/x/net/http2 on purpose: they judge loom's own HTTP/2 code, so
// they must not share its mistakes. A peer does what its script says, legal or
// not, and holds the other side to RFC 9113 all the while: flow-control
// windows, frame sizes, stream states, header blocks. A breach fails the test
// even when no expectation asked for it.
//
// Everything that waits, waits on channels, on sync.Cond or on timers, so that
// it is durably blocked in the sense of testing/synctest and fake time drives
// it. Two things need care in a bubble: only connections in memory may be used
// there, and what was made inside stays inside.
package loomtest
