package backend_test

import (
	"crypto/tls"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"loom/internal/backend"
	"loom/internal/loomtest"
	"loom/internal/pki"
)

// trusting has a backend of the target a:443 spoken to over TLS.
func trusting(t *testing.T, a *loomtest.Authority) func(*backend.Options) {
	t.Helper()
	file := loomtest.Write(t, t.TempDir(), "ca.crt", a.PEM)
	authorities, err := pki.LoadAuthorities(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *backend.Options) {
		targets("passthrough:///a:443")(o)
		o.TLS = pki.NewClient(pki.ClientOptions{Authorities: authorities})
	}
}

func TestCallsGoOverTLS(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, trusting(t, a))
		c := r.call("first")
		conn, err := r.listener("a:443").Accept()
		if err != nil {
			t.Fatal(err)
		}
		up := loomtest.NewUpstream(t, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{a.Pair(loomtest.Named("a"))}, NextProtos: []string{"h2"}}))
		wantCall(t, up, "first")
		up.Reply(1, []byte("x"))
		c.want(t, "replied")
		if n := r.dialled("a:443"); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// What callers are told when there is no TLS.
func TestCallsSayWhyThereIsNoTLS(t *testing.T) {
	a, other := loomtest.NewAuthority(t, "test"), loomtest.NewAuthority(t, "other")
	h2 := []string{"h2"}
	named := func(names ...string) []tls.Certificate { return []tls.Certificate{a.Pair(loomtest.Named(names...))} }
	for name, tt := range map[string]struct {
		server *tls.Config // nil: it speaks no TLS
		want   string
	}{
		"wrong name":        {&tls.Config{Certificates: named("b"), NextProtos: h2}, "its certificate is for b, not for a; see server_name"},
		"unknown authority": {&tls.Config{Certificates: []tls.Certificate{other.Pair(loomtest.Named("a"))}, NextProtos: h2}, `signed by the authority "CN=other"`},
		"no h2":             {&tls.Config{Certificates: named("a")}, "it speaks TLS, but not HTTP/2 in it"},
		"wants a certificate": {&tls.Config{Certificates: named("a"), NextProtos: h2, ClientAuth: tls.RequireAnyClientCert},
			"it wants a client certificate; see cert_file and key_file"},
		"no TLS": {nil, "it does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, trusting(t, a))
				l := r.listener("a:443")
				t.Cleanup(func() { _ = l.Close() })
				go func() {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					if tt.server == nil {
						greet(t, conn.(*loomtest.Conn))
						return
					}
					_ = tls.Server(conn, tt.server).Handshake()
					// To close what has input that nobody read would take back
					// what it said last.
					_ = conn.(*loomtest.Conn).CloseWrite()
					_, _ = io.Copy(io.Discard, conn)
					_ = conn.Close()
				}()
				c := r.call("first")
				time.Sleep(time.Second)
				synctest.Wait()
				if got := c.state(); !strings.HasPrefix(got, "refused: connect to a:443: TLS: ") || !strings.Contains(got, tt.want) {
					t.Errorf("call: %s; want %q", got, tt.want)
				}
			})
		})
	}
}

// A backend that says nothing in the handshake is given up in time.
func TestSilentHandshake(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, trusting(t, a))
		c := r.call("first")
		time.Sleep(connectTimeout)
		c.want(t, "refused: connect to a:443: no connection within 5s")
	})
}

// Health is asked over TLS, too.
func TestHealthIsAskedOverTLS(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	for name, want := range map[string]backend.EndpointStatus{
		"a": {Health: backend.HealthGood},
		"b": {Health: backend.HealthBad, HealthError: "connect: TLS: its certificate is for b, not for a; see server_name"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, trusting(t, a), func(o *backend.Options) {
					o.Health = &backend.HealthCheck{Interval: checkEvery, Timeout: time.Second, Fall: 3, Rise: 2}
				})
				server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
					Certificates: []tls.Certificate{a.Pair(loomtest.Named(name))}, NextProtos: []string{"h2"},
				})))
				healthpb.RegisterHealthServer(server, health.NewServer())
				var running sync.WaitGroup
				l := r.listener("a:443")
				running.Go(func() { _ = server.Serve(l) })
				t.Cleanup(func() {
					server.Stop()
					running.Wait()
				})
				time.Sleep(2 * time.Second)
				synctest.Wait()
				got := (&fleet{rig: r}).endpoint("a:443")
				if got.Health != want.Health || !strings.Contains(got.HealthError, want.HealthError) {
					t.Fatalf("health %q (%s), want %q (%s)", got.Health, got.HealthError, want.Health, want.HealthError)
				}
			})
		})
	}
}
