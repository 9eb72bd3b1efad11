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
//
// Pitfalls: data given to a Receiver is valid only during the call. Header
// fields may be kept, but nobody may change them, neither those that come nor
// those that were sent: connections remember blocks that repeat. A Stream belongs to one attempt on one connection and is never used again.
package h2
