// Package pki is what loomd does with certificates: it loads them, notices
// that their files changed, shows them to clients and backends, checks those
// of the other side, and says in plain words what is wrong with them.
//
// Invariants:
//   - Files are looked at when a handshake needs them, at most once in
//     [lookEvery]: nothing has to watch folders, and a swapped symlink, a
//     renamed file and one that was written in place are all the same.
//   - What cannot be used changes nothing: the last good files stay in force,
//     and the owner is told once.
//   - A resumed session is checked against the authorities of now, not those
//     of the day on which its ticket was made.
//
// Pitfall: a *tls.Config that came from here is for one handshake or one
// listener. It must not be changed, and lives no longer than its owner.
package pki
