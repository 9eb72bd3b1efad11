// Package admin is the gRPC service by which operators see and change a
// running loomd: loomv1.Admin, with health checks and Server Reflection beside
// it.
//
// Invariant: each call is judged by who the kernel says is at the other end of
// its connection, before anything of it is looked at, and each change is logged
// with who made it. A method that nobody gave a place in the table of rights
// needs all of them.
//
// Pitfall: a process hands its connection on when it forks or changes its user.
// What counts is who connected.
package admin
