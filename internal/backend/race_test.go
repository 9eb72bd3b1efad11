package backend_test

import (
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/loomtest"
)

// Room that is made at the very moment at which a call was told that there is
// none is not lost, whoever makes it: when the call was not in the queue yet,
// and when it was.
func TestRoomIsMadeWhileServing(t *testing.T) {
	for name, at := range map[string]int{"before it waits": 1, "when it waits": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, connections(1))
				up, _ := r.warm(maxStreams(1))
				c := &call{name: "c", full: func(n int) {
					if n == at {
						up.TrailersOnly(1, codes.OK)
						up.Ping([8]byte{1})
						up.WantPingAck([8]byte{1})
					}
				}}
				r.open(c)
				wantCall(t, up, "c")
			})
		})
	}
}

// A connection that arrives while a call is told that the others are full is
// used; no further one is made.
func TestConnectionArrivesWhileTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(3))
		r.warm(maxStreams(1))
		gone := r.call("gone")
		up2 := r.accept("a", loomtest.Silent(), loomtest.Without(loomtest.AutoSettingsAck))
		gone.giveUp()
		r.backend.Forget(gone)
		r.open(&call{name: "c", full: func(int) {
			up2.Settings()
			synctest.Wait()
		}})
		wantCall(t, up2, "c")
		synctest.Wait()
		if n := r.dialled("a"); n != 2 {
			t.Fatalf("%d connections", n)
		}
	})
}

// A call that gives up while it is served hears no more, even if the backend
// stops at that moment.
func TestForgetWhileServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1))
		r.warm(maxStreams(1))
		c := &call{name: "c"}
		c.full = func(n int) {
			if n == 2 { // it is in the queue
				c.giveUp()
				r.backend.Forget(c)
				b := h2.NewBatch()
				r.backend.Drain(b)
				b.Flush()
			}
		}
		r.open(c)
		c.want(t, "waits") // nobody spoke to it
	})
}

// spent is a call that finds the first connection at the end of its stream
// identifiers.
type spent struct {
	*call
	conn *h2.Conn
}

func (s *spent) Attempt(b *h2.Batch, conn *h2.Conn, e *backend.Endpoint) error {
	if s.conn == nil {
		s.conn = conn
	}
	if s.conn == conn {
		return h2.ErrDraining
	}
	return s.call.Attempt(b, conn, e)
}

// A connection that takes no more streams is replaced, and ends in order.
func TestSpentConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1))
		up, c := r.warm()
		b := h2.NewBatch()
		if err := r.backend.Open(b, &spent{call: &call{name: "second"}}, backend.Pick{}); err != nil {
			t.Fatal(err)
		}
		b.Flush()
		wantCall(t, r.accept("a"), "second")
		up.TrailersOnly(1, codes.OK)
		c.want(t, "replied")
		up.WantClosed()
	})
}
