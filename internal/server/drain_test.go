package server

import (
	"context"
	"crypto/tls"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/internal/loomtest"
)

// crowd connects callers to a server, each with an idle connection.
func crowd(t *testing.T, ln *loomtest.Listener, n int) []*loomtest.Downstream {
	t.Helper()
	var all []*loomtest.Downstream
	for range n {
		nc, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		down := loomtest.NewDownstream(t, nc)
		down.WantSettingsAck()
		all = append(all, down)
	}
	return all
}

// Where the callers come back to another process at once, they are told to go
// one after the other, over the time that is given or less.
func TestFarewellsAreSpread(t *testing.T) {
	for name, c := range map[string]struct {
		callers int
		spread  time.Duration
		least   time.Duration
		most    time.Duration
	}{
		"few":     {10, 15 * time.Second, 150 * time.Millisecond, 250 * time.Millisecond},
		"many":    {50, 100 * time.Millisecond, 80 * time.Millisecond, 150 * time.Millisecond},
		"at once": {50, 0, 0, 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := loomtest.Listen()
				r := serveOn(t, ln)
				all := crowd(t, ln, c.callers)
				start := time.Now()
				var mu sync.Mutex
				var times []time.Duration
				var wg sync.WaitGroup
				for _, down := range all {
					wg.Go(func() {
						down.WantGoAway(http2.ErrCodeNo)
						mu.Lock()
						defer mu.Unlock()
						times = append(times, time.Since(start))
					})
				}
				r.sayFarewell(c.spread, haste{}, nil)
				wg.Wait()
				if last := times[len(times)-1]; last < c.least || last > c.most {
					t.Errorf("the last of %d was told after %v", len(times), last)
				}
				for i := 1; i < len(times) && c.spread > 0; i++ {
					if gap := times[i] - times[i-1]; gap > 2*farewellGap {
						t.Errorf("%v between two farewells", gap)
					}
				}
				for _, down := range all {
					down.Close()
				}
				r.stop()
				r.wantServed()
			})
		})
	}
}

// The spreading ends when there is no more time for it.
func TestFarewellsInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := loomtest.Listen()
		r := serveOn(t, ln)
		all := crowd(t, ln, 10)
		hurry, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		start := time.Now()
		r.sayFarewell(time.Hour, haste{hurry: hurry.Done()}, nil)
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		for _, down := range all {
			down.WantGoAway(http2.ErrCodeNo)
			down.Close()
		}
		r.stop()
		r.wantServed()
	})
}

// Connections without calls are told first.
func TestIdleOnesGoFirst(t *testing.T) {
	hold := new(sync.Mutex)
	r := serve(t, oneBackend(echo(t, hold), anyPort))
	hold.Lock()
	busy, idle := loomtest.NewDownstream(t, r.dial(0)), loomtest.NewDownstream(t, r.dial(0))
	busy.Unary("/test.Echo/Call", []byte("slow"))
	idle.WantSettingsAck()
	eventually(t, "the call has come", func() bool { return r.relay.OpenCalls() == 1 })
	all := r.leavers()
	if len(all) != 2 || all[0].Streams() != 0 || all[1].Streams() != 1 {
		t.Errorf("in this order: %v", all)
	}
	hold.Unlock()
	busy.Close()
	idle.Close()
}

// Calls that do not end while a drain lasts are told why, as far as they have
// come.
func TestDrainTimeout(t *testing.T) {
	hold := new(sync.Mutex)
	r := serve(t, oneBackend(echo(t, hold), anyPort))
	hold.Lock()
	defer hold.Unlock()
	ended := r.openCall()
	r.stop()
	r.cut()
	err := <-ended
	if info, _ := errorInfo(err); status.Code(err) != codes.Unavailable || info.GetDomain() != "loom" || info.GetReason() != "DRAIN_TIMEOUT" {
		t.Errorf("the call ended with %v, %v", err, info)
	}
	r.wantServed()
}

// Who connects as the drain begins is told to go, too, as soon as it can be:
// a TLS handshake that is under way comes to its end.
func TestHandshakeAtDrain(t *testing.T) {
	ca := loomtest.NewAuthority(t, "test")
	cert, key := ca.WritePair(t.TempDir(), "server", loomtest.Named("localhost"))
	r := serve(t, oneBackend(nobody, tlsListener(cert, key, "")))
	late := r.dial(0)
	eventually(t, "it is accepted", func() bool { return len(r.guests(0)) == 1 })
	r.stop()
	eventually(t, "the drain has begun", func() bool { return r.now().listeners[0].isClosed() })
	secure := tls.Client(late, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}})
	down := loomtest.NewDownstream(t, secure)
	if last := down.WantGoAway(http2.ErrCodeNo); last.LastStreamID != 0 {
		t.Errorf("GOAWAY %+v", last)
	}
	down.WantClosed()
	down.Close()
	r.wantServed()
}

// guests are the connections of a listener.
func (r *running) guests(i int) []*guest {
	l := r.now().listeners[i]
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*guest
	for g := range l.guests {
		all = append(all, g)
	}
	return all
}

// Clients that say nothing do not keep a drain waiting: neither those that
// have yet to make a TLS handshake, nor those in clear text.
func TestSilentClientsAtDrain(t *testing.T) {
	ca := loomtest.NewAuthority(t, "test")
	cert, key := ca.WritePair(t.TempDir(), "server", loomtest.Named("localhost"))
	r := serve(t, oneBackend(nobody, tlsListener(cert, key, ""), anyPort))
	for i := range 2 {
		silent := r.dial(i)
		t.Cleanup(func() { _ = silent.Close() })
		eventually(t, "it is accepted", func() bool { return len(r.guests(i)) == 1 })
	}
	start := time.Now()
	r.stop()
	r.wantServed()
	if took := time.Since(start); took > receptionLeft+2*time.Second {
		t.Errorf("it took %v", took)
	}
}
