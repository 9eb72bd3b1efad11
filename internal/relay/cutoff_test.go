package relay_test

import (
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
	"loom/internal/h2"
	"loom/internal/loomtest"
)

// callerOn is a caller in memory, and the relay's side of its connection.
func (r *rig) callerOn() (*loomtest.Downstream, *h2.Conn) {
	mine, theirs := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
	conn := r.serve(theirs)
	return loomtest.NewDownstream(r.t, mine), conn
}

// A drain that takes too long ends each call as far as it has come: with
// trailers after what the backend has sent, Trailers-Only before; and the
// backend is told at once.
func TestCutOff(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down, conn := r.callerOn()
		begun := down.Unary(method, []byte("question"))
		up := r.ups.Accept()
		begunUp := wantQuestion(t, up)
		up.WantEnd(begunUp)
		up.Headers(begunUp)
		up.Data(begunUp, []byte("first"), false)
		down.WantHeaders(begun)
		down.WantMessage(begun)
		open := down.Open(method) // the caller may yet send more
		openUp, _ := up.WantCall()

		b := h2.NewBatch()
		conn.DrainNow(b)
		r.relay.CutOff(b, conn)
		b.Flush()
		wantInfo(t, down.WantTrailers(begun), "DRAIN_TIMEOUT")
		wantInfo(t, down.WantStatus(open, codes.Unavailable), "DRAIN_TIMEOUT")
		down.WantReset(open, http2.ErrCodeNo)
		for _, id := range []uint32{begunUp, openUp} {
			up.WantReset(id, http2.ErrCodeCancel)
		}
		if last := down.WantGoAway(http2.ErrCodeNo); last.LastStreamID != 1<<31-1 {
			t.Errorf("the first GOAWAY says stream %d", last.LastStreamID)
		}
		if last := down.WantGoAway(http2.ErrCodeNo); last.LastStreamID != open {
			t.Errorf("the last GOAWAY says stream %d, want %d", last.LastStreamID, open)
		}
		down.WantClosed()
		for _, s := range r.observer.all() {
			if s.Ender != callevent.ByLoom || s.Reason != "DRAIN_TIMEOUT" {
				t.Errorf("ended by %s, %q", s.Ender, s.Reason)
			}
		}
		down.Close()
		up.Close()
	})
}

// So does a call that still waits for a connection: it never gets one.
func TestCutOffWhileWaiting(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down, conn := r.callerOn()
		first := down.Unary(method, []byte("question"))
		up := r.ups.Accept()
		firstUp := wantQuestion(t, up)
		up.WantEnd(firstUp)
		up.WantSettingsAck()
		waiting := down.Unary(method, []byte("question"))
		down.WantNothing(time.Second)
		b := h2.NewBatch()
		r.relay.CutOff(b, conn)
		b.Flush()
		wantInfo(t, down.WantStatus(first, codes.Unavailable), "DRAIN_TIMEOUT")
		wantInfo(t, down.WantStatus(waiting, codes.Unavailable), "DRAIN_TIMEOUT")
		up.WantReset(firstUp, http2.ErrCodeCancel)
		up.WantNothing(time.Second)
		down.Close()
		up.Close()
	}, func(o *rigOptions) {
		o.connections = 1
		o.upstream = []loomtest.Option{loomtest.WithSettings(setting(http2.SettingMaxConcurrentStreams, 1))}
	})
}
