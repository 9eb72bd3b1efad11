package reflectcache

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	askers  = 100
	latency = 50 * time.Millisecond
)

// rush lets all askers ask at once and returns how long the last one took.
func rush(t testing.TB, ask func(ctx context.Context) error) time.Duration {
	t.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			if err := ask(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// ways are the three ways to answer 100 askers that the experiment compares.
func ways(t testing.TB, b *backend) map[string]func(ctx context.Context) error {
	t.Helper()
	cached := cache(t, b, nil)
	alone := func(ctx context.Context) error {
		c := New(Options{Dial: dial(map[string]*backend{"b": b})})
		defer c.Close()
		_, err := c.Method(ctx, "b", get)
		return err
	}
	mu := make(chan struct{}, 1) // a mutex that synctest can see waiting
	return map[string]func(ctx context.Context) error{
		"cache":    func(ctx context.Context) error { _, err := cached.Method(ctx, "b", get); return err },
		"no cache": alone,
		"mutex": func(ctx context.Context) error {
			mu <- struct{}{}
			defer func() { <-mu }()
			return alone(ctx)
		},
	}
}

// TestStampede is in exact time: 100 first askers, reflection takes 50 ms.
func TestStampede(t *testing.T) {
	for _, test := range []struct {
		way     string
		fetches int64
		atLeast time.Duration
		atMost  time.Duration
	}{
		{"cache", 1, latency, 60 * time.Millisecond},
		{"no cache", askers, latency, 60 * time.Millisecond},
		{"mutex", askers, askers * latency, askers*latency + 10*time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t)
			b.set(func(b *backend) { b.delay = latency })
			took := rush(t, ways(t, b)[test.way])
			t.Logf("%-9s %3d askers, %3d fetches, all done after %v", test.way, askers, b.streams.Load(), took)
			if n := b.streams.Load(); n != test.fetches || took < test.atLeast || took > test.atMost {
				t.Errorf("%s: %d fetches in %v, want %d in %v to %v", test.way, n, took, test.fetches, test.atLeast, test.atMost)
			}
		})
	}
}

// BenchmarkStampede is the same with the real clock.
func BenchmarkStampede(b *testing.B) {
	for _, way := range []string{"cache", "no cache", "mutex"} {
		b.Run(way, func(b *testing.B) {
			fetches := int64(0)
			for b.Loop() {
				b.StopTimer()
				back := newBackend(b)
				back.set(func(back *backend) { back.delay = latency })
				ask := ways(b, back)[way]
				b.StartTimer()
				rush(b, ask)
				fetches += back.streams.Load()
			}
			b.ReportMetric(float64(fetches)/float64(b.N), "fetches/op")
		})
	}
}

// BenchmarkLookup is what decoding costs a call: a known method, one that is
// not known, and names that a caller invents without end.
func BenchmarkLookup(b *testing.B) {
	c := cache(b, newBackend(b), nil)
	if _, err := c.Method(b.Context(), "b", get); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Method(b.Context(), "b", "/no.Such/M"); err == nil {
		b.Fatal("an invented service is known")
	}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Lookup("b", get)
		}
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Lookup("b", "/no.Such/M")
		}
	})
	paths := invented(4096)
	b.Run("invented", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c.Lookup("b", paths[i%len(paths)])
		}
	})
}

// TestDefect12 holds three things that an earlier Loom got wrong: reflection
// sat in the path of calls, failures were not remembered, and when the first
// asker went away all others failed with it.
func TestDefect12(t *testing.T) {
	t.Run("a call never waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t)
			b.set(func(b *backend) { b.hang = true })
			c := cache(t, b, nil)
			start := time.Now()
			for range 1000 {
				if _, known := c.Lookup("b", get); known {
					t.Fatal("known before anybody told")
				}
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("1000 lookups took %v while reflection hangs", took)
			}
			time.Sleep(time.Second)
			if n := b.streams.Load(); n != 1 {
				t.Errorf("%d fetches for 1000 calls, want 1", n)
			}
		})
	})
	t.Run("failures are remembered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t)
			b.set(func(b *backend) { b.files = nil })
			c := cache(t, b, nil)
			for range 50 {
				if _, err := c.Method(t.Context(), "b", get); err == nil {
					t.Fatal("an unknown service is known")
				}
			}
			if n := b.streams.Load(); n != 1 {
				t.Errorf("%d fetches for 50 failures, want 1", n)
			}
			b.serve(t, shop)
			time.Sleep(defaultNegativeTTL)
			wantFields(t, c, get, 3)
		})
	})
	t.Run("the first asker leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t)
			b.set(func(b *backend) { b.delay = latency })
			c := cache(t, b, nil)
			ctx, leave := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := c.Method(ctx, "b", get); !errors.Is(err, context.Canceled) {
					t.Errorf("the first asker got %v", err)
				}
			})
			synctest.Wait()
			for range 10 {
				wg.Go(func() { wantFields(t, c, get, 3) })
			}
			synctest.Wait()
			leave()
			wg.Wait()
			if n := b.streams.Load(); n != 1 {
				t.Errorf("%d fetches, want 1", n)
			}
		})
	})
}
