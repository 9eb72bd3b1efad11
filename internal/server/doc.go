// Package server is the daemon: it makes of a configuration the parts that
// it speaks of (listeners, routes, backends, relay), starts them in the
// order in which they depend on each other, and stops them the other way
// round.
//
// Invariant: a [Server] that was returned by [New] holds its listening
// sockets, and nothing else of it runs before [Server.Serve]; a New that
// fails leaves nothing behind.
package server
