// Package adminclient finds the admin socket of a loomd on this machine and
// talks to it.
//
// Invariant: a socket that was named is the only one that is tried; otherwise
// the first of the usual places at which somebody answers has the client.
//
// Pitfall: whoever owns the folder of a socket decides who answers there. The
// place below the folder for temporary files, which everybody may write to, is
// only used if its folder belongs to the user who asks.
package adminclient
