// Package inspector is the page on which a person watches calls: the embedded
// files of the page, JSON for what it asks, and a stream of server-sent events
// for what happens meanwhile.
//
// Invariant: no request gets further than its Host header unless that is one
// of the names that the inspector was given, and none reads or changes a call
// without the cookie that the token was exchanged for.
//
// Pitfall: what calls hold was written by strangers. It leaves here as JSON or
// as a download, never as a document that a browser would render.
package inspector
