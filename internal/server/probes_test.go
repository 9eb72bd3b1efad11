package server

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/internal/breaker"
	"loom/internal/loomtest"
)

// talker is a backend of streams, and of calls that fail while it is told so.
type talker struct {
	address string
	fails   atomic.Bool
	calls   atomic.Int64
}

// The streams that a talker knows: one answers each message, one says hello at
// once and is lost when it is spoken to.
const (
	chat = "/test.Moody/Chat"
	lose = "/test.Moody/Lose"
)

func newTalker(t *testing.T) *talker {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &talker{address: ln.Addr().String()}
	backend := &loomtest.Backend{Stream: func(method string, call loomtest.ServerCall) error {
		switch method {
		case chat:
			return m.chat(call)
		case lose:
			return m.lose(call)
		case "/test.Moody/Call":
			m.calls.Add(1)
			if m.fails.Load() {
				return status.Error(codes.Internal, "bad mood")
			}
			return m.chat(call)
		default:
			return status.Error(codes.Unimplemented, "no reflection here")
		}
	}}
	backend.Serve(t, ln)
	return m
}

func (m *talker) chat(call loomtest.ServerCall) error {
	for {
		msg, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := call.Send(msg); err != nil {
			return err
		}
	}
}

func (m *talker) lose(call loomtest.ServerCall) error {
	if err := call.Send([]byte("hello")); err != nil {
		return err
	}
	if _, err := call.Recv(); err != nil {
		return err
	}
	return status.Error(codes.Unavailable, "gone")
}

// streaming is a stream of a client.
type streaming struct {
	grpc.ClientStream
	t *testing.T
}

func stream(t *testing.T, cc *grpc.ClientConn, method string) streaming {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return streaming{s, t}
}

func (s streaming) send(msg string) {
	s.t.Helper()
	out := []byte(msg)
	if err := s.SendMsg(&out); err != nil {
		s.t.Fatal(err)
	}
}

func (s streaming) want(msg string) {
	s.t.Helper()
	var in []byte
	if err := s.RecvMsg(&in); err != nil || string(in) != msg {
		s.t.Fatalf("the stream answered %q, %v, want %q", in, err, msg)
	}
}

// halfOpened is a loomd whose breaker has just become half-open. The settings
// end with what the test adds.
func halfOpened(t *testing.T, m *talker, more string) (*running, *grpc.ClientConn) {
	t.Helper()
	r := serve(t, guarded(m.address, `{trip: {consecutive: 2}, open_for: 50ms, max_open_for: 1m, `+more+`}`))
	cc := r.client(0)
	m.fails.Store(true)
	askMany(cc, 2)
	r.wantState(breaker.HalfOpen)
	m.fails.Store(false)
	return r, cc
}

// Calls that are open when a breaker opens go on.
func TestHalfOpen09OpenStreamsGoOn(t *testing.T) {
	m := newTalker(t)
	r := serve(t, guarded(m.address, `{trip: {consecutive: 2}, open_for: 1m}`))
	cc := r.client(0)
	s := stream(t, cc, chat)
	s.send("hello")
	s.want("hello")
	m.fails.Store(true)
	askMany(cc, 2)
	r.wantState(breaker.Open)
	s.send("still here")
	s.want("still here")
}

func TestHalfOpen10LongStreamClosesAtHeadersAndItsLossReopensNothing(t *testing.T) {
	m := newTalker(t)
	r, cc := halfOpened(t, m, "half_open: {probes: 2}")
	long := stream(t, cc, lose)
	long.want("hello")
	r.wantState(breaker.HalfOpen) // one of two
	long.send("go away")
	var in []byte
	if err := long.RecvMsg(&in); status.Code(err) != codes.Unavailable {
		t.Fatalf("the lost stream ended with %v", err)
	}
	eventually(t, "the loss is late, as it is half-open", func() bool { return r.now().breakers["b"].Status().Totals.Late == 1 })
	askMany(cc, 1)
	r.wantState(breaker.Closed)
	again := stream(t, cc, lose)
	again.want("hello")
	again.send("go away")
	eventually(t, "the loss is counted, now that it is closed", func() bool { return r.now().breakers["b"].Status().Consecutive == 1 })
	r.wantState(breaker.Closed)
}

func TestHalfOpen11SilentStreamMakesRoomAndGoesOn(t *testing.T) {
	m := newTalker(t)
	r, cc := halfOpened(t, m, "half_open: {probes: 1, probe_timeout: 200ms}")
	silent := stream(t, cc, chat)
	eventually(t, "it is a probe", func() bool { return r.now().breakers["b"].Status().Probing == 1 })
	if got := askMany(cc, 1); got[0] != codes.Unavailable {
		t.Errorf("beside the probe a call got %v", got)
	}
	eventually(t, "it has made room", func() bool { return r.now().breakers["b"].Status().Probing == 0 })
	if st := r.now().breakers["b"].Status(); st.State != breaker.HalfOpen || st.Totals.ProbeTimeouts != 1 {
		t.Errorf("after probe_timeout: %+v", st)
	}
	if got := askMany(cc, 1); got[0] != codes.OK {
		t.Errorf("in its place a call got %v", got)
	}
	r.wantState(breaker.Closed)
	silent.send("hello")
	silent.want("hello")
}

// A unary call that gets no answer is a failed probe, and goes on all the same.
func TestHalfOpen03SilentUnaryProbeReopens(t *testing.T) {
	m := newMoody(t)
	r := serve(t, guarded(m.address, `{trip: {consecutive: 1}, open_for: 50ms, max_open_for: 1m, half_open: {probes: 1, probe_timeout: 100ms}}`))
	cc := r.client(0)
	m.be(codes.Internal)
	askMany(cc, 1)
	r.wantState(breaker.HalfOpen)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	asked := make(chan error, 1)
	go func() {
		in, out := []byte("q"), []byte(nil)
		asked <- cc.Invoke(ctx, "/test.Moody/Hang", &in, &out)
	}()
	eventually(t, "the probe has failed", func() bool { return r.now().breakers["b"].Status().Totals.ProbeTimeouts == 1 })
	select {
	case err := <-asked:
		t.Errorf("the call ended with its probe: %v", err)
	default:
	}
	cancel()
	if err := <-asked; status.Code(err) != codes.Canceled {
		t.Errorf("the call ended with %v", err)
	}
}

func TestHalfOpen24RetriesStopAtTheBreakerAndTakeOneProbe(t *testing.T) {
	m := newMoody(t)
	r := serve(t, `
listeners: [`+anyPort+`]
backends: {b: {targets: ["`+m.address+`"], breaker: {trip: {consecutive: 3}, open_for: 100ms, max_open_for: 1m, half_open: {probes: 3}}}}
routes:
  - {name: all, backend: b, retry: {max_attempts: 5, on: [INTERNAL], backoff: {initial: 1ms, max: 1ms}, budget_percent: 100}}
`)
	cc := r.client(0)
	m.be(codes.Internal)
	if got := askMany(cc, 1); !slices.Equal(got, []codes.Code{codes.Internal}) {
		t.Errorf("the caller saw %v", got)
	}
	if n := m.calls.Load(); n != 3 {
		t.Errorf("%d attempts reached the backend, want 3: then it was open", n)
	}
	r.wantState(breaker.HalfOpen)
	askMany(cc, 1)
	if n := m.calls.Load(); n != 4 {
		t.Errorf("%d attempts reached the backend, want 4: one is a probe, which fails", n)
	}
	if n := r.now().breakers["b"].Status().Totals.Probes; n != 1 {
		t.Errorf("%d probes, want 1", n)
	}
}

// Copies of calls say nothing about the backend that gets them: its breaker
// neither counts nor is probed by them, and sends none to a backend that is not
// called.
func TestHalfOpen25MirrorNeverCountsNorProbes(t *testing.T) {
	main, copies := newMoody(t), newMoody(t)
	r := serve(t, `
listeners: [`+anyPort+`]
backends:
  main: {targets: ["`+main.address+`"], breaker: {}}
  copies: {targets: ["`+copies.address+`"], breaker: {trip: {consecutive: 2}, open_for: 50ms, half_open: {probes: 1}}}
routes:
  - {name: direct, match: {metadata: [{name: to, value: copies}]}, backend: copies}
  - {name: all, backend: main, mirror: {backend: copies, percent: 100}}
`)
	cc := r.client(0)
	copies.be(codes.Internal)
	if got := askMany(cc, 10); slices.ContainsFunc(got, func(c codes.Code) bool { return c != codes.OK }) {
		t.Errorf("callers saw %v", got)
	}
	eventually(t, "the copies have arrived", func() bool { return copies.calls.Load() == 10 })
	if st := r.now().breakers["copies"].Status(); st.State != breaker.Closed || st.Totals != (breaker.Totals{}) {
		t.Errorf("ten copies made it %+v", st)
	}

	direct := metadata.AppendToOutgoingContext(t.Context(), "to", "copies")
	for range 2 {
		in, out := []byte("q"), []byte(nil)
		if err := cc.Invoke(direct, "/test.Moody/Call", &in, &out); status.Code(err) != codes.Internal {
			t.Fatalf("a call of its own: %v", err)
		}
	}
	eventually(t, "its breaker is half-open", func() bool { return r.now().breakers["copies"].Status().State == breaker.HalfOpen })
	copies.be(codes.OK)
	askMany(cc, 10)
	if st := r.now().breakers["copies"].Status(); st.State != breaker.HalfOpen || st.Totals.Probes != 0 {
		t.Errorf("ten copies made it %+v", st)
	}
}
