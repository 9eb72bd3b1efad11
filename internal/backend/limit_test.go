package backend_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
)

func concurrent(n int) func(*backend.Options) { return func(o *backend.Options) { o.Concurrent = n } }

// Calls beyond the limit are refused, and counted; a call that ends, in
// whatever way, makes place for another.
func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1), concurrent(2))
		const refused = "refused: too many calls are open"
		up, first := r.warm(maxStreams(1))
		waits := r.call("waits")
		r.call("too many").want(t, refused)

		// One that waits gives up.
		waits.giveUp()
		r.backend.Forget(waits)
		r.backend.Forget(waits)
		next := r.call("next")
		r.call("too many").want(t, refused)

		// One that was open has ended.
		up.TrailersOnly(1, codes.OK)
		wantCall(t, up, "next")
		next.want(t, "placed")
		first.placedEndpoint().Done(time.Now(), backend.Good)
		r.call("another").want(t, "waits")
		r.call("too many").want(t, refused)

		if n := r.counters.ConcurrentRefused.Load(); n != 3 {
			t.Fatalf("ConcurrentRefused = %d", n)
		}
	})
}

// Calls that are refused for another reason, or turn out to be over, leave
// their place to others.
func TestConcurrentIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1), concurrent(1), pending(1))
		_ = r.listener("a").Close()
		for range 10 {
			r.call("in vain").want(t, "refused: connect to a: connection refused")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1), concurrent(2))
		r.warm()
		for range 10 {
			r.open(&call{name: "over", over: true})
		}
		r.call("fits").want(t, "placed")
	})
}
