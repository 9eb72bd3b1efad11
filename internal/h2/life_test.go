package h2_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
)

// aged gives connections an hour, and what is open then some time.
func aged(grace time.Duration) func(*h2.Options) {
	return func(o *h2.Options) { o.MaxAge, o.AgeGrace = time.Hour, grace }
}

// untilUnusable waits, to the second, until the connection takes no streams.
func (s *served) untilUnusable() time.Duration {
	s.t.Helper()
	start := time.Now()
	for s.Usable() {
		time.Sleep(time.Second)
		synctest.Wait()
		if time.Since(start) > 24*time.Hour {
			s.t.Fatal("it is usable for ever")
		}
	}
	return time.Since(start)
}

// A connection drains at its greatest age: calls that are open then go on.
func TestGreatestAge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, aged(0))
		s, down := h.downstream(nil)
		id := down.Unary("/s/m", nil)
		l := s.leg()
		l.want("headers")
		if age := s.untilUnusable(); age < 54*time.Minute || age > 66*time.Minute+time.Second {
			t.Errorf("it drained after %v, want an hour, give or take a tenth", age)
		}
		down.WantGoAway(http2.ErrCodeNo)
		down.WantGoAway(http2.ErrCodeNo)
		down.WantNothing(24 * time.Hour)
		l.headers(true, ":status", "200", "grpc-status", "0")
		down.WantStatus(id, 0)
		down.WantClosed()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// With a grace, the calls that are still open at its end are cut.
func TestGraceAfterTheGreatestAge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, aged(time.Minute))
		s, down := h.downstream(nil)
		down.Unary("/s/m", nil)
		l := s.leg()
		l.want("headers")
		l.want("data")
		s.untilUnusable()
		drained := time.Now()
		l.wantEndedWithin(2*time.Minute, h2.CauseLost)
		if took := time.Since(drained).Round(time.Second); took < 59*time.Second || took > time.Minute {
			t.Errorf("it was cut after %v, want a minute", took)
		}
		if err := s.wantEnd(); err == nil {
			t.Error("Serve does not say that calls were cut")
		}
	})
}

// Connections that came at the same moment do not leave at the same moment.
func TestAgesDiffer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, aged(0))
		var all []*served
		for range 8 {
			s, _ := h.downstream(nil)
			all = append(all, s)
		}
		start := time.Now()
		ages := map[time.Duration]bool{}
		for left := all; len(left) > 0; time.Sleep(time.Second) {
			synctest.Wait()
			left = slices.DeleteFunc(left, func(s *served) bool {
				if !s.Usable() {
					ages[time.Since(start)] = true
				}
				return !s.Usable()
			})
		}
		if len(ages) < 4 {
			t.Errorf("eight connections left at %d moments", len(ages))
		}
	})
}

// A connection to a backend is closed once it has had no call for a while, and
// not while it has some.
func TestIdleTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(o *h2.Options) { o.IdleTimeout = time.Minute })
		s, up := h.upstream()
		time.Sleep(50 * time.Second)
		l := s.mustOpen(true)
		id, _ := up.WantCall()
		time.Sleep(10 * time.Minute) // a call that takes its time
		synctest.Wait()
		if !s.Usable() {
			t.Fatal("it was closed while a call was open")
		}
		up.TrailersOnly(id, 0)
		l.want("headers")
		if idle := s.untilUnusable(); idle < 59*time.Second || idle > time.Minute+time.Second {
			t.Errorf("it was closed after %v without a call, want a minute", idle)
		}
		if err := s.wantEnd(); err == nil {
			t.Error("Serve does not say that it was idle")
		}
	})
}
