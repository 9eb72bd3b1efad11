package backend_test

import (
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
)

// An endpoint knows how many attempts it has, and how those before ended.
func TestAttemptsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, c := r.warm(maxStreams(4))
		for range 4 {
			r.call("more") // the last finds no room
		}
		over := &call{name: "over", over: true}
		r.open(over)
		synctest.Wait()
		want := backend.EndpointStatus{Address: "a", Weight: 1, State: backend.StateReady, Connections: 1, InFlight: 4, Warmth: 1}
		if st := r.backend.Status(); st.Endpoints[0] != want {
			t.Fatalf("%+v, want %+v", st.Endpoints[0], want)
		}
		for _, o := range []backend.Outcome{backend.Good, backend.Bad, backend.Good, backend.Neither} {
			c.endpoint.Done(time.Now(), o)
		}
		want.InFlight, want.Good, want.Bad = 0, 2, 1
		if st := r.backend.Status(); st.Endpoints[0] != want {
			t.Fatalf("%+v, want %+v", st.Endpoints[0], want)
		}
	})
}

// The endpoint that a call avoids gets it only if there is no other.
func TestAvoid(t *testing.T) {
	r := readyRig(t)
	avoid := r.call("first").endpoint
	for range 10 {
		c := &call{name: "again"}
		r.openWith(c, backend.Pick{Avoid: avoid})
		if c.endpoint == avoid {
			t.Fatalf("the call went to %s again", avoid.Name())
		}
	}

	one := newRig(t)
	_, c := one.warm()
	again := &call{name: "again"}
	one.openWith(again, backend.Pick{Avoid: c.endpoint})
	if again.endpoint != c.endpoint {
		t.Fatalf("the call did not go to the only endpoint: %s", again.state())
	}
}
