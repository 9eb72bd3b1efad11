// Package backend keeps the connections to a named service: it resolves the
// targets of a [Backend] to endpoints, picks an endpoint for each call, and
// holds a few HTTP/2 connections to each.
//
// The endpoints that calls go to are a rotation: plain data that is never
// changed, but replaced when an endpoint comes or goes. To pick one takes no
// lock.
//
// Calls never wait on a goroutine of their own. A call that finds no
// connection with room is a [Waiter] in a line: in that of the endpoint that
// its key belongs to, if it has one, else in that of the backend. It is given
// its chance on whichever goroutine makes room.
//
// Invariants:
//   - A Waiter is called with no lock of the backend held, and by one
//     goroutine at a time.
//   - A waiting call hears exactly one of: an Attempt that it accepts, or
//     Refused. Unless it says [Backend.Forget].
//   - Calls of a line are served in the order in which they came, and none
//     that comes later overtakes them.
//   - Connections are made on demand, and at most Options.Connections of an
//     endpoint take new calls. Calls go only to connections whose first
//     SETTINGS have come.
//   - Calls go only to endpoints that are fit: healthy, not ejected and not
//     drained. When none is, to all that are not drained.
//   - An endpoint that takes no connection, or whose connections end before
//     they were of use, is left alone for a while (gRPC's connection
//     back-off, with jitter).
//
// Locks: Backend.mu may be held when endpoint.mu is taken, never the other
// way round. Neither is held when a Waiter, a connection's Drain or Close,
// or a resolver is called. [Endpoint.Done] takes at most Backend.mu.
//
// Pitfall: calls are refused at once while every endpoint is in back-off and
// none has a connection; this is what gRPC clients expect of a call that does
// not wait for ready.
package backend
