package relay

import (
	"math/rand/v2"
	"time"

	"loom/internal/h2"
)

// admit picks the backend of the call and asks for leave to call it. Where it
// is not given, the other backends of the route are asked, by their weights;
// if all refuse, the rejection is the one that ends first.
func (c *Call) admit(b *h2.Batch) (*branch, *Rejection) {
	g := c.routing()
	if g.budget != nil {
		g.budget.call(b.Now)
	}
	branches := g.branches
	first := 0
	if len(branches) > 1 {
		first = c.route.Pick(rand.Uint64())
	}
	br := &branches[first]
	rejected := c.first.ask(b, br.upstream)
	if rejected == nil || len(branches) == 1 {
		return br, rejected
	}
	asked := make([]bool, len(branches))
	for i := first; i >= 0; i = c.route.PickOther(rand.Uint64(), asked) {
		asked[i] = true
		if i == first {
			continue
		}
		other := c.first.ask(b, branches[i].upstream)
		if other == nil {
			return &branches[i], nil
		}
		if sooner(other.RetryIn, rejected.RetryIn) {
			br, rejected = &branches[i], other
		}
	}
	return br, rejected
}

// sooner reports whether a is the shorter wait; 0 stands for one that nobody
// knows.
func sooner(a, b time.Duration) bool { return a != 0 && (b == 0 || a < b) }
