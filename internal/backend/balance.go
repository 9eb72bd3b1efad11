package backend

import (
	"math/bits"
	"math/rand/v2"
	"time"
)

// Balance is how an endpoint is picked for a call.
type Balance uint8

// Ways to pick an endpoint. All give each endpoint a share of the calls that
// goes by the weight of its target.
const (
	RoundRobin   Balance = iota // in turn
	LeastRequest                // of two at random, the one with fewer attempts for its weight
	RingHash                    // calls of the same Pick.Hash to the same one, the others in turn
)

// golden is 2^64 divided by the golden ratio. Its multiples fill the range of
// 64 bits more evenly than chance would: each endpoint gets its share of any
// calls that follow each other, with a difference of one or two.
const golden = 0x9E3779B97F4A7C15

// shares is how calls are dealt out to endpoints by their weights. Immutable.
type shares struct {
	n    int
	ends []uint64 // of each one's part of the range of 64 bits; nil if all weights are the same
}

func newShares(list []*Endpoint) shares {
	s := shares{n: len(list)}
	var total uint64
	same := true
	for _, e := range list {
		total += uint64(e.weight.Load())
		same = same && e.weight.Load() == list[0].weight.Load()
	}
	if same {
		return s
	}
	var sum uint64
	for _, e := range list {
		sum += uint64(e.weight.Load())
		if sum == total {
			s.ends = append(s.ends, 1<<64-1)
			break
		}
		end, _ := bits.Div64(sum, 0, total)
		s.ends = append(s.ends, end)
	}
	return s
}

// at returns the place of the endpoint in whose part a point lies.
func (s *shares) at(point uint64) int {
	if s.ends == nil {
		i, _ := bits.Mul64(point, uint64(s.n))
		return int(i)
	}
	low, high := 0, len(s.ends)-1
	for low < high {
		if mid := (low + high) / 2; point < s.ends[mid] {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// turn returns the place of the next one.
func (s *shares) turn(turn uint64) int {
	if s.ends == nil {
		return int(turn % uint64(s.n))
	}
	return s.at(turn * golden)
}

// pick returns the place in r of the endpoint for the next call.
func (k *Backend) pick(r *rotation, now time.Time) int {
	if r.warmUntil == 0 {
		return k.pickAny(r)
	}
	age := k.age(now)
	i := k.pickAny(r)
	for range 8 {
		if r.endpoints[i].takesMore(age) {
			return i
		}
		i = k.pickAny(r)
	}
	return i // nearly all are fresh
}

func (k *Backend) pickAny(r *rotation) int {
	if len(r.endpoints) == 1 {
		return 0
	}
	if k.options().Balance == LeastRequest {
		chance := rand.Uint64()
		return r.lessBusy(chance, bits.RotateLeft64(chance, 32)) // the halves of it
	}
	return r.shares.turn(k.next.Add(1))
}

// lessBusy returns that of two endpoints which has fewer attempts for its
// weight. The first of them where they are even, so that a backend with
// little to do deals its calls out by weight, too.
func (r *rotation) lessBusy(one, other uint64) int {
	i, j := r.shares.at(one), r.shares.at(other)
	if i == j {
		j = (i + 1) % len(r.endpoints)
	}
	a, b := r.endpoints[i], r.endpoints[j]
	if b.inFlight.Load()*a.weight.Load() < a.inFlight.Load()*b.weight.Load() {
		return j
	}
	return i
}
