package load

import "time"

// Schedule spreads requests evenly over time and over workers: worker i of n
// makes the requests i, i+n, i+2n, ... of a steady stream. A request's latency
// counts from when it was meant to start; a worker that is held up by a slow
// reply makes its next requests late, and that shows in their latency.
type Schedule struct {
	Start   time.Time
	Rate    float64 // requests each second, by all workers together
	Workers int
	End     time.Time // no request is meant to start at or after it
}

// Intended is when request k (from 0) of a worker (from 0) is meant to start,
// and whether there is such a request.
func (s Schedule) Intended(worker, k int) (time.Time, bool) {
	n := float64(worker) + float64(k)*float64(s.Workers)
	t := s.Start.Add(time.Duration(n / s.Rate * float64(time.Second)))
	return t, t.Before(s.End)
}
