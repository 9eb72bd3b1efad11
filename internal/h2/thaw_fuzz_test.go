package h2_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// FuzzThaw reads connections that anybody may have written down, with a
// checksum that is right. They are refused, or go on as if they were true: with
// anything at all that their peer says, they neither panic nor hang, and leave
// nothing behind. What was read is written down again as one thing only.
func FuzzThaw(f *testing.F) {
	for _, record := range frozenSeeds(f) {
		f.Add(record, loomtest.FrameBytes(http2.FrameWindowUpdate, 0, 1, []byte{0, 0, 1, 0}))
		f.Add(record, loomtest.FrameBytes(http2.FrameSettings, 0, 0, []byte{0, 4, 0x7f, 0xff, 0xff, 0xff}))
		f.Add(record, []byte{})
	}
	f.Fuzz(func(t *testing.T, record, wire []byte) {
		blob := h2.Sealed(append([]byte(h2.FrozenHead), record...))
		synctest.Test(t, func(t *testing.T) { playThawed(t, blob, wire) })
	})
}

// frozenSeeds are connections in the middle of their conversations.
func frozenSeeds(f *testing.F) [][]byte {
	f.Helper()
	var records [][]byte
	for _, c := range conversations() {
		for n := 0; n <= len(c.says); n += 90 {
			near, far := loomtest.Pipe(1<<20, 1<<20)
			counters := new(h2.Counters)
			opts := &h2.Options{Limits: h2.DefaultLimits(), Counters: counters, Budget: h2.NewBudget(64<<20, counters)}
			owner := &fuzzOwner{}
			conn := h2.NewServer(near, opts, owner)
			if !c.server {
				conn = h2.NewClient(near, opts, owner)
				owner.open(conn)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = conn.Serve()
			}()
			if _, err := far.Write(c.says[:n]); err != nil {
				f.Fatal(err)
			}
			for near.Unread() > 0 {
				time.Sleep(100 * time.Microsecond)
			}
			frozen, err := conn.Pause(f.Context())
			if err != nil {
				f.Fatal(err)
			}
			blob, err := frozen.Marshal(map[*h2.Conn]uint32{conn: 1})
			if err != nil {
				f.Fatal(err)
			}
			records = append(records, blob[len(h2.FrozenHead):len(blob)-4])
			conn.Close()
			<-ended
			_ = far.Close()
		}
	}
	return records
}

// fuzzHeir takes over streams that echo.
type fuzzHeir struct{ *fuzzOwner }

func (o fuzzHeir) Stream(id uint32) (*h2.Stream, h2.Receiver, int) {
	l := o.leg(id%4 == 1)
	l.held = int(id % 3)
	return &l.Stream, l, l.held
}

func playThawed(t *testing.T, blob, wire []byte) {
	h := newHost(t)
	end, peer := h.rawPipe()
	owner := &fuzzOwner{}
	first, err := h2.Thaw(end, h.opts, fuzzHeir{owner}, blob)
	if err != nil {
		for _, l := range owner.legs {
			if l.ID() != 0 {
				t.Error("a connection that is refused leaves a trace")
			}
		}
		return
	}
	// Numbers may be cut to what they may be; then nothing changes any more.
	names := map[*h2.Conn]uint32{first.Conn: 1}
	first.Join(func(name uint32) *h2.Conn { return map[uint32]*h2.Conn{1: first.Conn}[name] })
	again, err := first.Record(names)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	owner = &fuzzOwner{}
	thawed, err := h2.Thaw(end, h.opts, fuzzHeir{owner}, again)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	thawed.Join(func(uint32) *h2.Conn { return thawed.Conn })
	if third, err := thawed.Record(map[*h2.Conn]uint32{thawed.Conn: 1}); err != nil || !bytes.Equal(third, again) {
		t.Errorf("what was read is not what was written (%v):\n%q\n%q", err, again, third)
	}
	goOn(t, thawed, owner, peer, wire)
}

// goOn has a connection that was thawed live for a minute.
func goOn(t *testing.T, thawed *h2.Thawed, owner *fuzzOwner, peer *rawPeer, wire []byte) {
	t.Helper()
	conn, ended := thawed.Conn, make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.Serve()
	}()
	// It may end at any time, and the peer be cut off.
	_, _ = peer.conn.Write(wire[:len(wire)/2])
	synctest.Wait()
	if frozen, err := conn.Pause(t.Context()); err == nil {
		if _, err := frozen.Marshal(nil); err != nil {
			t.Errorf("a connection that goes on cannot be written down: %v", err)
		}
		_ = frozen.Resume()
	}
	for _, l := range owner.legs {
		if l.ID() != 0 {
			do(func(b *h2.Batch) {
				l.Send(b, []byte("held")[:l.held], false, &l.Stream)
				l.Send(b, []byte("more"), false, nil)
				l.SendHeaders(b, loomtest.KV("x", "y"), true)
			})
		}
	}
	_, _ = peer.conn.Write(wire[len(wire)/2:])
	time.Sleep(time.Minute)
	synctest.Wait()
	conn.Close()
	select {
	case <-ended:
	case <-time.After(time.Hour):
		t.Error("the connection does not end")
	}
	_ = peer.conn.Close()
	owner.wantAllEnded(t)
}
