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

// level returns how many tokens there are now.
func (b *bucket) level(now time.Time) float64 {
	if b.last.IsZero() {
		return b.tokens
	}
	return min(b.burst, b.tokens+max(0, now.Sub(b.last).Seconds())*b.rate)
}

// fill makes it a bucket that holds level, or as much as it can.
func (b *bucket) fill(level float64, now time.Time) { b.tokens, b.last = min(b.burst, level), now }
