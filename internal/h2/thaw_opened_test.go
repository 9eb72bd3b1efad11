package h2_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// opened is a stream that we opened in some state, and its backend.
type opened struct {
	*host
	s   *served
	up  *loomtest.Upstream
	leg *leg
	id  uint32
}

// openedStates are the states that a stream can be in on the side that opens
// streams.
var openedStates = []struct {
	name string
	into func(o *opened)
	then func(o *opened)
}{
	{"open, nothing answered", func(*opened) {}, func(o *opened) { o.exchange(true) }},
	{"open, headers answered", func(o *opened) { o.answer() }, func(o *opened) { o.exchange(false) }},
	{"open, an interim answer", func(o *opened) {
		o.up.HeaderBlock(o.id, false, loomtest.KV(":status", "103"))
		o.leg.want("headers")
	}, func(o *opened) { o.exchange(true) }},
	{"half-closed by us", func(o *opened) {
		o.leg.send([]byte("all"), true)
		o.up.WantBytes(o.id, 3)
		o.up.WantEnd(o.id)
	}, func(o *opened) { o.finish(true) }},
	{"half-closed by the backend", func(o *opened) {
		o.up.TrailersOnly(o.id, codes.OK)
		if got := o.leg.want("headers"); !got.end {
			o.t.Error("no end")
		}
	}, func(o *opened) {
		o.leg.send([]byte("still"), true)
		o.up.WantBytes(o.id, 5)
		o.up.WantEnd(o.id)
	}},
	{"bytes queued with an end", func(o *opened) { o.queue(true) }, func(o *opened) {
		o.release()
		o.up.WantEnd(o.id)
		o.finish(true)
	}},
	{"bytes queued with trailers", func(o *opened) {
		o.queue(false)
		o.leg.headers(true, "x-request", "trailers")
	}, func(o *opened) {
		o.release()
		if got := o.up.WantTrailers(o.id); got.Get("x-request") != "trailers" {
			o.t.Errorf("got %v", got)
		}
		o.finish(true)
	}},
	{"within its content-length", func(o *opened) {
		o.up.Headers(o.id, "content-length", "10")
		o.up.RawData(o.id, []byte("01234"), false)
		o.leg.want("headers")
		o.leg.want("data")
	}, func(o *opened) {
		o.up.RawData(o.id, []byte("567890"), false)
		o.leg.wantEnded(h2.CauseFault)
		o.up.WantReset(o.id, http2.ErrCodeProtocol)
	}},
	{"refused", func(o *opened) {
		o.up.Reset(o.id, http2.ErrCodeRefusedStream)
		o.leg.wantEnded(h2.CauseRefused)
	}, func(o *opened) { o.up.WantNothing(time.Second) }},
}

func (o *opened) answer() {
	o.up.Headers(o.id)
	o.leg.want("headers")
}

func (o *opened) exchange(answer bool) {
	o.leg.send([]byte("question"), false)
	if got := o.up.WantBytes(o.id, 8); string(got) != "question" {
		o.t.Errorf("got %q", got)
	}
	o.leg.send(nil, true)
	o.up.WantEnd(o.id)
	o.finish(answer)
}

// finish has the backend end the call in order.
func (o *opened) finish(answer bool) {
	if answer {
		o.answer()
	}
	o.up.RawData(o.id, []byte("answer"), false)
	if got := o.leg.want("data").data; string(got) != "answer" {
		o.t.Errorf("got %q", got)
	}
	o.up.Trailers(o.id, codes.OK, "x", "y")
	if got := o.leg.want("headers"); got.kind != h2.BlockTrailers || got.fields.Get("x") != "y" {
		o.t.Errorf("got %+v", got)
	}
	o.leg.wantNothing()
}

func (o *opened) queue(end bool) {
	o.leg.send(queued, end)
	if got := o.up.WantBytes(o.id, 65535); !bytes.Equal(got, queued[:65535]) {
		o.t.Error("what came is not what was sent")
	}
	synctest.Wait()
}

func (o *opened) release() {
	o.up.WantNothing(time.Second)
	o.up.WindowUpdate(o.id, 1<<20)
	o.up.WindowUpdate(0, 1<<20)
	if got := o.up.WantBytes(o.id, len(queued)-65535); !bytes.Equal(got, queued[65535:]) {
		o.t.Error("what was queued is not what came")
	}
}

func (o *opened) open() {
	o.leg = o.s.mustOpen(false)
	o.id, _ = o.up.WantCall()
}

func TestThawOpenedStreams(t *testing.T) {
	for _, tt := range openedStates {
		t.Run(tt.name, func(t *testing.T) {
			twice(t, func(t *testing.T, again func(*host, ...*served)) {
				o := &opened{host: newHost(t)}
				o.s, o.up = o.upstream(manual)
				synctest.Wait()
				o.open()
				tt.into(o)
				for range 3 {
					again(o.host, o.s)
				}
				tt.then(o)
				o.open()
				o.exchange(true)
			})
		})
	}
}

func TestThawAllOpenedStatesAtOnce(t *testing.T) {
	twice(t, func(t *testing.T, again func(*host, ...*served)) {
		h := newHost(t)
		s, up := h.upstream(manual)
		up.WindowUpdate(0, 1<<30)
		synctest.Wait()
		all := make([]*opened, len(openedStates))
		for i, state := range openedStates {
			all[i] = &opened{host: h, s: s, up: up}
			all[i].open()
			state.into(all[i])
		}
		for range 10 {
			again(h, s)
		}
		for i, state := range openedStates {
			state.then(all[i])
			again(h, s)
		}
		all[0].open()
		all[0].exchange(true)
	})
}

// What the backend certainly did not get is told from what it may have got,
// after the connection has gone on as before.
func TestThawKeepsWhatWasSent(t *testing.T) {
	twice(t, func(t *testing.T, again func(*host, ...*served)) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, false, nil)
		peer.answerGreeting()
		peer.frames()
		sent := s.mustOpen(false)
		peer.frames()
		conn.SetWriteCapacity(0)
		given := s.mustOpen(false) // to the socket, which takes nothing
		synctest.Wait()
		for range 3 {
			again(h, s)
			synctest.Wait()
		}
		waits := s.mustOpen(false)
		synctest.Wait()
		_ = peer.conn.Close()
		sent.wantEnded(h2.CauseLost)
		given.wantEnded(h2.CauseLost)
		waits.wantEnded(h2.CauseRefused)
		_ = s.wantEnd()
	})
}

// While it is paused nothing is at the socket, so it is known what that took.
func TestWhatWasSentWhenAPauseEndsBadly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, false, nil)
		peer.answerGreeting()
		peer.frames()
		sent := s.mustOpen(false)
		peer.frames()
		conn.SetWriteCapacity(10)
		half := s.mustOpen(false) // 10 of its 15 bytes leave
		synctest.Wait()
		given := s.mustOpen(false) // none of its bytes leave
		s.mustPause()
		_ = peer.conn.Close()
		s.Close()
		sent.wantEnded(h2.CauseLost)
		half.wantEnded(h2.CauseLost)
		given.wantEnded(h2.CauseRefused)
		_ = s.wantEnd()
	})
}
