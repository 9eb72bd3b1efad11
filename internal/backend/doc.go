// Package backend keeps the connections to a named service: it resolves the
// targets of a [Backend] to endpoints, picks an endpoint for each call, and
// holds a few HTTP/2 connections to each.
//
// Calls never wait on a goroutine of their own. A call that finds no
// connection with room is a [Waiter] in the backend's queue, and is given
// its chance on whichever goroutine makes room.
//
// Invariants:
//   - A Waiter is called with no lock of the backend held.
//   - A waiting call hears exactly one of: an Attempt that it accepts, or
//     Refused. Unless it says [Backend.Forget].
//   - Connections are made on demand, never more than Options.Connections to
//     an endpoint, and an endpoint that refuses them is left alone for a
//     while (gRPC's connection back-off, with jitter).
//
// Pitfall: an endpoint in back-off refuses calls at once when no other
// endpoint has a connection; this is what gRPC clients expect of a call that
// does not wait for ready.
package backend
