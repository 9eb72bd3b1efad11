package backend_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
)

const ejectFor = 30 * time.Second

// outlier ejects after five failures, at most percent of the endpoints.
func outlier(percent int) func(*backend.Options) {
	return func(o *backend.Options) {
		o.Outlier = &backend.Outlier{Consecutive: 5, EjectFor: ejectFor, MaxEjectFor: 4 * ejectFor, MaxEjectedPercent: percent}
	}
}

// journal is the events of a backend.
type journal struct {
	mu     sync.Mutex
	events []string // guarded by mu
}

func (j *journal) keep(o *backend.Options) { o.Event = j.add }

func (j *journal) add(ev backend.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	what := []string{"ejected", "returned", "unhealthy", "healthy", "drained", "undrained", "panicked", "calmed"}[ev.Kind]
	if ev.For > 0 {
		what += " for " + ev.For.String()
	}
	j.events = append(j.events, strings.TrimSpace(what+" "+ev.Endpoint+" "+ev.Why))
}

// want compares the events since it was last asked.
func (j *journal) want(t *testing.T, events ...string) {
	t.Helper()
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.events, events) {
		t.Fatalf("events:\n  %s\nwant:\n  %s", strings.Join(j.events, "\n  "), strings.Join(events, "\n  "))
	}
	j.events = nil
}

// fails has calls that go to the endpoint fail.
func (f *fleet) fails(address string, times int) {
	f.t.Helper()
	for tries := 0; times > 0; tries++ {
		v := f.stay(backend.Pick{})
		if v.at() == address {
			v.end(backend.Bad)
			times--
		} else {
			v.end(backend.Good)
		}
		if tries > 1000 {
			f.t.Fatalf("no calls go to %s", address)
		}
	}
}

// state returns that of the endpoint.
func (f *fleet) endpoint(address string) backend.EndpointStatus {
	f.t.Helper()
	for _, e := range f.backend.Status().Endpoints {
		if e.Address == address {
			return e
		}
	}
	f.t.Fatalf("there is no endpoint %s", address)
	return backend.EndpointStatus{}
}

// An endpoint whose calls fail one after the other gets none for a while, and
// the others get all of them.
func TestEjection(t *testing.T) {
	for name, kind := range balances {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				f := newFleet(t, map[string]int{"a": 1, "b": 1, "c": 1}, balance(kind), outlier(50), j.keep)
				f.fails("b", 4)
				f.share(30) // which are good
				f.fails("b", 4)
				j.want(t)
				f.fails("b", 1)
				j.want(t, "ejected for 30s b 5 calls in a row failed")
				if e := f.endpoint("b"); e.State != backend.StateEjected || e.EjectedFor != ejectFor || e.Ejections != 1 {
					t.Fatalf("%+v", e)
				}
				for range 30 {
					if n := f.share(100)["b"]; n != 0 {
						t.Fatalf("%d calls went to an endpoint that is ejected", n)
					}
					for key := range 20 {
						if f.visit(keyed(key)) == "b" {
							t.Fatal("a call with a key went to an endpoint that is ejected")
						}
					}
					time.Sleep(ejectFor / 30)
				}
				j.want(t, "returned b")
				wantShares(t, f.share(3000), map[string]float64{"a": 1, "b": 1, "c": 1}, 3, 0.15)
				if n := f.backend.Status().Ejections; n != 1 {
					t.Fatalf("Ejections = %d", n)
				}
			})
		})
	}
}

// Ejections in a row grow longer, up to a limit; good times let them be
// forgotten.
func TestEjectionsGrowAndDecay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1, "c": 1}, outlier(50))
		eject := func(want time.Duration) {
			t.Helper()
			f.fails("a", 5)
			if e := f.endpoint("a"); e.EjectedFor != want {
				t.Fatalf("ejected for %v, want %v", e.EjectedFor, want)
			}
			time.Sleep(want)
			synctest.Wait()
		}
		for _, want := range []time.Duration{ejectFor, 2 * ejectFor, 3 * ejectFor, 4 * ejectFor, 4 * ejectFor, 4 * ejectFor} {
			eject(want)
		}
		time.Sleep(3 * ejectFor) // six ejections, of which three are forgotten
		eject(4 * ejectFor)
		time.Sleep(3 * ejectFor)
		eject(2 * ejectFor)
	})
}

// Who may be ejected, of how many.
func TestEjectionsAreLimited(t *testing.T) {
	for _, tt := range []struct{ endpoints, percent, want int }{
		{1, 50, 0}, {1, 99, 0}, {1, 100, 1}, {2, 50, 1}, {3, 50, 1}, {3, 10, 1}, {3, 0, 0}, {4, 50, 2}, {3, 100, 3}, {10, 35, 3},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.percent, tt.endpoints), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				weights := make(map[string]int)
				for i := range tt.endpoints {
					weights[fmt.Sprint("host", i)] = 1
				}
				f := newFleet(t, weights, outlier(tt.percent))
				for range 10 * tt.endpoints {
					f.stay(backend.Pick{}).end(backend.Bad)
				}
				n := 0
				for _, e := range f.backend.Status().Endpoints {
					if e.State == backend.StateEjected {
						n++
					}
				}
				if n != tt.want {
					t.Fatalf("%d are ejected, want %d", n, tt.want)
				}
				if f.counters.EjectionsDenied.Load() == 0 && n < tt.endpoints {
					t.Fatal("nobody counted that more should have been")
				}
			})
		})
	}
}

// When all are ejected, all are used, and it shows.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		f := newFleet(t, map[string]int{"a": 1, "b": 1}, outlier(100), j.keep)
		f.fails("a", 5)
		if f.backend.Status().Panic {
			t.Fatal("panic while b is fit")
		}
		f.fails("b", 5)
		if !f.backend.Status().Panic {
			t.Fatal("no panic while no endpoint is fit")
		}
		wantShares(t, f.share(100), map[string]float64{"a": 1, "b": 1}, 1, 0)
		j.want(t, "ejected for 30s a 5 calls in a row failed", "panicked", "ejected for 30s b 5 calls in a row failed")
		time.Sleep(ejectFor)
		synctest.Wait()
		if f.backend.Status().Panic {
			t.Fatal("panic for ever")
		}
	})
}

// What says nothing about the endpoint ejects nobody.
func TestNeitherEjectsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1}, outlier(100))
		for range 100 {
			f.stay(backend.Pick{}).end(backend.Neither)
		}
		for _, e := range f.backend.Status().Endpoints {
			if e.State != backend.StateReady || e.Ejections != 0 || e.Bad != 0 {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// An endpoint that is ejected when it leaves, or when the backend ends,
// troubles nobody.
func TestEjectedEndpointLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		f := newFleet(t, map[string]int{"a": 1}, outlier(100), j.keep)
		f.become("b", "c")
		f.fails("b", 5)
		j.want(t, "ejected for 30s b 5 calls in a row failed")
		f.become("c")
		time.Sleep(time.Minute)
		j.want(t)
		wantShares(t, f.share(100), map[string]float64{"a": 1, "c": 1}, 1, 0)
	})
}
