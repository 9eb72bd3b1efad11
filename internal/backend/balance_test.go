package backend_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/loomtest"
)

// visitor is a call that takes the first connection it is offered, and opens
// no stream.
type visitor struct {
	brief bool // it ends at once

	mu       sync.Mutex
	endpoint *backend.Endpoint // guarded by mu
	refused  error             // guarded by mu
}

func (v *visitor) Attempt(_ *h2.Batch, _ *h2.Conn, e *backend.Endpoint) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.endpoint = e
	if v.brief {
		e.Done(time.Now(), backend.Good)
	}
	return nil
}

func (v *visitor) Refused(_ *h2.Batch, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refused = err
}

func (v *visitor) Over() bool { return false }

// at returns where the call is; empty if it waits or was refused.
func (v *visitor) at() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.endpoint == nil {
		return ""
	}
	return v.endpoint.Name()
}

// end ends the call, if it is somewhere.
func (v *visitor) end(o backend.Outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.endpoint != nil {
		v.endpoint.Done(time.Now(), o)
	}
}

// fleet is a backend with a connection to each of some endpoints.
type fleet struct {
	*rig
	name  *name
	added []string                      // the addresses that name resolves to
	up    map[string]*loomtest.Upstream // the latest connection, by address

	accepted map[string]int // connections, by address
}

// newFleet returns a fleet of addresses with their weights.
func newFleet(t *testing.T, weights map[string]int, change ...func(*backend.Options)) *fleet {
	t.Helper()
	more := "more of " + t.Name()
	r := newRig(t, append([]func(*backend.Options){func(o *backend.Options) {
		o.Targets = nil
		for _, address := range slices.Sorted(maps.Keys(weights)) {
			o.Targets = append(o.Targets, backend.Target{URI: "passthrough:///" + address, Weight: weights[address]})
		}
		o.Targets = append(o.Targets, backend.Target{URI: "names:///" + more})
	}}, change...)...)
	f := &fleet{rig: r, name: directory.find(t, more), up: make(map[string]*loomtest.Upstream), accepted: make(map[string]int)}
	f.connect(slices.Collect(maps.Keys(weights))...)
	return f
}

// become has the addresses be endpoints in place of others that became so.
func (f *fleet) become(addresses ...string) {
	f.t.Helper()
	if err := f.name.resolveTo(addresses...); err != nil {
		f.t.Fatal(err)
	}
	fresh := slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return slices.Contains(f.added, a) })
	f.added = addresses
	f.connect(fresh...)
}

// connect waits until loom has a connection to each address.
func (f *fleet) connect(addresses ...string) {
	f.t.Helper()
	for _, a := range addresses {
		for f.dialled(a) == f.accepted[a] {
			f.visit(backend.Pick{})
			synctest.Wait()
		}
		f.up[a] = f.accept(a)
		f.accepted[a]++
		synctest.Wait()
	}
}

// visit makes a call that ends at once, and returns where it went.
func (f *fleet) visit(p backend.Pick) string {
	v := &visitor{brief: true}
	f.send(v, p)
	return v.at()
}

// stay makes a call that does not end.
func (f *fleet) stay(p backend.Pick) *visitor {
	v := new(visitor)
	f.send(v, p)
	return v
}

func (f *fleet) send(v *visitor, p backend.Pick) {
	b := h2.NewBatch()
	if err := f.backend.Open(b, v, p); err != nil {
		v.Refused(b, err)
	}
	b.Flush()
}

// share makes calls and returns how many went to each endpoint.
func (f *fleet) share(calls int) map[string]int {
	f.t.Helper()
	count := make(map[string]int)
	for range calls {
		count[f.visit(backend.Pick{})]++
	}
	return count
}

func balance(kind backend.Balance) func(*backend.Options) {
	return func(o *backend.Options) { o.Balance = kind }
}

// wantShares compares counts with shares of their sum. They may differ by
// off calls, or by part of them if that is more.
func wantShares(t *testing.T, count map[string]int, shares map[string]float64, off, part float64) {
	t.Helper()
	var calls, sum float64
	for _, n := range count {
		calls += float64(n)
	}
	for _, s := range shares {
		sum += s
	}
	for address, s := range shares {
		want := calls * s / sum
		if got := float64(count[address]); math.Abs(got-want) > max(off, part*want) {
			t.Fatalf("%v of %v calls went to %s, want %.1f, give or take %.1f: %v",
				got, calls, address, want, max(off, part*want), count)
		}
	}
}

// Whatever the balance, each endpoint gets its share by its weight; in turn
// it gets it of any few calls.
func TestWeights(t *testing.T) {
	for name, kind := range map[string]backend.Balance{
		"round robin": backend.RoundRobin, "least request": backend.LeastRequest, "ring hash without keys": backend.RingHash,
	} {
		for _, weights := range []map[string]int{
			{"a": 1, "b": 1, "c": 1},
			{"a": 1, "b": 2},
			{"a": 1, "b": 1000},
			{"a": 3, "b": 5, "c": 7, "d": 7},
		} {
			t.Run(fmt.Sprint(name, slices.Sorted(maps.Values(weights))), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, weights, balance(kind))
					shares := make(map[string]float64)
					for a, w := range weights {
						shares[a] = float64(w)
					}
					if kind == backend.LeastRequest {
						wantShares(t, f.share(20_000), shares, 60, 0.1)
						return
					}
					for _, calls := range []int{10, 17, 100, 1000} {
						wantShares(t, f.share(calls), shares, 3, 0)
					}
				})
			})
		}
	}
}

// With calls in flight, least_request goes by them for their weight, however
// they came about.
func TestLeastRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1, "c": 2}, balance(backend.LeastRequest))
		open := make(map[string][]*visitor)
		for range 4000 {
			v := f.stay(backend.Pick{})
			open[v.at()] = append(open[v.at()], v)
		}
		wantInFlight := func() {
			t.Helper()
			got := make(map[string]int)
			for _, e := range f.backend.Status().Endpoints {
				got[e.Address] = e.InFlight
			}
			wantShares(t, got, map[string]float64{"a": 1, "b": 1, "c": 2}, 30, 0)
		}
		wantInFlight()
		// Those of a end; what comes next goes there until they are even.
		for _, v := range open["a"] {
			v.end(backend.Good)
		}
		for range 4000 {
			f.stay(backend.Pick{})
		}
		wantInFlight()
	})
}

// Of two endpoints, the one that is busier for its weight gets no call.
func TestLeastRequestAvoidsTheBusier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1}, balance(backend.LeastRequest))
		first := f.stay(backend.Pick{}).at()
		if n := f.share(200)[first]; n != 0 {
			t.Fatalf("%d of 200 calls went to %s, which had one in flight and the other none", n, first)
		}
	})
}

func slowStart(d time.Duration) func(*backend.Options) {
	return func(o *backend.Options) { o.SlowStart = d }
}

// A fresh endpoint takes a share that grows with its time, and then its full
// one; those of a new backend take theirs at once.
func TestSlowStart(t *testing.T) {
	for name, kind := range map[string]backend.Balance{
		"round robin": backend.RoundRobin, "least request": backend.LeastRequest, "ring hash without keys": backend.RingHash,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const slow = 10 * time.Minute
				f := newFleet(t, map[string]int{"a": 1, "b": 1, "c": 1}, balance(kind), slowStart(slow))
				wantShares(t, f.share(3000), map[string]float64{"a": 1, "b": 1, "c": 1}, 3, 0.1)
				time.Sleep(time.Minute)
				f.become("fresh")
				for _, part := range []float64{0, 0.25, 0.5, 0.75, 1} {
					count := f.share(10_000)
					// That of an endpoint with a part of the weight.
					wantShares(t, count, map[string]float64{"a": 1, "b": 1, "c": 1, "fresh": part}, 250, 0.1)
					time.Sleep(slow / 4)
				}
			})
		})
	}
}

// When all endpoints are replaced, the new ones take everything at once.
func TestSlowStartOfAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil, slowStart(time.Hour))
		f.become("a", "b")
		time.Sleep(time.Minute)
		f.become("c", "d")
		wantShares(t, f.share(1000), map[string]float64{"c": 1, "d": 1}, 3, 0)
	})
}
