package relay_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"loom/internal/backend"
	"loom/internal/callevent"
	"loom/internal/h2"
	"loom/internal/relay"
	"loom/internal/route"
)

// mostOfARejection is what a call may cost that a breaker refuses: 99 of 100,
// from the headers parsed to the reply queued.
const mostOfARejection = 50 * time.Microsecond

// refusing is a breaker that is open.
type refusing struct{ rejection relay.Rejection }

func (r *refusing) Allow(time.Time, relay.Prober) (relay.Ticket, *relay.Rejection) {
	return relay.Ticket{}, &r.rejection
}
func (r *refusing) Done(time.Time, *relay.Ticket, relay.Verdict, string) {}
func (r *refusing) Failed(string)                                        {}
func (r *refusing) Closed() bool                                         { return false }

// stopwatch takes the time from the begin of a call, which is when its headers
// were parsed, to its end, when the reply has been queued. One call at a time.
type stopwatch struct {
	mu    sync.Mutex
	began time.Time
	took  []time.Duration
}

func (s *stopwatch) Begin(callevent.Call) callevent.Follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
	return nil
}

func (s *stopwatch) Ended(*callevent.Summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, time.Since(s.began))
}

// BenchmarkRejected is a call that a breaker refuses, over TCP.
func BenchmarkRejected(b *testing.B) {
	counters := new(h2.Counters)
	opts := &h2.Options{Limits: h2.DefaultLimits(), Counters: counters, Budget: h2.NewBudget(64<<20, counters)}
	k, err := backend.New(backend.Options{
		Name: "b", Targets: []backend.Target{{URI: "passthrough:///upstream"}}, H2: opts,
		Connections: 1, Pending: 10, ConnectTimeout: time.Second,
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	table, err := route.Compile([]route.Rule{{Name: "all", Backends: []route.Weighted{{Name: "b", Weight: 1}}}})
	if err != nil {
		b.Fatal(err)
	}
	watch := new(stopwatch)
	r, err := relay.New(relay.Options{
		Rules: relay.Rules{
			Routes: table, Backends: map[string]*backend.Backend{"b": k}, KeptRequest: 64 << 10,
			Breakers: map[string]relay.Breaker{"b": &refusing{relay.Rejection{RetryIn: time.Second}}},
		},
		H2: opts, Counters: new(relay.Counters), Observer: watch,
	})
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	near, far := tcpPair(b)
	client := h2.NewClient(near, opts, new(benchPeer))
	for _, c := range []*h2.Conn{r.Conn(far, relay.Caller{}), client} {
		serving.Go(func() { _ = c.Serve() })
	}
	defer client.Close()
	call := benchCalls(client)
	b.ReportAllocs()
	for b.Loop() {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
	watch.mu.Lock()
	defer watch.mu.Unlock()
	slices.Sort(watch.took)
	p99 := watch.took[len(watch.took)*99/100]
	b.ReportMetric(float64(watch.took[len(watch.took)/2]), "p50-ns")
	b.ReportMetric(float64(p99), "p99-ns")
	if len(watch.took) > 1000 && p99 > mostOfARejection {
		b.Errorf("the slowest in a hundred took %s, the budget is %s", p99, mostOfARejection)
	}
}
