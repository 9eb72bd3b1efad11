package breaker

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Settings are when a breaker opens and how it closes again. They are plain
// data, and comparable.
type Settings struct {
	// Window is the time over which FailureRatio is taken, in tenths.
	Window time.Duration
	// Consecutive failures open the breaker, however far apart they are. 0:
	// any number of them does not.
	Consecutive int
	// Lasting is how long ago the first of the failures in a row must be. With
	// several endpoints, one that is bad may answer a burst of calls in one
	// piece, which looks as if all were bad for as long as the others need. 0:
	// it does not matter.
	Lasting time.Duration
	// FailureRatio is the share of failures within Window that opens the
	// breaker, from 0 to 1, once MinRequests verdicts are in. 0: no share does.
	FailureRatio float64
	MinRequests  int
	// OpenFor is how long calls are refused after the first opening; it doubles
	// with each opening that follows without a closing between, up to
	// MaxOpenFor. A fifth of it, at most, is added or taken away by chance, so
	// that proxies which opened together do not come back together; it never
	// exceeds MaxOpenFor.
	OpenFor    time.Duration
	MaxOpenFor time.Duration
	// Probes is how many attempts a half-open breaker allows; all of them must
	// succeed. ProbeTimeout is how long one may take to show that the backend
	// answers.
	Probes       int
	ProbeTimeout time.Duration
}

// Check returns what makes s useless; nil if nothing does.
func (s *Settings) Check() error {
	switch {
	case s.Window < buckets:
		return fmt.Errorf("window is %s, at least %s is needed", s.Window, time.Duration(buckets))
	case s.Consecutive < 0:
		return fmt.Errorf("consecutive is %d, which is less than 0", s.Consecutive)
	case s.Lasting < 0:
		return fmt.Errorf("lasting is %s, which is less than 0", s.Lasting)
	case !(s.FailureRatio >= 0 && s.FailureRatio <= 1):
		return fmt.Errorf("failure ratio is %v, not between 0 and 1", s.FailureRatio)
	case s.OpenFor <= 0:
		return fmt.Errorf("open for is %s, not more than 0", s.OpenFor)
	case s.MaxOpenFor < s.OpenFor:
		return fmt.Errorf("max open for is %s, less than open for, %s", s.MaxOpenFor, s.OpenFor)
	case s.Probes < 1 || s.Probes > maxProbes:
		return fmt.Errorf("probes is %d, not between 1 and %d", s.Probes, maxProbes)
	case s.ProbeTimeout <= 0:
		return fmt.Errorf("probe timeout is %s, not more than 0", s.ProbeTimeout)
	}
	return nil
}

// maxProbes is as many as somebody could want: what is tried with more is not
// a probe but the load.
const maxProbes = 1000

// hash tells settings apart in a record, across processes and versions of Go.
func (s *Settings) hash() string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %d %x %d %d %d %d %d", s.Window, s.Consecutive, s.Lasting, s.FailureRatio, s.MinRequests,
		s.OpenFor, s.MaxOpenFor, s.Probes, s.ProbeTimeout)
	return fmt.Sprintf("%016x", h.Sum64())
}

// Jitter of an opening: this share of it, at most, is taken away or added.
const jitter = 0.2

// openFor is how long the opening of that number in a row lasts, from 1; chance
// is between 0 and 1.
func (s *Settings) openFor(opening int, chance float64) time.Duration {
	d := s.OpenFor
	for i := 1; i < opening && d < s.MaxOpenFor; i++ {
		d += min(d, s.MaxOpenFor-d)
	}
	change := time.Duration(float64(d) * jitter * (2*chance - 1))
	if change > s.MaxOpenFor-d {
		change = -change // so that those at the bound are spread as well
	}
	return max(1, d+change)
}
