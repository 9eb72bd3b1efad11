package h2_test

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// Who is turned away reads why, though it has sent its first request already.
func TestRefuse(t *testing.T) {
	sockets(t, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		near, far := pair()
		defer func() { _ = far.Close() }()
		mustWrite(t, far, greetCaller(), requestBytes(1))
		refused := make(chan struct{})
		go func() {
			defer close(refused)
			h2.Refuse(near, "too many connections")
		}()
		wire, _ := io.ReadAll(far)
		frames, err := loomtest.ReadFrames(wire)
		if err != nil || len(frames) != 2 || frames[0].Type != http2.FrameSettings || frames[1].Type != http2.FrameGoAway {
			t.Fatalf("got %v, %v", frames, err)
		}
		if got := reaction(frames); got != "GOAWAY 0 NO_ERROR" {
			t.Errorf("got %s", got)
		}
		if why := string(frames[1].Payload[8:]); why != "too many connections" {
			t.Errorf("got %q", why)
		}
		_ = far.Close()
		<-refused
	})
}

// It waits for nobody longer than a second.
func TestRefuseTakesNoTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		near, far := loomtest.Pipe(0, 0) // takes nothing
		defer func() { _ = far.Close() }()
		start := time.Now()
		h2.Refuse(near, "too many connections")
		wantAt(t, "gone", start, time.Second)
	})
}

// A connection tells whether its peer speaks HTTP/2, and has ever answered.
func TestSettledAndAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		end, peer := h.rawPipe()
		s := h.serve(end, false, nil)
		want := func(after string, settled, answered bool) {
			t.Helper()
			peer.frames()
			if s.Settled() != settled || s.Answered() != answered {
				t.Errorf("after %s: settled %v, answered %v; want %v, %v", after, s.Settled(), s.Answered(), settled, answered)
			}
		}
		want("nothing", false, false)
		s.mustOpen(true)
		want("a request", false, false)
		peer.answerGreeting()
		want("SETTINGS", true, false)
		peer.frame(http2.FrameHeaders, endHeaders, 1, block(":status", "103"))
		want("an interim answer", true, false)
		peer.frame(http2.FrameHeaders, endHeaders|endStream, 1, block(":status", "200"))
		want("an answer", true, true)
		if s.NetConn() != net.Conn(end) {
			t.Error("NetConn is another connection")
		}
		_ = peer.conn.Close()
		_ = s.wantEnd()
		want("the end", true, true)
	})
}
