// Package relay carries one gRPC call after another from the connection it
// came in on to a connection of its backend, and the answer back.
//
// A [Call] pairs two HTTP/2 streams. What comes in on one goes out on the
// other on the same goroutine, frame by frame; the relay assembles no message
// and starts no goroutine. It is transparent: header fields, data, trailers,
// half-closes and resets pass as they are, in order. Where loom has to answer
// itself it sends what gRPC clients understand: Trailers-Only with ErrorInfo,
// or trailers if the response has begun.
//
// Invariants:
//   - The status of a call is decided once: Call.report runs once, under the
//     call's lock, and everything after it only carries frames.
//   - A request is sent a second time only when the first attempt was
//     certainly not processed, nothing of an answer has been passed on and
//     every byte of the request is still kept.
//   - Every attempt is judged once: the breaker that allowed it and the endpoint
//     that took it hear how it ended, whoever ended it.
//   - Nobody who watches is waited for: an [Observer] must return at once.
//
// Lock order: Call.mu, then that of one connection, of a breaker or of an
// endpoint's record. Backends are called with none held.
package relay
