package backend

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Points on the ring. An endpoint's share is even up to about 1 by the root
// of its points; the whole ring takes 16 bytes a point.
const (
	pointsEach = 160     // of an endpoint of the least weight
	pointsMost = 1 << 16 // of all; beyond it, each endpoint has half as many, or a quarter
)

// Hash returns the Pick.Hash of a key. It is the same in every process.
func Hash(key string) uint64 {
	h := uint64(0xcbf29ce484222325) // FNV-1a
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 0x100000001b3
	}
	return mix(h)
}

// mix spreads what differs in a few bits over all 64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// ring is where the keys of calls lie between the endpoints: a key belongs to
// the endpoint of the next point. An endpoint's points depend on its address
// alone, so that keys move only to one that comes, and from one that goes.
// Immutable.
type ring []point

type point struct {
	hash     uint64
	endpoint int // its place in the list that the ring is of
}

// newRing gives each endpoint points by its weight; least is the least weight
// that any endpoint of the backend may have.
func newRing(list []*Endpoint, least int) ring {
	each := make([]int, len(list))
	for density := float64(pointsEach) / float64(least); ; density /= 2 {
		total := 0
		for i, e := range list {
			each[i] = max(1, int(density*float64(e.weight.Load())))
			total += each[i]
		}
		if total <= max(pointsMost, len(list)) {
			break
		}
	}
	var r ring
	for i, e := range list {
		base := Hash(e.name)
		for n := range each[i] {
			r = append(r, point{mix(base + uint64(n)*golden), i})
		}
	}
	slices.SortFunc(r, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), strings.Compare(list[a.endpoint].name, list[b.endpoint].name))
	})
	return r
}

// without returns what is left of the ring of list for those endpoints of it
// that are in the rotation, in the same order.
func (r ring) without(list, in []*Endpoint) ring {
	places := make([]int, len(list))
	n := 0
	for i, e := range list {
		places[i] = -1
		if n < len(in) && in[n] == e {
			places[i] = n
			n++
		}
	}
	left := make(ring, 0, len(r))
	for _, p := range r {
		if place := places[p.endpoint]; place >= 0 {
			left = append(left, point{p.hash, place})
		}
	}
	return left
}

// walk goes over the places of the endpoints, each once, in the order in
// which they stand in for that to which hash belongs, which is the first.
func (r ring) walk(hash uint64, endpoints int) iter.Seq[int] {
	return func(yield func(int) bool) {
		first, _ := slices.BinarySearchFunc(r, hash, func(p point, h uint64) int { return cmp.Compare(p.hash, h) })
		var seen []bool
		for i, left := 0, endpoints; left > 0; i++ {
			e := r[(first+i)%len(r)].endpoint
			if len(seen) > 0 && seen[e] {
				continue
			}
			if !yield(e) {
				return
			}
			if seen == nil { // seldom are the others asked for
				seen = make([]bool, endpoints)
			}
			seen[e] = true
			left--
		}
	}
}
