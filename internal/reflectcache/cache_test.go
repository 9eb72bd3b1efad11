package reflectcache

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"

	"loom/internal/decode"
	"loom/internal/loomtest"
)

const check = "/grpc.health.v1.Health/Check"

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

// serve runs a server whose streams take as long as delay, and counts them.
func serve(t testing.TB, delay time.Duration, register func(*grpc.Server)) (*atomic.Int64, Options) {
	t.Helper()
	var streams atomic.Int64
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer(grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		streams.Add(1)
		time.Sleep(delay)
		return h(srv, stream)
	}))
	healthpb.RegisterHealthServer(s, health.NewServer())
	register(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return &streams, Options{Dial: func(context.Context, string) (grpc.ClientConnInterface, io.Closer, error) {
		conn, err := grpc.NewClient("passthrough:///b", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
		return conn, conn, err
	}}
}

func both(s *grpc.Server) { reflection.Register(s) }

func TestVersions(t *testing.T) {
	for name, register := range map[string]func(*grpc.Server){
		"v1":             func(s *grpc.Server) { reflection.RegisterV1(s) },
		"v1 and v1alpha": both,
	} {
		t.Run(name, func(t *testing.T) {
			_, o := serve(t, 0, register)
			c := New(o)
			defer c.Close()
			m, err := c.Method(t.Context(), "b", check)
			if err != nil || m.Source != decode.FromReflection || m.Desc.Input().Fields().Len() != 1 {
				t.Fatalf("got %+v, %v", m, err)
			}
			if got, ok := c.Lookup("b", check); !ok || got != m {
				t.Errorf("Lookup: %v, %v", got, ok)
			}
		})
	}
}

// TestStampede is in exact time: 100 first askers, reflection takes 50 ms.
func TestStampede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, o := serve(t, 50*time.Millisecond, both)
		c := New(o)
		defer c.Close()
		start := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := c.Method(t.Context(), "b", check); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		took := time.Since(start)
		t.Logf("cache: %d fetches, %v", streams.Load(), took)
		if streams.Load() != 1 || took > 60*time.Millisecond {
			t.Errorf("%d fetches in %v, want 1 within 60ms", streams.Load(), took)
		}
	})
}

func TestNegativeThenDisk(t *testing.T) {
	dir := t.TempDir()
	_, o := serve(t, 0, both)
	o.Dir = dir
	c := New(o)
	if _, err := c.Method(t.Context(), "b", check); err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, o = serve(t, 0, func(*grpc.Server) {})
	c = New(o)
	if _, err := c.Method(t.Context(), "b", check); err == nil {
		t.Error("a backend without reflection told a method")
	}
	c.Close()
	o.Dir = dir
	c = New(o)
	defer c.Close()
	if m, err := c.Method(t.Context(), "b", check); err != nil || m.Source != decode.FromDisk {
		t.Errorf("got %+v, %v, want yesterday's", m, err)
	}
}

func BenchmarkLookup(b *testing.B) {
	_, o := serve(b, 0, both)
	c := New(o)
	defer c.Close()
	if _, err := c.Method(b.Context(), "b", check); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Lookup("b", check)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`[{"backend":"b","hash":"../../x"}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := parseIndex(data)
		for _, r := range records {
			if err == nil && len(r.Hash) != 64 {
				t.Errorf("hash %q let through", r.Hash)
			}
		}
	})
}

func FuzzSet(f *testing.F) {
	f.Add([]byte("\n\x03\n\x01a"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if set, err := parseSet(data); err == nil {
			linkSet(set)
		}
	})
}
