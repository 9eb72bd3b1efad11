package relay_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
	"loom/internal/loomtest"
)

const method = "/acme.v1.Things/Get"

// open starts a call that both ends see: one message has gone up.
func open(t *testing.T, r *rig) (down *loomtest.Downstream, id uint32, up *loomtest.Upstream, upID uint32) {
	t.Helper()
	down = r.caller()
	id = down.Open(method)
	down.Data(id, []byte("question"), false)
	up = r.ups.Accept()
	upID = wantQuestion(t, up)
	return down, id, up, upID
}

// wantQuestion waits for the request that open sends.
func wantQuestion(t *testing.T, up *loomtest.Upstream) (id uint32) {
	t.Helper()
	id, request := up.WantCall()
	if got := request.Get(":path"); got != method {
		t.Fatalf("upstream got path %q", got)
	}
	if msg := up.WantMessage(id); string(msg) != "question" {
		t.Fatalf("upstream got message %q", msg)
	}
	return id
}

// wantReply waits for an answer with one message, status OK.
func wantReply(t *testing.T, down *loomtest.Downstream, id uint32, msg string) {
	t.Helper()
	down.WantHeaders(id)
	if got := down.WantMessage(id); string(got) != msg {
		t.Fatalf("downstream got message %q, want %q", got, msg)
	}
	if tr := down.WantTrailers(id); tr.Get("grpc-status") != "0" {
		t.Fatalf("downstream got trailers %v", tr)
	}
}

func TestUnaryCall(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down := r.caller()
		id := down.Unary(method, []byte("question"), "x-trace", "1", "x-trace", "2")
		up := r.ups.Accept()
		upID, request := up.WantCall()
		want := loomtest.RequestFields(method, "x-trace", "1", "x-trace", "2")
		if got := request.Fields.String(); got != want.String() {
			t.Fatalf("upstream got %s\nwant %s", got, want)
		}
		if msg := up.WantMessage(upID); string(msg) != "question" {
			t.Fatalf("message %q", msg)
		}
		up.WantEnd(upID)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		r.settle()
		s := r.observer.only()
		if s.Ender != callevent.ByBackend || !s.HasCode || s.Code != uint32(codes.OK) || s.Attempts != 1 {
			t.Fatalf("summary %+v", s)
		}
		if s.Up.Messages != 1 || s.Down.Messages != 1 || s.Up.Bytes != 13 || s.Down.Bytes != 11 {
			t.Fatalf("traffic %+v %+v", s.Up, s.Down)
		}
	})
}
