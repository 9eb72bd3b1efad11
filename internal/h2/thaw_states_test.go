package h2_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// accepted is a stream on the server's side in some state, and its caller.
type accepted struct {
	*host
	s    *served
	down *loomtest.Downstream
	leg  *leg
	id   uint32
}

// acceptedStates are the states that a stream can be in on the server's side:
// how it gets there, and what has to come of it afterwards.
var acceptedStates = []struct {
	name string
	into func(a *accepted)
	then func(a *accepted)
}{
	{"open, nothing answered", func(*accepted) {}, func(a *accepted) { a.exchange(true) }},
	{"open, headers answered", func(a *accepted) { a.answer() }, func(a *accepted) { a.exchange(false) }},
	{"half-closed by the caller", func(a *accepted) {
		a.answer()
		a.down.Data(a.id, nil, true)
		a.leg.want("data")
	}, func(a *accepted) {
		a.leg.send([]byte("still"), false)
		a.leg.headers(true, "grpc-status", "0")
		a.down.WantBytes(a.id, 5)
		a.down.WantStatus(a.id, 0)
	}},
	{"half-closed by us", func(a *accepted) {
		a.answer()
		a.leg.send(nil, true)
		a.down.WantEnd(a.id)
	}, func(a *accepted) {
		before := a.s.Streams()
		a.down.RawData(a.id, []byte("more"), true)
		if got := a.leg.want("data"); string(got.data) != "more" || !got.end {
			a.t.Errorf("got %+v", got)
		}
		synctest.Wait()
		if n := a.s.Streams(); n != before-1 {
			a.t.Errorf("%d streams are open, want %d", n, before-1)
		}
	}},
	{"bytes queued", func(a *accepted) { a.queue(false) }, func(a *accepted) {
		a.release()
		a.leg.send([]byte("more"), false)
		a.leg.headers(true, "grpc-status", "0")
		a.down.WantBytes(a.id, 4)
		a.down.WantStatus(a.id, 0)
	}},
	{"bytes queued with an end", func(a *accepted) { a.queue(true) }, func(a *accepted) {
		a.release()
		a.down.WantEnd(a.id)
	}},
	{"bytes queued with trailers", func(a *accepted) {
		a.queue(false)
		do(func(b *h2.Batch) {
			a.leg.SendHeaders(b, []h2.Field{{Name: "grpc-status", Value: "0"}, {Name: "secret", Value: "s", Sensitive: true}}, true)
		})
	}, func(a *accepted) {
		a.release()
		got := a.down.WantStatus(a.id, 0)
		if f := got.Fields[len(got.Fields)-1]; f.Name != "secret" || f.Value != "s" || !f.Sensitive {
			a.t.Errorf("the field is %+v", f)
		}
	}},
	{"bytes queued with a reset", func(a *accepted) {
		a.queue(false)
		do(func(b *h2.Batch) { a.leg.ResetAfter(b, h2.CodeInternal) })
	}, func(a *accepted) {
		a.release()
		a.down.WantReset(a.id, http2.ErrCodeInternal)
	}},
	{"bytes queued with trailers and a reset", func(a *accepted) {
		a.queue(false)
		a.leg.headers(true, "grpc-status", "14")
		do(func(b *h2.Batch) { a.leg.ResetAfter(b, h2.CodeNo) })
	}, func(a *accepted) {
		a.release()
		a.down.WantStatus(a.id, 14)
		a.down.WantReset(a.id, http2.ErrCodeNo)
	}},
	{"reset by the caller", func(a *accepted) {
		a.down.Reset(a.id, http2.ErrCodeCancel)
		a.leg.wantEnded(h2.CausePeer)
	}, func(a *accepted) {
		a.leg.send([]byte("late"), false)
		a.down.WantNothing(time.Second)
	}},
	{"reset by us", func(a *accepted) {
		do(func(b *h2.Batch) { a.leg.Reset(b, h2.CodeCancel) })
		a.down.WantReset(a.id, http2.ErrCodeCancel)
	}, func(a *accepted) {
		// What was under way then is no fault.
		a.down.RawData(a.id, []byte("late"), false)
		a.down.HeaderBlock(a.id, true, loomtest.KV("x", "trailers"))
		a.down.WantNothing(time.Second)
	}},
	{"ended", func(a *accepted) {
		a.down.Data(a.id, nil, true)
		a.leg.headers(true, ":status", "200", "grpc-status", "0")
		a.down.WantStatus(a.id, 0)
	}, func(a *accepted) {
		a.down.RawFrame(http2.FrameData, 0, a.id, []byte("a fault"))
		a.down.WantReset(a.id, http2.ErrCodeStreamClosed)
	}},
}

func (a *accepted) answer() {
	a.leg.respond()
	a.down.WantHeaders(a.id)
}

// exchange passes bytes both ways, and ends the stream.
func (a *accepted) exchange(answer bool) {
	if answer {
		a.answer()
	}
	a.down.RawData(a.id, []byte("question"), false)
	if got := a.leg.want("data").data; string(got) != "question" {
		a.t.Errorf("got %q", got)
	}
	a.leg.send([]byte("answer"), false)
	if got := a.down.WantBytes(a.id, 6); string(got) != "answer" {
		a.t.Errorf("got %q", got)
	}
	a.down.HeaderBlock(a.id, true, loomtest.KV("x-request", "trailers"))
	if got := a.leg.want("headers"); got.kind != h2.BlockTrailers || got.fields.Get("x-request") != "trailers" {
		a.t.Errorf("got %+v", got)
	}
	a.leg.headers(true, "grpc-status", "0", "x", "y")
	a.down.WantStatus(a.id, 0)
}

// queued are more bytes than the caller's window takes.
var queued = bytes.Repeat([]byte("0123456789abcdef"), 5000)

func (a *accepted) queue(end bool) {
	a.answer()
	a.leg.send(queued, end)
	if got := a.down.WantBytes(a.id, 65535); !bytes.Equal(got, queued[:65535]) {
		a.t.Error("what came is not what was sent")
	}
	synctest.Wait()
	if n := a.leg.Queued(); n != len(queued)-65535 {
		a.t.Fatalf("%d bytes are queued", n)
	}
}

// release gives the window that queued bytes wait for.
func (a *accepted) release() {
	a.down.WantNothing(time.Second)
	a.down.WindowUpdate(a.id, 1<<20)
	a.down.WindowUpdate(0, 1<<20)
	if got := a.down.WantBytes(a.id, len(queued)-65535); !bytes.Equal(got, queued[65535:]) {
		a.t.Error("what was queued is not what came")
	}
}

// A stream goes on from any state, whether its connection is paused once or
// again and again.
func TestThawAcceptedStreams(t *testing.T) {
	for _, tt := range acceptedStates {
		t.Run(tt.name, func(t *testing.T) {
			twice(t, func(t *testing.T, again func(*host, ...*served)) {
				a := &accepted{host: newHost(t)}
				a.s, a.down = a.downstream(nil, manual)
				a.id = a.down.Open("/s/m")
				a.leg = a.s.leg()
				a.leg.want("headers")
				tt.into(a)
				for range 3 {
					again(a.host, a.s)
				}
				tt.then(a)
				a.wantNewCall()
			})
		})
	}
}

// wantNewCall makes a call on the connection.
func (a *accepted) wantNewCall() {
	id := a.down.Unary("/s/again", []byte("hello"))
	l := a.s.leg()
	l.want("headers")
	l.want("data")
	l.headers(true, ":status", "200", "grpc-status", "0")
	a.down.WantStatus(id, 0)
}

// All states at once, on one connection.
func TestThawAllAcceptedStatesAtOnce(t *testing.T) {
	twice(t, func(t *testing.T, again func(*host, ...*served)) {
		h := newHost(t)
		s, down := h.downstream(nil, manual)
		down.WindowUpdate(0, 1<<30)
		all := make([]*accepted, len(acceptedStates))
		for i, state := range acceptedStates {
			a := &accepted{host: h, s: s, down: down, id: down.Open("/s/m", "n", state.name)}
			a.leg = s.leg()
			if got := a.leg.want("headers").fields.Get("n"); got != state.name {
				t.Fatalf("got the stream of %q", got)
			}
			state.into(a)
			all[i] = a
		}
		for range 10 {
			again(h, s)
		}
		for i := range acceptedStates {
			a := all[i]
			acceptedStates[i].then(a)
			again(h, s)
		}
		all[0].wantNewCall()
	})
}

// A peer that wants no dynamic table gets none, before and after.
func TestThawKeepsThePeersTableSize(t *testing.T) {
	twice(t, func(t *testing.T, again func(*host, ...*served)) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		peer.greet(http2.Setting{ID: http2.SettingHeaderTableSize})
		dec := hpack.NewDecoder(0, nil)
		for i := range 6 {
			peer.request(uint32(2*i+1), http2.FlagHeadersEndStream)
			l := s.leg()
			l.want("headers")
			l.headers(true, ":status", "200", "content-type", "application/grpc", "server", "loom")
			for _, f := range of(http2.FrameHeaders, peer.frames()) {
				if _, err := dec.DecodeFull(f.Payload); err != nil {
					t.Errorf("answer %d: %v", i, err)
				}
			}
			if i%3 == 0 {
				again(h, s)
			}
		}
		_ = peer.conn.Close()
	})
}
