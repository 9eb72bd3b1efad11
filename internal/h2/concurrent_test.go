package h2_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// echoCall sends random bytes from a goroutine of its own and keeps what
// comes back.
type echoCall struct {
	h2.Stream
	ended chan h2.End   // Ended was called
	whole chan struct{} // closed when the answer is complete

	mu  sync.Mutex
	got []byte // guarded by mu
}

func newEchoCall() *echoCall {
	return &echoCall{ended: make(chan h2.End, 1), whole: make(chan struct{})}
}

func (c *echoCall) Headers(*h2.Batch, h2.BlockKind, []h2.Field, bool) {}

func (c *echoCall) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	c.mu.Lock()
	c.got = append(c.got, p...)
	c.mu.Unlock()
	s.Discard(b, len(p))
	if end {
		close(c.whole)
	}
}

func (c *echoCall) Ended(_ *h2.Batch, e h2.End) { c.ended <- e }
func (c *echoCall) Expired(b *h2.Batch)         { c.Reset(b, h2.CodeCancel) }

// Many goroutines use one connection at once, in every way: no byte of a call
// that goes to its end is lost, and the others end.
func TestManyAtOnce(t *testing.T) {
	sockets(t, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		for round := range uint64(3) {
			h := newHost(t, limits(func(l *h2.Limits) {
				l.Outbox, l.ConnWindow, l.Streams = 8<<10, 64<<10, 30
				l.EarlyResets.Burst, l.OwnResets.Burst = 10000, 10000
			}))
			near, far := pair()
			opening := h.serve(near, false, nil)
			accepting := h2.NewServer(far, h.opts, echoOwner{})
			var serving, callers sync.WaitGroup
			serving.Go(func() { _ = accepting.Serve() })
			for caller := range uint64(8) {
				callers.Go(func() {
					rng := rand.New(rand.NewPCG(round, caller))
					for range 30 {
						playEcho(t, opening, rng)
					}
				})
			}
			callers.Wait()
			if round == 0 {
				opening.drain()
			} else {
				opening.Close()
			}
			serving.Wait()
			_ = opening.wantEnd()
		}
	})
}

func playEcho(t *testing.T, s *served, rng *rand.Rand) {
	c := newEchoCall()
	b := h2.NewBatch()
	for {
		err := s.Open(b, &c.Stream, c, []h2.Field(loomtest.RequestFields("/s/m")), false)
		if err == nil {
			break
		}
		if !errors.Is(err, h2.ErrFull) {
			t.Errorf("open: %v", err)
			return
		}
		time.Sleep(time.Millisecond)
	}
	body := bytes.Repeat([]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())}, rng.IntN(30000))
	cut := rng.IntN(4)
	switch cut {
	case 0:
		c.SetDeadline(time.Now().Add(time.Duration(rng.IntN(2000)) * time.Microsecond))
	case 1:
		defer do(func(b *h2.Batch) { c.Reset(b, h2.CodeCancel) })
	}
	for rest := body; ; {
		n := rng.IntN(len(rest) + 1)
		c.Send(b, rest[:n], n == len(rest), nil)
		b.Flush()
		if n == len(rest) {
			break
		}
		rest = rest[n:]
	}
	if cut < 2 {
		return
	}
	select {
	case <-c.whole:
	case e := <-c.ended:
		t.Errorf("a call ended with %+v", e)
		return
	case <-time.After(time.Minute):
		t.Error("a call does not end")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !bytes.Equal(c.got, body) {
		t.Errorf("%d bytes came back, %d were sent, or others", len(c.got), len(body))
	}
}
