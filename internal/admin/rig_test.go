package admin

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/config"
	"loom/internal/decode"
	"loom/internal/inspector"
	"loom/internal/reflectcache"
)

const runningText = `listeners: [{name: plain, address: "127.0.0.1:9999"}]
backends:
  shop: {targets: ["shop.internal:9000"], reflection: {metadata: {authorization: "Bearer s3cret"}}}
routes: [{name: rest, backend: shop}]
`

// rig is a service on a real socket, and a client of it.
type rig struct {
	loomv1.AdminClient

	t      *testing.T
	server *Server
	store  *capture.Store
	log    *observer.ObservedLogs
	socket string
	conn   *grpc.ClientConn
	done   *fakeControl
	// applied is what becomes of a file.
	applied func() (config.Changes, config.Warnings, error)
	stop    func()     // begins to end the service
	served  chan error // of Serve
}

// fakeControl notes what it is told.
type fakeControl struct {
	mu   sync.Mutex
	told []string
	err  error
}

func (c *fakeControl) tell(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.told = append(c.told, fmt.Sprintf(format, args...))
	}
	return c.err
}

func (c *fakeControl) DrainEndpoint(backend, endpoint string, drained bool) error {
	return c.tell("drain %s %s %v", backend, endpoint, drained)
}

func (c *fakeControl) ControlBreaker(backend, action, by string) error {
	return c.tell("breaker %s %s by %s", backend, action, by)
}

// Reload says two lines, and then that process 12 serves as generation 2.
func (c *fakeControl) Reload(_ context.Context, by string, say func(string) error) (Successor, error) {
	err := c.tell("reload by %s", by)
	for _, line := range []string{"one", "two"} {
		if err == nil {
			err = say(line)
		}
	}
	return Successor{Number: 2, PID: 12}, err
}

// newRig serves to who the kernel says, or to who is given.
func newRig(t *testing.T, r rights, who ...process) *rig {
	t.Helper()
	store, err := capture.New(capture.Options{Generation: 7, Calls: 100, Bytes: 1 << 20, MessageBytes: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	cfg := parse(t, runningText)
	core, log := observer.New(zap.DebugLevel)
	cache := reflectcache.New(reflectcache.Options{})
	g := &rig{t: t, store: store, log: log, done: &fakeControl{}, socket: filepath.Join(folder(t), "admin.sock"), served: make(chan error, 1)}
	ask := askKernel
	if len(who) > 0 {
		ask = func(net.Conn) (process, error) { return who[0], nil }
	}
	g.server = newServer(Options{
		Log: zap.New(core), Counters: new(Counters), Panels: panels(cfg), Store: store, Control: g.done,
		Records: inspector.NewRecords(inspector.RecordsOptions{Store: store, Decoder: decode.New(decode.Limits{}, nil), Schemas: cache}),
		Running: func() *config.Config { return cfg },
		Apply:   func(context.Context) (config.Changes, config.Warnings, error) { return g.applied() },
		Env: func(name string) (string, bool) {
			return "from-the-environment", name == "LOOM_TEST"
		},
		Look: func(c *config.Config) []config.Finding {
			if c.Listeners[0].Name == "edge" {
				return []config.Finding{{Path: "listeners[0].name", Msg: "its certificate has expired"}}
			}
			return nil
		},
		InspectorURL: func() string { return "http://127.0.0.1:9998/?token=t" },
	}, r, ask)
	l, err := net.Listen("unix", g.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	go func() { g.served <- g.server.Serve(ctx, l) }()
	g.conn = dial(t, g.socket)
	g.AdminClient = loomv1.NewAdminClient(g.conn)
	t.Cleanup(func() {
		stop()
		g.conn.Close()
		if err := <-g.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		cache.Close()
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return g
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, _, err := config.Parse("loom.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// folder is one whose name is short enough for a Unix socket.
func folder(t *testing.T) string {
	t.Helper()
	name, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(name) })
	return name
}

func dial(t *testing.T, socket string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableServiceConfig())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func panels(cfg *config.Config) inspector.Panels {
	since := time.Unix(1_800_000_000, 0)
	busy := inspector.LoadView{Calls: 100, Errors: 7, Open: 2, Rate: 12.5, ErrorShare: 0.25, P50: 4000, P99: 38000}
	return inspector.Panels{
		Routes: func() []inspector.RouteView {
			return []inspector.RouteView{
				{Name: "rest", Match: "every call", Backends: []inspector.WeightView{{Name: "shop", Weight: 1}}, Load: busy},
				{Name: "no", Match: "/a.B/*", Deny: "PERMISSION_DENIED"},
			}
		},
		Backends: func() []inspector.BackendView {
			return []inspector.BackendView{{
				Name: "shop", Targets: []string{"shop.internal:9000"}, Waiting: 3, Load: busy, Problems: []string{"p"},
				Endpoints: []inspector.EndpointView{{Address: "10.0.0.1:9000", State: "ready", Connections: 2, Open: 5, Error: "e", Weight: 2, Bad: 9, Health: "healthy", Drained: true, Warmth: 0.5}},
				Balance:   "round_robin", Panic: true,
			}}
		},
		Breakers: func() []inspector.BreakerView {
			return []inspector.BreakerView{{Backend: "shop", State: "open", FailureRatio: 0.61, Since: since, NextProbe: since.Add(time.Minute),
				Verdicts: 20, LastError: "UNAVAILABLE", Totals: inspector.BreakerTotals{Rejected: 310},
			}}
		},
		Config: func() inspector.ConfigView {
			return inspector.NewConfigView("loom.yaml", since, config.Show(cfg))
		},
		Status: func() inspector.StatusView {
			return inspector.StatusView{
				Version: "v1", Go: "go1", PID: 42, Generation: 7, Started: since, Memory: 1 << 20, Goroutines: 9,
				Listeners: []inspector.ListenerView{{Name: "plain", Address: "127.0.0.1:9999", TLS: true, Problem: "q", Certificates: []inspector.CertificateView{{Name: "edge", Expires: "2027", Error: "r"}}}},
				Limits:    []inspector.LimitView{{Name: "connections_refused", Hits: 3}},
			}
		},
	}
}

// everybody lets the user of the tests do everything.
func everybody() rights { return rights{own: uint32(os.Geteuid()), lookup: lookupAccount} }

// addCall puts a call that ended into the store.
func (g *rig) addCall(path string, code uint32) string {
	g.t.Helper()
	c := &loomv1.Call{
		Id: g.store.NextID().String(), State: loomv1.CallState_CALL_STATE_ENDED, Path: path, Route: "rest", Backend: "shop",
		Start: timestamppb.Now(), Timings: &loomv1.Timings{End: durationpb.New(5 * time.Millisecond)},
		Status: &loomv1.Status{Code: code}, EndedBy: loomv1.Ender_ENDER_BACKEND,
		Request: &loomv1.Traffic{Messages: 1, Bytes: 7},
		Messages: []*loomv1.Message{{
			Direction: loomv1.Direction_DIRECTION_REQUEST, Sequence: 1, Size: 2, Data: []byte{8, 1},
		}},
	}
	if err := g.store.Add(c); err != nil {
		g.t.Fatal(err)
	}
	return c.GetId()
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: %v (%v), want %v", what, got, err, want)
	}
}
