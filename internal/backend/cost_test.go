package backend_test

import (
	"testing"

	"loom/internal/backend"
	"loom/internal/h2"
)

// taker is a call that any connection suits.
type taker struct{}

func (*taker) Attempt(*h2.Batch, *h2.Conn, *backend.Endpoint) error { return nil }
func (*taker) Refused(*h2.Batch, error)                             {}
func (*taker) Over() bool                                           { return false }

// readyRig has a connection to each of two endpoints.
func readyRig(t testing.TB, change ...func(*backend.Options)) *rig {
	t.Helper()
	r := newRig(t, append(change, connections(1), targets("passthrough:///a", "passthrough:///b"))...)
	r.call("warm")
	r.accept("a")
	r.accept("b")
	seen := make(map[string]bool)
	eventually(t, "both endpoints take calls", func() bool {
		seen[r.call("more").placedAt()] = true
		return seen["a"] && seen["b"]
	})
	return r
}

var balances = map[string]backend.Balance{
	"round robin": backend.RoundRobin, "least request": backend.LeastRequest, "ring hash": backend.RingHash,
}

// A call that finds a connection costs no memory of its own.
func TestOpenAllocatesNothing(t *testing.T) {
	for name, kind := range balances {
		t.Run(name, func(t *testing.T) {
			r := readyRig(t, balance(kind))
			b, w, key := h2.NewBatch(), new(taker), uint64(0)
			if n := testing.AllocsPerRun(1000, func() {
				key += 1 << 60
				_ = r.backend.Open(b, w, backend.Pick{Hash: key, Hashed: true})
			}); n != 0 {
				t.Fatalf("%v allocations", n)
			}
		})
	}
}

// Nor does an attempt that ends, when nothing is wrong.
func TestDoneAllocatesNothing(t *testing.T) {
	r := readyRig(t, outlier(50), concurrent(10))
	b, v := h2.NewBatch(), &visitor{brief: true}
	if n := testing.AllocsPerRun(1000, func() { _ = r.backend.Open(b, v, backend.Pick{}) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// BenchmarkOpen is what a call pays the pool when there is a connection.
func BenchmarkOpen(b *testing.B) {
	for name, kind := range balances {
		b.Run(name, func(b *testing.B) {
			r := readyRig(b, balance(kind))
			batch, w, key := h2.NewBatch(), new(taker), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				key += 1 << 60
				_ = r.backend.Open(batch, w, backend.Pick{Hash: key, Hashed: true})
			}
		})
	}
	r := readyRig(b)
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			batch, w := h2.NewBatch(), new(taker)
			for pb.Next() {
				_ = r.backend.Open(batch, w, backend.Pick{})
			}
		})
	})
}

// BenchmarkWait is what a call pays that waits, and gives up.
func BenchmarkWait(b *testing.B) {
	r := readyRig(b)
	batch := h2.NewBatch()
	b.ReportAllocs()
	for b.Loop() {
		w := new(unlucky)
		_ = r.backend.Open(batch, w, backend.Pick{})
		r.backend.Forget(w)
	}
}

// unlucky is a call that finds every connection full.
type unlucky struct{ _ byte } // so that each is another

func (*unlucky) Attempt(*h2.Batch, *h2.Conn, *backend.Endpoint) error { return h2.ErrFull }
func (*unlucky) Refused(*h2.Batch, error)                             {}
func (*unlucky) Over() bool                                           { return false }
