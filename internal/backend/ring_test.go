package backend_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
)

func keyed(key int) backend.Pick {
	return backend.Pick{Hashed: true, Hash: backend.Hash("key " + strconv.Itoa(key))}
}

// owners returns which endpoint each of the keys 0 to n-1 goes to.
func (f *fleet) owners(n int) []string {
	f.t.Helper()
	at := make([]string, n)
	for key := range at {
		at[key] = f.visit(keyed(key))
	}
	return at
}

// Whatever endpoints come and go: a key moves only from one that goes, or to
// one that comes.
func TestRingMovesOnlyWhatItMust(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dice := rand.New(rand.NewPCG(seed, 3))
				f := newFleet(t, map[string]int{"fixed": 1 + dice.IntN(3)}, balance(backend.RingHash))
				in := map[string]bool{"host-0": true}
				f.become("host-0")
				before := f.owners(2000)
				for range 12 {
					was := maps.Clone(in)
					for range 1 + dice.IntN(3) {
						a := "host-" + strconv.Itoa(1+dice.IntN(7))
						if in[a] {
							delete(in, a)
						} else {
							in[a] = true
						}
					}
					f.become(slices.Collect(maps.Keys(in))...)
					after := f.owners(2000)
					for key, from := range before {
						to := after[key]
						left, came := was[from] && !in[from], in[to] && !was[to]
						if from != to && !left && !came {
							t.Fatalf("key %d moved from %s, which stays, to %s, which was there: %v, then %v", key, from, to, was, in)
						}
					}
					before = after
				}
			})
		})
	}
}

// Keys are shared out by weight.
func TestRingShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"10.0.0.1:50051": 1, "10.0.0.2:50051": 1, "10.0.0.3:50051": 2}, balance(backend.RingHash))
		count := make(map[string]int)
		for _, at := range f.owners(10_000) {
			count[at]++
		}
		wantShares(t, count, map[string]float64{"10.0.0.1:50051": 1, "10.0.0.2:50051": 1, "10.0.0.3:50051": 2}, 0, 0.25)
	})
}

// A ring is bounded, whatever the weights; the weights hold all the same.
func TestRingOfUnevenWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1000, "c": 1000}, balance(backend.RingHash))
		count := make(map[string]int)
		for _, at := range f.owners(10_000) {
			count[at]++
		}
		wantShares(t, count, map[string]float64{"b": 1, "c": 1, "a": 0.001}, 40, 0.1)
	})
}

// Which endpoint a key belongs to is the same in every loomd, and tomorrow.
func TestHashIsFixed(t *testing.T) {
	for key, want := range map[string]uint64{"": 0xf52a15e9a9b5e89b, "user-42": 0x7a1596f0e94b5793} {
		if got := backend.Hash(key); got != want {
			t.Errorf("Hash(%q) = %#x, want %#x", key, got, want)
		}
	}
}

// Calls of one key meet at the same endpoint from the first on, although
// another is connected to earlier; those of other keys do not wait for it.
func TestKeysWaitForTheirEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("passthrough:///a", "passthrough:///b"), balance(backend.RingHash))
		r.listener("a").SetDialHook(func(context.Context) error {
			time.Sleep(time.Second)
			return nil
		})
		at := make(map[string]*call)
		for key := 0; len(at) < 2; key++ {
			c := &call{name: strconv.Itoa(key)}
			r.openWith(c, keyed(key))
			synctest.Wait()
			if r.dialled("b") == 1 && at["b"] == nil {
				at["b"] = c
			} else if r.dialled("a") == 1 && at["a"] == nil {
				at["a"] = c
			}
		}
		b := r.accept("b")
		synctest.Wait()
		at["b"].want(t, "placed")
		at["a"].want(t, "waits")
		other := r.call("without a key")
		wantCall(t, b, at["b"].name)
		wantCall(t, b, other.name)
		time.Sleep(time.Second)
		wantCall(t, r.accept("a"), at["a"].name)
	})
}

// When the endpoint of a key cannot be had, the next on the ring stands in,
// also for calls that wait for it already.
func TestNextOnTheRingStandsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1, "c": 1}, balance(backend.RingHash))
		before := f.owners(300)
		f.listener("a").SetDialHook(func(context.Context) error {
			time.Sleep(time.Second)
			return syscall.ECONNREFUSED
		})
		time.Sleep(time.Minute) // the connection was of use
		f.up["a"].Close()
		synctest.Wait()
		var waiting []*visitor
		for key, at := range before {
			if at == "a" {
				waiting = append(waiting, f.stay(keyed(key)))
			}
		}
		if len(waiting) == 0 || waiting[0].at() != "" {
			t.Fatalf("%d calls do not wait for a", len(waiting))
		}
		time.Sleep(2 * time.Second)
		for _, v := range waiting {
			if at := v.at(); at == "" || at == "a" {
				t.Fatalf("a call that waited for a is at %q", at)
			}
		}
		for key, at := range f.owners(300) {
			if before[key] != "a" && at != before[key] || at == "a" {
				t.Fatalf("key %d went from %s to %s", key, before[key], at)
			}
		}
	})
}

// A retry goes to the next on the ring.
func TestKeyedCallAvoids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1, "c": 1}, balance(backend.RingHash))
		first := f.stay(keyed(1)).endpoint
		p := keyed(1)
		p.Avoid = first
		again := f.stay(p).endpoint
		if again == first {
			t.Fatalf("the call went to %s again", first.Name())
		}
		if third := f.stay(p).endpoint; third != again {
			t.Fatalf("the same key avoided %s by %s, then by %s", first.Name(), again.Name(), third.Name())
		}
	})
}

// Calls that wait for an endpoint which leaves go to another.
func TestEndpointLeavesItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///keys"), balance(backend.RingHash))
		name := directory.find(t, "keys")
		if err := name.resolveTo("a"); err != nil {
			t.Fatal(err)
		}
		r.listener("a").SetDialHook(hang)
		c := &call{name: "c"}
		r.openWith(c, keyed(1))
		c.want(t, "waits")
		if st := r.backend.Status(); st.Waiting != 1 {
			t.Fatalf("%d calls wait", st.Waiting)
		}
		if err := name.resolveTo("b"); err != nil {
			t.Fatal(err)
		}
		wantCall(t, r.accept("b"), "c")
	})
}

// Calls that wait for their endpoint hear when the backend stops.
func TestKeysOfAStoppedBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, balance(backend.RingHash), pending(1))
		r.listener("a").SetDialHook(hang)
		c, d := &call{name: "c"}, &call{name: "d"}
		r.openWith(c, keyed(1))
		c.want(t, "waits")
		r.openWith(d, keyed(1))
		d.want(t, "refused: "+backend.ErrPendingFull.Error())
		r.backend.Close()
		c.want(t, "refused: "+backend.ErrStopped.Error())
	})
}

// Keys move to a fresh endpoint little by little, and none moves back.
func TestSlowStartOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow, keys = 10 * time.Minute, 4000
		f := newFleet(t, map[string]int{"a": 1, "b": 1, "c": 1}, balance(backend.RingHash), slowStart(slow))
		time.Sleep(time.Minute)
		f.become("fresh")
		var counts []float64
		before := f.owners(keys)
		for range 5 {
			after := f.owners(keys)
			n := 0.0
			for key, at := range after {
				if at != before[key] && at != "fresh" {
					t.Fatalf("key %d moved from %s to %s", key, before[key], at)
				}
				if at == "fresh" {
					n++
				}
			}
			counts = append(counts, n)
			before = after
			time.Sleep(slow / 4)
		}
		for i, n := range counts {
			if want := counts[4] * float64(i) / 4; n < want-80 || n > want+80 {
				t.Fatalf("%v keys had moved after each quarter of the time", counts)
			}
		}
	})
}
