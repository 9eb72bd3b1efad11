package h2

import "time"

// bucket is a token bucket: burst at once, then rate a second.
type bucket struct {
	burst  float64
	rate   float64
	tokens float64
	last   time.Time
}

func newBucket(r Rate) bucket {
	return bucket{burst: float64(r.Burst), rate: float64(r.PerSecond), tokens: float64(r.Burst)}
}

// take takes one token and reports whether there was one.
func (b *bucket) take(now time.Time) bool {
	if !b.last.IsZero() {
		b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
