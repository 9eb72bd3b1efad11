// Package export writes recorded calls to files, and reads them back: NDJSON
// and HAR for other tools, .loom for loomd itself.
//
// Invariant: one call at a time is in memory while it is written. What is read
// is bounded, whatever the file holds, and damage costs only what it hit.
//
// Pitfall: calls are written as they were stored. What must not leave the
// machine has to be taken out before.
package export
