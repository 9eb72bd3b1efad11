package h2

import (
	"math/rand/v2"
	"time"
)

// ageJitter is the share of Options.MaxAge by which connections differ, so
// that those which came together do not all leave together.
const ageJitter = 0.1

// beginLife sets the alarms that bound how long the connection lives.
func (c *Conn) beginLife(now time.Time) {
	if age := c.opts.MaxAge; age > 0 {
		c.alarms.set(&c.ageAlarm, now.Add(spread(age)), c.ring)
	}
	if c.opts.IdleTimeout > 0 && !c.server {
		c.idleSince = now
		c.alarms.set(&c.idleAlarm, now.Add(c.opts.IdleTimeout), c.ring)
	}
}

// spread returns age, give or take ageJitter.
func spread(age time.Duration) time.Duration {
	return time.Duration((1 + ageJitter*(2*rand.Float64()-1)) * float64(age))
}

// onAge drains a connection that has lived for long enough. The second time,
// when its grace is over, it ends the calls that are still open.
func (c *Conn) onAge(b *Batch) {
	if c.aged {
		c.closeLocked(errAged)
		return
	}
	c.aged = true
	c.drainLocked(b)
	if c.opts.AgeGrace > 0 {
		c.alarms.set(&c.ageAlarm, b.Now.Add(c.opts.AgeGrace), c.ring)
	}
}

// onIdle closes a connection without streams. It looks now and then, so that
// the end of a stream costs nothing but a note of the time.
func (c *Conn) onIdle(b *Batch) {
	next := b.Now.Add(c.opts.IdleTimeout)
	if len(c.streams) == 0 {
		if next = c.idleSince.Add(c.opts.IdleTimeout); !next.After(b.Now) {
			c.closeLocked(errIdle)
			return
		}
	}
	c.alarms.set(&c.idleAlarm, next, c.ring)
}
