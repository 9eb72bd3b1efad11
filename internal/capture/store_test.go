package capture_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
	"loom/internal/capture"
)

func options() capture.Options {
	return capture.Options{Generation: 0x8f2, Calls: 100, Bytes: 8 << 20, MessageBytes: 256 << 10, Redact: []string{"Authorization"}}
}

func newStore(t testing.TB, o capture.Options) *capture.Store {
	t.Helper()
	s, err := capture.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var (
	requestFields  = []hpack.HeaderField{{Name: ":path", Value: "/acme.v1.Things/Get"}, {Name: "authorization", Value: "Bearer secret"}}
	responseFields = []hpack.HeaderField{{Name: ":status", Value: "200"}}
	trailerFields  = []hpack.HeaderField{{Name: "grpc-status", Value: "0"}}
)

// unary plays a unary call as the relay would.
func unary(s *capture.Store, id uint64, message []byte) {
	at := time.Unix(1_800_000_000, 0).Add(time.Duration(id) * time.Millisecond)
	f := s.Begin(callevent.Call{ID: id, At: at, Peer: "127.0.0.1:1", Identity: "web.test", Path: "/acme.v1.Things/Get", Fields: requestFields})
	if f == nil {
		return
	}
	f.Routed(at, "all", "b")
	f.Attempted(at, "b", "127.0.0.1:2")
	f.Piece(at, callevent.Piece{First: true, Last: true, Size: uint32(len(message)), Data: message})
	f.Headers(at.Add(time.Millisecond), responseFields)
	f.Piece(at.Add(time.Millisecond), callevent.Piece{Direction: callevent.Down, First: true, Last: true, Size: uint32(len(message)), Data: message})
	f.Trailers(at.Add(time.Millisecond), trailerFields)
	traffic := callevent.Traffic{Messages: 1, Bytes: uint64(len(message)) + 5}
	f.Ended(at.Add(2*time.Millisecond), &callevent.Summary{Started: at, HasCode: true, Up: traffic, Down: traffic})
}

func TestUnaryCallIsRecordedWhole(t *testing.T) {
	s := newStore(t, options())
	unary(s, 1, []byte("hello"))
	c, ok := s.Call(capture.ID{Generation: 0x8f2, Sequence: 1})
	if !ok {
		t.Fatal("there is no record of the call")
	}
	if c.GetId() != "8f2-1" || c.GetRoute() != "all" || c.GetEndpoint() != "127.0.0.1:2" || c.GetStatus() == nil || c.GetState() != loomv1.CallState_CALL_STATE_ENDED {
		t.Errorf("the record is %v", c)
	}
	if c.GetPeer() != "127.0.0.1:1" || c.GetIdentity() != "web.test" {
		t.Errorf("the caller is %s at %s", c.GetIdentity(), c.GetPeer())
	}
	if len(c.GetMessages()) != 2 || string(c.GetMessages()[1].GetData()) != "hello" {
		t.Errorf("its messages are %v", c.GetMessages())
	}
	if m := c.GetRequestHeaders()[1]; !m.GetRedacted() || m.GetText() != "" {
		t.Errorf("authorization is stored as %v", m)
	}
}

func TestSubscriberHearsOfACall(t *testing.T) {
	s := newStore(t, options())
	sub, err := s.Subscribe(0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	unary(s, 7, []byte("hello"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		b, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range b.Calls {
			if c.GetId() == "8f2-7" && c.GetState() == loomv1.CallState_CALL_STATE_ENDED {
				return
			}
		}
	}
}

func BenchmarkUnaryCall(b *testing.B) {
	for _, watched := range []bool{false, true} {
		b.Run(map[bool]string{false: "unwatched", true: "watched"}[watched], func(b *testing.B) {
			o := options()
			o.Calls, o.Bytes = 10_000, 64<<20
			s := newStore(b, o)
			if watched {
				sub, err := s.Subscribe(0)
				if err != nil {
					b.Fatal(err)
				}
				defer sub.Close()
			}
			message := make([]byte, 100)
			b.ReportAllocs()
			for i := range b.N {
				unary(s, uint64(i+1), message)
			}
		})
	}
}

// BenchmarkManyOpenCalls records unary calls of which a thousand are open at
// a time, as a busy relay has them: what a record needs has left the nearest
// caches when its call goes on.
func BenchmarkManyOpenCalls(b *testing.B) {
	const open = 1000
	o := options()
	o.Calls, o.Bytes = 10_000, 64<<20
	s := newStore(b, o)
	message := make([]byte, 100)
	at := time.Now()
	up := callevent.Piece{First: true, Last: true, Size: uint32(len(message)), Data: message}
	down := up
	down.Direction = callevent.Down
	summary := &callevent.Summary{Started: at, HasCode: true}
	var followers [open]callevent.Follower
	b.ReportAllocs()
	for i := range b.N {
		slot := &followers[i%open]
		if f := *slot; f != nil {
			f.Headers(at, responseFields)
			f.Piece(at, down)
			f.Trailers(at, trailerFields)
			f.Ended(at, summary)
		}
		f := s.Begin(callevent.Call{ID: uint64(i + 1), At: at, Peer: "127.0.0.1:1", Path: "/acme.v1.Things/Get", Fields: requestFields})
		f.Routed(at, "all", "b")
		f.Attempted(at, "b", "127.0.0.1:2")
		f.Piece(at, up)
		*slot = f
	}
	for _, f := range &followers {
		if f != nil {
			f.Ended(at, summary)
		}
	}
}
