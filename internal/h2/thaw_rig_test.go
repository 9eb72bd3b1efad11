package h2_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"loom/internal/h2"
)

// mustPause pauses the connection.
func (s *served) mustPause() *h2.Frozen {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), grace)
	defer cancel()
	f, err := s.Pause(ctx)
	if err != nil {
		s.t.Fatalf("pause: %v", err)
	}
	return f
}

// heir is a served connection that takes over its own streams.
type heir struct{ *served }

func (h heir) Stream(id uint32) (*h2.Stream, h2.Receiver, int) {
	for _, l := range h.born {
		if l.ID() == id {
			l.Stream = h2.Stream{}
			return &l.Stream, l, 0
		}
	}
	return nil, nil, 0
}

// rebirth writes connections down, all of them before any goes on, and has
// them go on from what was written: each on its socket, with the same legs.
func (h *host) rebirth(conns ...*served) {
	h.t.Helper()
	h.rebirthOn(func(nc net.Conn) net.Conn { return nc }, conns...)
}

// rebirthOn is rebirth with other sockets in place of those that there are.
func (h *host) rebirthOn(socket func(net.Conn) net.Conn, conns ...*served) {
	h.t.Helper()
	frozen := make([]*h2.Frozen, len(conns))
	names := make(map[*h2.Conn]uint32)
	for i, s := range conns {
		frozen[i] = s.mustPause()
		names[s.Conn] = uint32(i + 1)
	}
	blobs := make([][]byte, len(conns))
	for i, f := range frozen {
		blob, err := f.Marshal(names)
		if err != nil {
			h.t.Fatalf("marshal: %v", err)
		}
		blobs[i] = blob
	}
	sockets := make([]net.Conn, len(conns))
	for i, f := range frozen {
		nc, err := f.Detach()
		if err != nil {
			h.t.Fatalf("detach: %v", err)
		}
		if err := conns[i].wantEnd(); !errors.Is(err, h2.ErrMoved) {
			h.t.Fatalf("Serve of a connection that moved returned %v", err)
		}
		sockets[i] = socket(nc)
	}
	thawed := make([]*h2.Thawed, len(conns))
	for i, s := range conns {
		t, err := h2.Thaw(sockets[i], h.opts, heir{s}, blobs[i])
		if err != nil {
			h.t.Fatal(err)
		}
		thawed[i], s.Conn = t, t.Conn
	}
	clear(names)
	for i, t := range thawed {
		t.Join(func(name uint32) *h2.Conn { return thawed[name-1].Conn })
		names[t.Conn] = uint32(i + 1)
	}
	for i, t := range thawed {
		h.wantSame(t, names, blobs[i])
	}
	for _, s := range conns {
		s.run()
	}
}

// wantSame fails if a connection that was read from blob would not be written
// as that again. Only in a bubble does no time pass meanwhile.
func (h *host) wantSame(t *h2.Thawed, names map[*h2.Conn]uint32, blob []byte) {
	h.t.Helper()
	again, err := t.Record(names)
	if err != nil {
		h.t.Fatalf("marshal again: %v", err)
	}
	if fakeTime() && !bytes.Equal(again, blob) {
		h.t.Errorf("what was read is not what was written:\n%q\n%q", blob, again)
	}
}

// fakeTime reports whether the test runs in a bubble, where time begins with
// the year 2000.
func fakeTime() bool { return time.Now().Year() < 2010 }

// pauseAndResume pauses the connection and lets it go on as it is.
func (s *served) pauseAndResume() {
	s.t.Helper()
	if err := s.mustPause().Resume(); err != nil {
		s.t.Fatalf("resume: %v", err)
	}
}

// twice runs f with a connection that is only paused, and with one that is
// written down and goes on.
func twice(t *testing.T, f func(t *testing.T, again func(h *host, conns ...*served))) {
	t.Helper()
	ways := map[string]func(*host, ...*served){
		"resumed": func(_ *host, conns ...*served) {
			for _, s := range conns {
				s.pauseAndResume()
			}
		},
		"thawed": func(h *host, conns ...*served) { h.rebirth(conns...) },
	}
	for name, again := range ways {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) { f(t, again) })
		})
	}
}
