// Package ledger has counts go on from one process to the next, so that none
// of them ever falls.
//
// A process that is replaced saves all its counts, and its successor begins
// with them. What the old process counts from then on, for the calls that it
// still has, it reports again and again: how much each count has grown since
// it was saved. The successor adds what is new in a report to its own counts.
// When it is replaced itself, what it has been told of the older processes
// crosses too, and these go on reporting to the next one.
//
// Invariant: a report that is lost, repeated or late does no harm, and a
// successor that fails leaves nothing behind: reports say how much there is in
// all, and what a process has counted is its own until another has it.
//
// Pitfall: between Save and the end of the process nothing may be taken any
// more, else it would be reported a second time. If the successor fails, it may
// again.
package ledger
