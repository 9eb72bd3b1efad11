package backend_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/internal/backend"
	"loom/internal/loomtest"
)

const (
	checkEvery = 5 * time.Second
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// patient is an endpoint that is asked for its health.
type patient struct {
	healthpb.UnimplementedHealthServer
	listener *loomtest.Listener

	mu sync.Mutex
	// Guarded by mu.
	is      healthpb.HealthCheckResponse_ServingStatus
	hangs   bool          // it does not answer
	noCheck bool          // UNIMPLEMENTED
	noWatch bool          // UNIMPLEMENTED
	as      string        // :authority of the latest check
	asked   []string      // services
	gone    bool          // it takes no connection
	changed chan struct{} // closed when is changes
}

func (p *patient) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	p.mu.Lock()
	p.asked = append(p.asked, r.GetService())
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		p.as = strings.Join(md.Get(":authority"), ",")
	}
	is, hangs, none := p.is, p.hangs, p.noCheck
	p.mu.Unlock()
	switch {
	case hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case none:
		return nil, status.Error(codes.Unimplemented, "no Check")
	case is == healthpb.HealthCheckResponse_SERVICE_UNKNOWN:
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &healthpb.HealthCheckResponse{Status: is}, nil
}

func (p *patient) Watch(_ *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	for {
		p.mu.Lock()
		is, none, changed := p.is, p.noWatch, p.changed
		p.mu.Unlock()
		if none {
			return status.Error(codes.Unimplemented, "no Watch")
		}
		if err := stream.Send(&healthpb.HealthCheckResponse{Status: is}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (p *patient) set(change func(p *patient)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *patient) becomes(is healthpb.HealthCheckResponse_ServingStatus) {
	p.set(func(p *patient) { p.is = is })
}

// timesAsked returns how often it was asked, since it was last counted.
func (p *patient) timesAsked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.asked)
	p.asked = nil
	return n
}

// ward is a backend whose endpoints a and b are asked for their health.
type ward struct {
	*fleet
	a, b *patient
	j    journal

	mu        sync.Mutex
	recovered int // guarded by mu
}

func newWard(t *testing.T, prepare func(a, b *patient), change ...func(*backend.Options)) *ward {
	t.Helper()
	w := &ward{a: newPatient(t), b: newPatient(t)}
	prepare(w.a, w.b)
	w.fleet = &fleet{rig: newRig(t, append([]func(*backend.Options){targets("passthrough:///a", "passthrough:///b"), func(o *backend.Options) {
		o.Health = &backend.HealthCheck{Interval: checkEvery, Timeout: time.Second, Fall: 3, Rise: 2, Service: "acme.Orders"}
		o.Dial = w.dial
		o.Event = w.j.add
		o.Recovered = func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.recovered++
		}
	}}, change...)...)}
	synctest.Wait()
	return w
}

func newPatient(t *testing.T) *patient {
	p := &patient{listener: loomtest.Listen(), is: serving, changed: make(chan struct{})}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, p)
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(p.listener) })
	t.Cleanup(func() {
		server.Stop()
		running.Wait()
	})
	return p
}

func (w *ward) dial(ctx context.Context, _, address string) (net.Conn, error) {
	p := w.a
	if address == "b" {
		p = w.b
	}
	p.mu.Lock()
	gone := p.gone
	p.mu.Unlock()
	if gone {
		return nil, syscall.ECONNREFUSED
	}
	return p.listener.DialAddr(ctx, address)
}

func healthy(*patient, *patient) {}

// wantHealth waits for everything to come to rest and compares the health of b.
func (w *ward) wantHealth(health backend.Health, why string) {
	w.t.Helper()
	synctest.Wait()
	if e := w.endpoint("b"); e.Health != health || e.HealthError != why {
		w.t.Fatalf("health %q (%s), want %q (%s)", e.Health, e.HealthError, health, why)
	}
	for range 20 {
		w.visit(backend.Pick{})
		synctest.Wait()
	}
	if n := w.share(100)["b"]; n > 0 != (health != backend.HealthBad) {
		w.t.Fatalf("%d of 100 calls went to b, which is %s", n, health)
	}
}

// Endpoints are asked at each interval, or a little earlier, about the
// configured service.
func TestHealthIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, healthy)
		w.wantHealth(backend.HealthGood, "")
		time.Sleep(time.Hour)
		if n := w.b.timesAsked(); n < 720 || n > 900 {
			t.Fatalf("asked %d times in an hour", n)
		}
		time.Sleep(checkEvery)
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		if w.b.asked[0] != "acme.Orders" || w.b.as != "b" {
			t.Fatalf("%s was asked about %q", w.b.as, w.b.asked[0])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, healthy, func(o *backend.Options) { o.Health.Authority = "orders.internal" })
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		if w.b.as != "orders.internal" {
			t.Fatalf("asked as %q", w.b.as)
		}
	})
}

// What takes an endpoint out, and what people are told.
func TestFall(t *testing.T) {
	for why, fall := range map[string]func(p *patient){
		"no answer within 1s":                      func(p *patient) { p.hangs = true },
		"it does not know the service acme.Orders": func(p *patient) { p.is, p.noWatch = healthpb.HealthCheckResponse_SERVICE_UNKNOWN, true },
		"it says NOT SERVING":                      func(p *patient) { p.is, p.noWatch = notServing, true },
	} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t, func(_, b *patient) { b.noWatch = true })
				w.wantHealth(backend.HealthGood, "")
				w.b.set(fall)
				time.Sleep(checkEvery)
				w.wantHealth(backend.HealthGood, "")
				time.Sleep(2*checkEvery + 2*time.Second)
				w.wantHealth(backend.HealthBad, why)
				w.j.want(t, "unhealthy b "+why)
				if e := w.endpoint("b"); e.State != backend.StateUnhealthy {
					t.Fatalf("%+v", e)
				}
				if n := w.backend.Status().Falls; n != 1 {
					t.Fatalf("%d falls", n)
				}
			})
		})
	}
}

// A check that fails now and then takes nothing out.
func TestLonelyFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, func(_, b *patient) { b.noWatch = true })
		for range 20 {
			w.b.set(func(p *patient) { p.hangs = true })
			time.Sleep(checkEvery)
			w.b.set(func(p *patient) { p.hangs = false })
			time.Sleep(checkEvery + 2*time.Second)
			w.wantHealth(backend.HealthGood, "")
		}
		w.j.want(t)
	})
}

// An endpoint that says itself that it stops is out at once.
func TestWatchTellsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, healthy)
		time.Sleep(checkEvery / 2)
		w.b.becomes(notServing)
		w.wantHealth(backend.HealthBad, "it says NOT SERVING")
		w.b.becomes(serving)
		w.wantHealth(backend.HealthBad, "it says NOT SERVING")
		time.Sleep(2 * checkEvery)
		w.wantHealth(backend.HealthGood, "")
		w.j.want(t, "unhealthy b it says NOT SERVING", "healthy b")
	})
}

// An endpoint that is back is in the rotation within rise times the interval,
// although its connections were in back-off, and the server hears so.
func TestRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, func(_, b *patient) { b.gone = true })
		w.wantHealth(backend.HealthBad, "connect: connection refused")
		for range 100 {
			w.visit(backend.Pick{Hashed: true})
			time.Sleep(checkEvery / 5)
		}
		w.wantHealth(backend.HealthBad, "connect: connection refused")
		if w.recovered != 0 {
			t.Fatal("recovered, although it is gone")
		}
		w.b.set(func(p *patient) { p.gone = false })
		time.Sleep(2*checkEvery + time.Second)
		w.wantHealth(backend.HealthGood, "")
		if w.recovered != 1 {
			t.Fatalf("the server heard %d times that an endpoint is healthy again", w.recovered)
		}
		// Not if it is gone again.
		w.b.set(func(p *patient) { p.hangs = true })
		time.Sleep(4 * checkEvery)
		w.wantHealth(backend.HealthBad, "no answer within 1s")
		w.b.set(func(p *patient) { p.hangs = false })
		time.Sleep(checkEvery * 3 / 4) // one good check at most
		w.b.set(func(p *patient) { p.hangs = true })
		time.Sleep(checkEvery + 2*time.Second)
		w.b.set(func(p *patient) { p.hangs = false })
		time.Sleep(checkEvery * 3 / 4)
		w.wantHealth(backend.HealthBad, "no answer within 1s")
	})
}

// A backend without the service is healthy; one that has only half of it is
// what the half says.
func TestHealthService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, func(_, b *patient) { b.noCheck, b.noWatch = true, true })
		w.wantHealth(backend.HealthNotOffered, "")
		time.Sleep(time.Hour)
		w.wantHealth(backend.HealthNotOffered, "")
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, func(_, b *patient) { b.noCheck = true })
		time.Sleep(checkEvery)
		w.wantHealth(backend.HealthGood, "")
		w.b.becomes(notServing)
		w.wantHealth(backend.HealthBad, "it says NOT SERVING")
		time.Sleep(time.Hour)
		w.wantHealth(backend.HealthBad, "it says NOT SERVING")
		w.b.becomes(serving)
		time.Sleep(2 * checkEvery)
		w.wantHealth(backend.HealthGood, "")
	})
}

// When none is healthy, all are used.
func TestAllUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, func(a, b *patient) { a.is, b.is = notServing, notServing })
		w.connectBoth()
		wantShares(t, w.share(100), map[string]float64{"a": 1, "b": 1}, 1, 0)
		if !w.backend.Status().Panic {
			t.Fatal("no panic")
		}
	})
}

// connectBoth makes calls until both endpoints have a connection.
func (w *ward) connectBoth() {
	for range 10 {
		w.visit(backend.Pick{})
		synctest.Wait()
	}
}

// The checks end with the backend, whatever they wait for.
func TestChecksEndWithTheBackend(t *testing.T) {
	for name, state := range map[string]func(a, b *patient){
		"healthy": healthy,
		"hangs":   func(a, b *patient) { a.hangs, b.hangs = true, true },
		"gone":    func(a, b *patient) { a.gone, b.gone = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t, state)
				start := time.Now()
				w.backend.Close()
				if took := time.Since(start); took != 0 {
					t.Fatalf("Close took %v", took)
				}
				time.Sleep(time.Minute)
				w.a.timesAsked()
				time.Sleep(time.Minute)
				if n := w.a.timesAsked(); n != 0 {
					t.Fatalf("asked %d times after the end", n)
				}
			})
		})
	}
}

// An endpoint that was unhealthy in the process before is so in this one,
// until it has proved itself.
func TestHealthIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, func(_, b *patient) { b.is = notServing })
		w.wantHealth(backend.HealthBad, "it says NOT SERVING")
		record := w.backend.Snapshot()
		if !strings.Contains(string(record), "it says NOT SERVING") {
			t.Fatalf("%s", record)
		}
		w.b.becomes(serving)
		next := w.heir(t, record)
		next.wantHealth(backend.HealthBad, "it says NOT SERVING")
		time.Sleep(checkEvery)
		next.wantHealth(backend.HealthGood, "")
	})
}

// heir is the ward in another process, which learns of the endpoints later.
func (w *ward) heir(t *testing.T, record []byte) *ward {
	t.Helper()
	next := &ward{a: w.a, b: w.b}
	next.fleet = &fleet{rig: newRig(t, targets("names:///"+t.Name()), func(o *backend.Options) {
		o.Health = &backend.HealthCheck{Interval: checkEvery, Timeout: time.Second, Fall: 3, Rise: 2}
		o.Dial = next.dial
		o.Event = next.j.add
	}), name: directory.find(t, t.Name())}
	if err := next.backend.Restore(record, 0); err != nil {
		t.Fatal(err)
	}
	if err := next.name.resolveTo("a", "b"); err != nil {
		t.Fatal(err)
	}
	return next
}

// An endpoint that is healthy stays so in the next process, where it needs as
// many bad checks to fall as it would have needed here, and one that was on the
// way down goes on from there.
func TestHealthHalfWayIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, healthy)
		w.b.set(func(p *patient) { p.hangs, p.noWatch = true, true })
		time.Sleep(2*checkEvery + 2*time.Second) // two checks have failed, three make it fall
		w.wantHealth(backend.HealthGood, "")
		w.a.set(func(p *patient) { p.hangs, p.noWatch = true, true })
		next := w.heir(t, w.backend.Snapshot())
		next.wantHealth(backend.HealthGood, "")
		if e := next.endpoint("a"); e.Health != backend.HealthGood {
			t.Fatalf("before it is asked, a is %+v", e)
		}
		time.Sleep(2 * time.Second) // of the first check, which gets no answer
		next.wantHealth(backend.HealthBad, "no answer within 1s")
		if e := next.endpoint("a"); e.Health != backend.HealthGood {
			t.Fatalf("after one bad check, a is %+v", e)
		}
		next.j.want(t, "unhealthy b no answer within 1s")
	})
}
