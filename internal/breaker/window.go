package breaker

import "time"

// buckets is in how many parts a window ages. With ten, what is counted goes
// back between nine tenths of the window and all of it.
const buckets = 10

// window counts the verdicts that were given within a span of time. A call
// counts when it ends, so that one that took longer than the window counts too.
type window struct {
	part   time.Duration // of a bucket
	start  time.Time     // of the newest bucket
	newest int
	counts [buckets]count
	sum    count
}

type count struct{ verdicts, failures int }

func newWindow(span time.Duration, now time.Time) window {
	return window{part: max(1, span/buckets), start: now}
}

// add counts a verdict in the newest bucket.
func (w *window) add(failure bool) {
	c := &w.counts[w.newest]
	c.verdicts++
	w.sum.verdicts++
	if failure {
		c.failures++
		w.sum.failures++
	}
}

// succeeded counts n successes in the newest bucket, in which they came.
func (w *window) succeeded(n int) {
	w.counts[w.newest].verdicts += n
	w.sum.verdicts += n
}

// end returns when the newest bucket is over.
func (w *window) end() time.Time { return w.start.Add(w.part) }

// roll forgets the buckets that are out of the window at now, which must not be
// before that of an earlier roll.
func (w *window) roll(now time.Time) {
	passed := now.Sub(w.start)
	if passed < w.part {
		return
	}
	n := int(passed / w.part)
	w.start = w.start.Add(time.Duration(n) * w.part)
	for range min(n, buckets) {
		w.newest = (w.newest + 1) % buckets
		old := &w.counts[w.newest]
		w.sum.verdicts -= old.verdicts
		w.sum.failures -= old.failures
		*old = count{}
	}
}

// parts returns the buckets for a record, the newest first; those before the
// oldest that counted anything are left out.
func (w *window) parts() []part {
	all := []part{}
	for i := range buckets {
		c := w.counts[(w.newest+buckets-i)%buckets]
		all = append(all, part{c.verdicts, c.failures})
	}
	for len(all) > 0 && all[len(all)-1] == (part{}) {
		all = all[:len(all)-1]
	}
	return all
}

// fill has an empty window hold the buckets of a record, of which the newest
// began at start.
func (w *window) fill(parts []part, start time.Time) {
	w.start = start
	for i, p := range parts {
		w.counts[(w.newest+buckets-i)%buckets] = count{p.Verdicts, p.Failures}
		w.sum.verdicts += p.Verdicts
		w.sum.failures += p.Failures
	}
}
