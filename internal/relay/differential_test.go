package relay_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// Random valid frames of a caller: what arrives at the backend is what
// golang.org/x/net/http2 reads out of them.
func TestRelayAgreesWithXNet(t *testing.T) {
	for seed := range uint64(25) {
		generator := loomtest.NewGenerator(rand.New(rand.NewPCG(seed, 7)))
		wire := loomtest.Wire(generator.Frames(150))
		want, err := loomtest.ReadRequests(wire)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		inMemory(t, func(t *testing.T, r *rig) {
			up := openWide(t, r)
			down := r.caller(loomtest.Silent(), loomtest.Without(loomtest.AutoAll))
			down.Preface()
			down.RawBytes(wire)
			synctest.Wait()
			if !down.Alive() {
				t.Fatalf("seed %d: the relay closed the connection:\n%s", seed, down.Transcript())
			}
			for _, id := range inOrder(want.Streams) {
				compareStream(t, seed, id, up, want.Streams[id])
			}
			for _, ping := range want.Pings {
				down.WantPingAck(ping)
			}
		}, tolerant)
	}
}

// tolerant lifts the limits that random frames hit.
func tolerant(o *rigOptions) {
	o.limits.Noise = h2.Rate{Burst: 1 << 30, PerSecond: 1}
	o.limits.EarlyResets, o.limits.OwnResets = o.limits.Noise, o.limits.Noise
}

// openWide returns a backend that is connected and takes all there is.
func openWide(t *testing.T, r *rig) *loomtest.Upstream {
	t.Helper()
	down := r.caller()
	id := down.Open(method)
	up := r.ups.Accept(loomtest.WithSettings(setting(http2.SettingInitialWindowSize, 1<<30)))
	upID, _ := up.WantCall()
	up.WantSettingsAck()
	up.WindowUpdate(0, 1<<30)
	down.Reset(id, http2.ErrCodeCancel)
	up.WantReset(upID, http2.ErrCodeCancel)
	return up
}

func inOrder(streams map[uint32][]loomtest.Event) []uint32 {
	var ids []uint32
	for id := range streams {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// compareStream takes the next call of up and holds it against what the caller
// sent on a stream. Data that a reset followed may be lost.
func compareStream(t *testing.T, seed uint64, id uint32, up *loomtest.Upstream, want []loomtest.Event) {
	t.Helper()
	upID, request, err := up.NextCall(time.Second)
	if err != nil {
		t.Fatalf("seed %d, stream %d: no call: %v", seed, id, err)
	}
	got := []loomtest.Event{{Kind: loomtest.KindHeaders, Block: request}}
	for {
		e, err := up.Next(upID, time.Millisecond)
		if errors.Is(err, loomtest.ErrStalled) {
			break
		}
		if err != nil {
			t.Fatalf("seed %d, stream %d: %v", seed, id, err)
		}
		got = append(got, e)
	}
	g, w := sumUp(got), sumUp(want)
	dataMatches := bytes.Equal(g.data, w.data) || w.reset && bytes.HasPrefix(w.data, g.data)
	if !dataMatches || !slices.Equal(g.marks, w.marks) && !w.reset {
		t.Fatalf("seed %d, stream %d: %d bytes of data, want %d; got\n%q\nwant\n%q",
			seed, id, len(g.data), len(w.data), g.marks, w.marks)
	}
	if w.reset && (g.marks[0] != w.marks[0] || g.marks[len(g.marks)-1] != w.marks[len(w.marks)-1]) {
		t.Fatalf("seed %d, stream %d that was reset: got\n%q\nwant\n%q", seed, id, g.marks, w.marks)
	}
}

// summed is a stream without the cuts that its frames make.
type summed struct {
	marks []string // all but data
	data  []byte
	reset bool
}

func sumUp(events []loomtest.Event) summed {
	var s summed
	for _, e := range events {
		switch e.Kind {
		case loomtest.KindData:
			s.data = append(s.data, e.Data...)
			continue
		case loomtest.KindHeaders:
			var line strings.Builder
			line.WriteString("HEADERS")
			for _, f := range e.Block.Fields {
				line.WriteString("\n" + f.Name + ": " + f.Value)
				// Credentials are never indexed, whatever the caller thought of them.
				if f.Sensitive || f.Name == "authorization" {
					line.WriteString(" (never indexed)")
				}
			}
			s.marks = append(s.marks, line.String())
			continue
		case loomtest.KindReset:
			s.reset = true
		}
		s.marks = append(s.marks, e.String())
	}
	return s
}

// Whatever a caller sends: nobody panics, the backend sees valid HTTP/2 only
// (its peer judges that), and with the caller's connection every call ends.
func FuzzCaller(f *testing.F) {
	rng := rand.New(rand.NewPCG(11, 0))
	for seeds := 0; seeds < 30; {
		wire := loomtest.Wire(loomtest.NewGenerator(rng).Frames(10))
		if len(wire) > 3000 {
			continue // the fuzzer is slow with long ones
		}
		seeds++
		f.Add(wire)
		f.Add(loomtest.Mutate(rng, wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		inMemory(t, func(t *testing.T, r *rig) {
			up := openWide(t, r)
			down := r.caller(loomtest.Silent())
			down.Preface()
			down.RawBytes(wire)
			synctest.Wait()
			down.Close()
			r.settle()
			if !up.Alive() {
				t.Fatal("the backend's connection broke")
			}
		})
	})
}

// Whatever a backend sends as its answer: the caller sees valid HTTP/2 only,
// and its call ends when the backend's connection does.
func FuzzBackend(f *testing.F) {
	rng := rand.New(rand.NewPCG(12, 0))
	for range 30 {
		wire := recordedAnswer()
		f.Add(wire)
		f.Add(loomtest.Mutate(rng, wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		inMemory(t, func(t *testing.T, r *rig) {
			down := r.caller()
			id := down.Open(method)
			down.Data(id, []byte("question"), false)
			up := r.ups.Accept(loomtest.Without(loomtest.AutoAll &^ loomtest.AutoSettingsAck))
			wantQuestion(t, up)
			up.RawBytes(wire)
			synctest.Wait()
			up.Close()
			// If what came makes the relay try again, that fails, too.
			_ = r.dialer.Close()
			for {
				e, err := down.Next(id, time.Minute)
				if err != nil {
					t.Fatalf("the call never ended: %v", err)
				}
				if e.Kind == loomtest.KindEnd || e.Kind == loomtest.KindReset {
					break
				}
			}
		})
	})
}

// recordedAnswer is an answer on stream 1 with a bit of everything, encoded by
// hand so that it needs no connection.
func recordedAnswer() []byte {
	headers := []byte{0x88, 0x0f, 0x10, 0x10} // :status 200, content-type
	headers = append(headers, "application/grpc"...)
	trailers := append([]byte{0x00, 0x0b}, "grpc-status\x010"...)
	return loomtest.Wire([]loomtest.Frame{
		{Type: http2.FrameSettings, Payload: []byte{0, 4, 0, 1, 0, 0}},
		{Type: http2.FrameWindowUpdate, Payload: []byte{0, 1, 0, 0}},
		{Type: http2.FrameHeaders, StreamID: 1, Flags: http2.FlagHeadersEndHeaders, Payload: []byte{0x08, 0x03, '1', '0', '3'}},
		{Type: http2.FrameHeaders, StreamID: 1, Payload: headers[:2]},
		{Type: http2.FrameContinuation, StreamID: 1, Flags: http2.FlagContinuationEndHeaders, Payload: headers[2:]},
		{Type: http2.FramePing, Payload: make([]byte, 8)},
		{Type: http2.FrameData, StreamID: 1, Payload: loomtest.Message([]byte("answer"))},
		{Type: http2.FrameData, StreamID: 1, Flags: http2.FlagDataPadded, Payload: []byte{3, 0, 0, 0, 0, 0, 0, 0, 0}},
		{Type: http2.FrameHeaders, StreamID: 1, Flags: http2.FlagHeadersEndHeaders | http2.FlagHeadersEndStream, Payload: trailers},
		{Type: http2.FrameRSTStream, StreamID: 1, Payload: make([]byte, 4)},
		{Type: http2.FrameGoAway, Payload: make([]byte, 8)},
	})
}
