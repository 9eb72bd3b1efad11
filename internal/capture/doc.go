// Package capture records calls: it follows what the relay reports, keeps the
// newest calls in memory, and tells who watches of every change. A record is
// handed out as a loomv1.Call, which is made when somebody asks.
//
// Invariant: a call never waits for who reads its record. What there is no
// room or no time for is left out and counted, and what must not be stored is
// taken out before it is.
//
// Pitfall: records are used again. A record is only good for the sequence
// number that it was found under, which is looked at with its lock held.
//
// A call that was recorded in another process, before a hot restart or while
// that process drains, is a record like others; it keeps its id. While it is
// open there, Merge changes the record, as the relay does with those of its own
// calls.
//
// Lock order: Store.merging or Store.carrying; Store.mu, then record.mu of a
// call that has ended. Who holds the record of an open call may take Store.mu:
// nobody who holds that wants the record of an open call. arena.mu, feed.mu and
// Session.mu are leaves.
package capture
