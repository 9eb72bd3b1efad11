package demo

import (
	"context"
	"maps"
	"net"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	payv1 "loom/internal/demo/pay/v1"
	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// witness serves both backends at one address, and notes what it is asked.
type witness struct {
	address string
	changed chan struct{} // gets a token when something was noted; of size 1

	mu     sync.Mutex // guards the following
	began  []string
	ended  map[string]bool // "method code"
	agents map[string]bool
}

func startWitness(t *testing.T) *witness {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{
		address: listener.Addr().String(), changed: make(chan struct{}, 1),
		ended: map[string]bool{}, agents: map[string]bool{},
	}
	server := grpc.NewServer(grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(func(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			w.begin(ctx, info.FullMethod)
			out, err := next(ctx, in)
			w.end(ctx, info.FullMethod, err)
			return out, err
		}),
		grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			w.begin(stream.Context(), info.FullMethod)
			err := next(service, stream)
			w.end(stream.Context(), info.FullMethod, err)
			return err
		}),
	)
	shopv1.RegisterOrdersServer(server, newOrders(defaultSeed))
	payv1.RegisterLedgerServer(server, newLedger(defaultSeed, spells{start: time.Now(), well: time.Hour}))
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return w
}

func (w *witness) begin(ctx context.Context, method string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = append(w.began, path.Base(method))
	incoming, _ := metadata.FromIncomingContext(ctx)
	agent, _, _ := strings.Cut(strings.Join(incoming.Get("user-agent"), ""), "/")
	w.agents[agent] = true
	w.note()
}

// end notes how a call ended. A caller whose deadline passes cancels as well,
// and on a busy machine its cancel is here first.
func (w *witness) end(ctx context.Context, method string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	code := status.Code(err)
	if code == codes.Unknown && err != nil {
		code = status.FromContextError(err).Code()
	}
	if deadline, ok := ctx.Deadline(); ok && code == codes.Canceled && time.Until(deadline) < 100*time.Millisecond {
		code = codes.DeadlineExceeded
	}
	w.ended[path.Base(method)+" "+code.String()] = true
	w.note()
}

func (w *witness) note() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// wait returns once holds does, which it calls with the lock held.
func (w *witness) wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	timeout := time.After(testPatience)
	for {
		w.mu.Lock()
		done := holds()
		state := slices.Sorted(maps.Keys(w.ended))
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-w.changed:
		case <-timeout:
			t.Fatalf("%s did not happen; this did: %q", what, state)
		}
	}
}

// runTraffic runs traffic until the test ends or stop is called, which returns
// how long it took to stop.
func runTraffic(t *testing.T, traffic *Traffic) (stop func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- traffic.Run(ctx) }()
	stop = sync.OnceValue(func() time.Duration {
		start := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run traffic: %v", err)
		}
		return time.Since(start)
	})
	t.Cleanup(func() { stop() })
	return stop
}

func TestTrafficShowsEverything(t *testing.T) {
	w := startWitness(t)
	stop := runTraffic(t, NewTraffic(w.address, Rate(50)))
	round := len(newDeck(defaultSeed).cards)
	w.wait(t, "two rounds of calls", func() bool { return len(w.began) >= 2*round })
	w.mu.Lock()
	methods := slices.Compact(slices.Sorted(slices.Values(w.began[:2*round])))
	w.mu.Unlock()
	want := []string{"Charge", "GetBalance", "GetCatalog", "GetOrder", "GetReport", "ListEntries", "ListOrders", "Track", "UploadItems"}
	if !slices.Equal(methods, want) {
		t.Errorf("two rounds of calls are to %q, want %q", methods, want)
	}
	endings := []string{
		"GetOrder OK", "GetOrder NotFound", "GetOrder InvalidArgument", "ListOrders OK", "ListOrders Canceled",
		"UploadItems OK", "UploadItems InvalidArgument", "Track OK", "GetReport OK", "GetReport Canceled",
		"GetReport DeadlineExceeded", "GetCatalog OK", "Charge OK", "Charge NotFound", "Charge FailedPrecondition",
		"GetBalance OK", "ListEntries OK",
	}
	w.wait(t, "every ending of "+strings.Join(endings, ", "), func() bool {
		return !slices.ContainsFunc(endings, func(e string) bool { return !w.ended[e] })
	})
	w.wait(t, "calls of three applications", func() bool { return len(w.agents) == 3 })
	if took := stop(); took > time.Second {
		t.Errorf("the traffic took %s to stop", took)
	}
}

func TestTrafficFollowsTheSeed(t *testing.T) {
	// Two rounds of names; the second is shuffled anew.
	sequence := func(seed uint64) []string {
		d := newDeck(seed)
		names := make([]string, 2*len(d.cards))
		for i := range names {
			names[i] = runtime.FuncForPC(reflect.ValueOf(d.draw()).Pointer()).Name()
		}
		return names
	}
	one, again, other := sequence(1), sequence(1), sequence(2)
	if !slices.Equal(one, again) {
		t.Errorf("one seed, two sequences:\n%q\n%q", one, again)
	}
	if slices.Equal(one, other) {
		t.Errorf("two seeds, one sequence: %q", one)
	}
	if half := len(one) / 2; slices.Equal(one[:half], one[half:]) {
		t.Errorf("each round is like the last: %q", one)
	}
}

// A proxy that takes connections and never answers must hold up neither the
// end of the traffic nor, by calls that pile up, this process.
func TestTrafficStopsAtADeadTarget(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	before := runtime.NumGoroutine()
	stop := runTraffic(t, NewTraffic(listener.Addr().String(), Rate(maxRate)))
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-time.After(500 * time.Millisecond) // in which 500 calls could begin
	const ownOfGRPC = 60                 // goroutines of the connections, generously
	if now := runtime.NumGoroutine(); now > before+maxOpenCalls+ownOfGRPC {
		t.Errorf("the calls pile up: %d goroutines, %d before", now, before)
	}
	if took := stop(); took > time.Second {
		t.Errorf("the traffic took %s to stop", took)
	}
}

func TestTrafficStopsWithNobodyThere(t *testing.T) {
	b := startBackends(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := NewTraffic(b.Shop(), Rate(100)).Run(ctx); err != nil {
		t.Errorf("a target that is not there yet is an error: %v", err)
	}
}

func TestTrafficRefuses(t *testing.T) {
	for _, traffic := range []*Traffic{
		NewTraffic("127.0.0.1:1", Rate(0)), NewTraffic("127.0.0.1:1", Rate(-1)), NewTraffic("127.0.0.1:1", Rate(2*maxRate)),
		NewTraffic("a\x7fb"),
	} {
		if err := traffic.Run(testContext(t)); err == nil {
			t.Errorf("%+v runs", traffic)
		}
	}
}
