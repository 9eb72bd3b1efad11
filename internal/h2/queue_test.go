package h2_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// queueing is a connection under test with a raw caller that has opened
// streams and gives windows by hand.
type queueing struct {
	*rawPeer
	conn *served
	end  *loomtest.Conn // of the connection under test
	legs []*leg
}

// newQueueing opens streams 1, 3, ... with windows of that size.
func newQueueing(t *testing.T, streams int, window uint32, change ...func(*h2.Options)) *queueing {
	t.Helper()
	h := newHost(t, change...)
	q := &queueing{}
	q.end, q.rawPeer = h.rawPipe()
	q.conn = h.serve(q.end, true, nil)
	q.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	for i := range streams {
		q.request(uint32(1+2*i), 0)
		l := q.conn.leg()
		l.want("headers")
		l.respond()
		q.legs = append(q.legs, l)
	}
	q.frames()
	return q
}

// script tells frames on streams in words.
func script(frames []loomtest.Frame) (words []string) {
	for _, f := range frames {
		word := fmt.Sprintf("%v %d", f.Type, f.StreamID)
		switch {
		case f.Type == http2.FrameData:
			word += fmt.Sprintf(" len %d", len(f.Payload))
		case f.Type == http2.FrameRSTStream:
			word += fmt.Sprintf(" code %d", f.Payload[3])
		}
		if f.Type != http2.FrameRSTStream && f.Flags.Has(http2.FlagDataEndStream) {
			word += " end"
		}
		words = append(words, word)
	}
	return words
}

func (q *queueing) want(words ...string) {
	q.t.Helper()
	if got := script(q.frames()); !slices.Equal(got, words) {
		q.t.Errorf("got  %q\nwant %q", got, words)
	}
}

// Streams that wait for the connection's window get a frame each in turn,
// however long their queues are.
func TestStreamsTakeTurns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := newQueueing(t, 4, 1<<20)
		// What the connection's first window takes does not count.
		q.legs[3].send(make([]byte, 65535), true)
		q.frames()
		q.legs[0].send(make([]byte, 5*16384), false)
		q.legs[1].send(make([]byte, 16384+10), true)
		q.legs[2].send(make([]byte, 3*16384), false)
		q.want()
		q.windowUpdate(0, 3*16384)
		q.want("DATA 1 len 16384", "DATA 3 len 16384", "DATA 5 len 16384")
		q.windowUpdate(0, 16384)
		q.want("DATA 1 len 16384")
		q.windowUpdate(0, 100)
		q.want("DATA 3 len 10 end", "DATA 5 len 90")
		q.windowUpdate(0, 1<<20)
		q.want("DATA 1 len 16384", "DATA 5 len 16384", "DATA 1 len 16384", "DATA 5 len 16294", "DATA 1 len 16384")
		_ = q.rawPeer.conn.Close()
	})
}

// A stream without a window of its own is passed over, and has its turn when
// it gets one.
func TestStreamWithoutWindowIsPassedOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := newQueueing(t, 2, 20000)
		q.legs[0].send(make([]byte, 65000), false)
		q.legs[1].send(make([]byte, 65000), false)
		q.want("DATA 1 len 16384", "DATA 1 len 3616", "DATA 3 len 16384", "DATA 3 len 3616")
		q.windowUpdate(3, 100)
		q.want("DATA 3 len 100")
		// Windows that a change of settings puts below zero have to be made up for.
		q.frame(http2.FrameSettings, 0, 0, []byte{0, 4, 0, 0, 0, 0})
		q.want("SETTINGS 0 end") // the ACK
		q.windowUpdate(1, 20000)
		q.want()
		q.windowUpdate(1, 7)
		q.want("DATA 1 len 7")
		// And those that they raise let go on at once.
		q.frame(http2.FrameSettings, 0, 0, []byte{0, 4, 0, 0, 0, 5})
		q.want("SETTINGS 0 end", "DATA 1 len 5")
		_ = q.rawPeer.conn.Close()
	})
}

// Streams that wait for the socket take turns, too, and nothing is sent
// beyond the outbox meanwhile.
func TestStreamsTakeTurnsAtTheSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := newQueueing(t, 3, 1<<20, limits(func(l *h2.Limits) { l.Outbox = 16384 }))
		q.windowUpdate(0, 1<<20)
		q.frames()
		q.end.SetWriteCapacity(0)
		q.legs[0].send(make([]byte, 3*16384), false) // one frame's worth over the outbox is at the socket
		synctest.Wait()
		q.legs[1].send(make([]byte, 2*16384), false)
		q.legs[0].send(make([]byte, 16384), false)
		q.legs[2].send(make([]byte, 2*16384), false)
		q.legs[0].send(make([]byte, 16384), true)
		synctest.Wait()
		q.end.SetWriteCapacity(1 << 30)
		got := script(q.frames())
		want := []string{
			"DATA 1 len 16384", "DATA 1 len 16384", "DATA 1 len 16384", // what was at the socket
			"DATA 3 len 16384", "DATA 3 len 16384", // what went into the outbox
			"DATA 1 len 16384", "DATA 5 len 16384", "DATA 1 len 16384 end", "DATA 5 len 16384",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		_ = q.rawPeer.conn.Close()
	})
}

// What follows the bytes of a stream waits for them, and nothing follows the end.
func TestTails(t *testing.T) {
	trailers := func(l *leg) { l.headers(true, "grpc-status", "0") }
	end := func(l *leg) { l.send(nil, true) }
	resetAfter := func(l *leg) { do(func(b *h2.Batch) { l.ResetAfter(b, h2.CodeNo) }) }
	more := func(l *leg) { l.send([]byte("too late"), false) }
	const (
		data, dataEnd = "DATA 1 len 100", "DATA 1 len 100 end"
		empty         = "DATA 1 len 0 end"
		headers       = "HEADERS 1 end"
		reset         = "RST_STREAM 1 code 0"
	)
	tests := []struct {
		name   string
		tail   []func(l *leg)
		queued []string // what comes when the data has to wait
		direct []string // and when it does not
		open   bool     // the stream is open then: the caller has not ended it
	}{
		{"nothing", nil, []string{data}, []string{data}, true},
		{"end", []func(*leg){end}, []string{dataEnd}, []string{data, empty}, true},
		{"trailers", []func(*leg){trailers}, []string{data, headers}, []string{data, headers}, true},
		{"reset", []func(*leg){resetAfter}, []string{data, reset}, []string{data, reset}, false},
		{"end, reset", []func(*leg){end, resetAfter}, []string{dataEnd, reset}, []string{data, empty, reset}, false},
		{"trailers, reset", []func(*leg){trailers, resetAfter},
			[]string{data, headers, reset}, []string{data, headers, reset}, false},
		{"more after trailers", []func(*leg){trailers, more, trailers, end},
			[]string{data, headers}, []string{data, headers}, true},
		{"more after the end", []func(*leg){end, more, trailers, end}, []string{dataEnd}, []string{data, empty}, true},
		{"more after a reset", []func(*leg){resetAfter, more, trailers}, []string{data, reset}, []string{data, reset}, false},
	}
	for _, tt := range tests {
		play := func(t *testing.T, window uint32, want []string) {
			inBubble(t, func(t *testing.T) {
				q := newQueueing(t, 1, window)
				q.legs[0].send(make([]byte, 100), false)
				for _, f := range tt.tail {
					f(q.legs[0])
				}
				if window == 0 {
					q.want()
					q.windowUpdate(1, 100)
				}
				q.want(want...)
				if open := q.conn.Streams() == 1; open != tt.open {
					t.Errorf("the stream is open: %v, want %v", open, tt.open)
				}
				q.legs[0].wantNothing()
				_ = q.rawPeer.conn.Close()
			})
		}
		t.Run(tt.name+"/queued", func(t *testing.T) { play(t, 0, tt.queued) })
		t.Run(tt.name+"/direct", func(t *testing.T) { play(t, 100, tt.direct) })
	}
}

// A queue leaves in as many pieces as the windows make of it; its tail comes
// with the last.
func TestQueueLeavesInPieces(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := newQueueing(t, 1, 10)
		q.legs[0].send(make([]byte, 50), false)
		q.legs[0].send(make([]byte, 50), false)
		q.legs[0].send(make([]byte, 16384), true)
		q.want("DATA 1 len 10")
		q.windowUpdate(1, 70)
		q.want("DATA 1 len 70")
		q.windowUpdate(1, 1<<20)
		q.want("DATA 1 len 16384", "DATA 1 len 20 end")
		_ = q.rawPeer.conn.Close()
	})
}

// A reset drops the queue, and the connection goes on.
func TestResetDropsTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := newQueueing(t, 2, 10)
		q.legs[0].send(make([]byte, 50), true)
		q.legs[1].send(make([]byte, 50), true)
		q.want("DATA 1 len 10", "DATA 3 len 10")
		do(func(b *h2.Batch) {
			q.legs[0].Reset(b, h2.CodeCancel)
			q.legs[0].Reset(b, h2.CodeInternal) // once is enough
			q.legs[0].ResetAfter(b, h2.CodeInternal)
		})
		q.want("RST_STREAM 1 code 8")
		q.windowUpdate(1, 1000) // crossed on the way
		q.windowUpdate(3, 1000)
		q.want("DATA 3 len 40 end")
		time.Sleep(time.Hour)
		q.legs[0].wantNothing()
		_ = q.rawPeer.conn.Close()
	})
}

// Streams that are gone are not kept for the connection's window, which may
// never come.
func TestNothingIsKeptOfStreamsThatAreGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := newQueueing(t, 1, 1<<20)
		q.legs[0].send(make([]byte, 65535), false)
		q.frames()
		for i := range 500 {
			id := uint32(3 + 2*i)
			q.request(id, http2.FlagHeadersEndStream)
			l := q.conn.leg()
			l.want("headers")
			l.respond()
			l.send(make([]byte, 10), true)
			q.frame(http2.FrameRSTStream, 0, id, make([]byte, 4))
			l.want("ended")
			q.frames()
		}
		if got := q.conn.Waiting(); got > 50 {
			t.Errorf("%d streams are held, 1 is open", got)
		}
		_ = q.rawPeer.conn.Close()
	})
}

// A caller that reads nothing cannot have answers pile up here.
func TestAnswersThatNobodyReads(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.Outbox = 16384 }))
		end, peer := h.rawPipe()
		s := h.serve(end, true, func(l *leg) {
			l.onHeaders = func(b *h2.Batch, _ h2.BlockKind, _ []h2.Field, _ bool) {
				l.SendHeaders(b, loomtest.KV(":status", "200", "grpc-status", "0", "x", strings.Repeat("y", 1000)), true)
			}
		})
		peer.greet()
		peer.frames()
		end.SetWriteCapacity(0)
		most := 0
		for i := range 5000 {
			if !s.Usable() {
				break
			}
			peer.request(uint32(1+2*i), http2.FlagHeadersEndStream)
			synctest.Wait()
			most = max(most, s.Queued())
		}
		if s.Usable() {
			t.Error("the connection goes on")
		}
		if most > 200_000 {
			t.Errorf("%d bytes of answers were held", most)
		}
		_ = peer.conn.Close()
	})
}
