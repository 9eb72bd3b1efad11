package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/internal/callevent"
	"loom/internal/loomtest"
	"loom/internal/pki"
)

const call = "/acme.v1.Things/Get"

// peers collects who called.
type peers struct {
	mu  sync.Mutex
	all []string
}

func (p *peers) Ended(s *callevent.Summary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, s.Peer)
}

func (p *peers) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		return ""
	}
	return p.all[len(p.all)-1]
}

// teller is a backend that answers with the values of x-identity.
func teller(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &loomtest.Backend{Options: options, Unary: func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		return []byte(strings.Join(metadata.ValueFromIncomingContext(ctx, "x-identity"), ",")), nil
	}}
	b.Serve(t, ln)
	return ln.Addr().String()
}

// serveAs is serve with options.
func serveAs(t *testing.T, text string, o Options) *running {
	t.Helper()
	core, log := observer.New(zap.DebugLevel)
	o.Log = zap.New(core)
	s, err := New(parse(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, s, log)
}

// secureClient is a client of the first listener over TLS.
func (r *running) secureClient(cfg *tls.Config) *grpc.ClientConn {
	return loomtest.NewClient(r.t, func(context.Context, string) (net.Conn, error) { return dial(r.Addresses()[0]) },
		grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
}

func tlsListener(cert, key, more string) string {
	return fmt.Sprintf(`{name: edge, address: "127.0.0.1:0", tls: {cert_file: %q, key_file: %q%s}, identity_metadata: x-identity}`, cert, key, more)
}

func TestIdentityOfAClient(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	folder := t.TempDir()
	cert, key := a.WritePair(folder, "edge", loomtest.Named("loom.test"))
	ca := loomtest.Write(t, folder, "ca.crt", a.PEM)
	text := oneBackend(teller(t), tlsListener(cert, key, fmt.Sprintf(", client_ca_file: %q, client_auth: optional", ca)))
	text = strings.Replace(text, "routes: [", `routes: [{name: web, match: {service: acme.v1.Web, identity: "spiffe://acme.test/*"}, backend: b}, {name: others, match: {service: acme.v1.Web}, deny: PERMISSION_DENIED}, `, 1)
	r := serve(t, text)
	forged := metadata.AppendToOutgoingContext(t.Context(), "x-identity", "spiffe://acme.test/root")
	for name, tt := range map[string]struct {
		pairs    []tls.Certificate
		identity string
		web      codes.Code
	}{
		"SPIFFE": {[]tls.Certificate{a.Pair(loomtest.Named("spiffe://acme.test/web"))}, "spiffe://acme.test/web", codes.OK},
		"DNS":    {[]tls.Certificate{a.Pair(loomtest.Named("web.test"))}, "web.test", codes.PermissionDenied},
		"nobody": {nil, "", codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			cc := r.secureClient(&tls.Config{RootCAs: a.Pool(), ServerName: "loom.test", Certificates: tt.pairs})
			var in, out []byte
			if err := cc.Invoke(forged, call, &in, &out); err != nil || string(out) != tt.identity {
				t.Errorf("the backend is told %q and %v, want %q", out, err, tt.identity)
			}
			if err := cc.Invoke(forged, "/acme.v1.Web/Get", &in, &out); status.Code(err) != tt.web {
				t.Errorf("the route gives %v, want %v", err, tt.web)
			}
		})
	}
}

// A client that does nothing keeps nobody waiting, and not its place for long.
func TestSilentTLSClients(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	cert, key := a.WritePair(t.TempDir(), "edge", loomtest.Named("loom.test"))
	text := oneBackend(teller(t), tlsListener(cert, key, "")) + "limits: {tls_handshake_timeout: 2s, tls_handshakes: 3}\n"
	r := serve(t, text)
	var silent []net.Conn
	for range 3 {
		silent = append(silent, r.dial(0))
	}
	eventually(t, "three handshakes go on", func() bool { return len(r.now().reception.handshakes) == 3 })
	beyond := r.dial(0)
	_ = beyond.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := beyond.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("beyond the limit: %v, want the end of the connection", err)
	}
	eventually(t, "the one beyond the limit is counted", func() bool { return r.counters.TLSHandshakesRefused.Load() == 1 })
	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a silent client: %v, want the end of the connection", err)
		}
	}
	eventually(t, "the silent ones are counted", func() bool { return r.counters.TLSHandshakeTimeouts.Load() == 3 })
	cc := r.secureClient(&tls.Config{RootCAs: a.Pool(), ServerName: "loom.test"})
	if _, err := ask(cc, call, "x"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Clients that get no connection are told of in the log, but not each.
func TestClientsTurnedAway(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	cert, key := a.WritePair(t.TempDir(), "edge", loomtest.Named("loom.test"))
	r := serve(t, oneBackend(teller(t), tlsListener(cert, key, "")))
	for range 20 {
		conn := r.dial(0)
		if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	eventually(t, "all are counted", func() bool { return r.counters.TLSHandshakesFailed.Load() == 20 })
	lines := r.log.FilterMessage("connection turned away").All()
	if len(lines) == 0 || len(lines) > 10 {
		t.Fatalf("%d lines for 20 clients", len(lines))
	}
	if got := lines[0].ContextMap()["error"]; got != "the client does not speak TLS" {
		t.Errorf("the log says %v", got)
	}
}

func TestProxyProtocol(t *testing.T) {
	var who peers
	r := serveAs(t, oneBackend(teller(t), `{name: edge, address: "127.0.0.1:0", proxy_protocol: true}`)+"limits: {preface_timeout: 300ms}\n", Options{Ended: []Ended{&who}})
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 192.0.2.8 5000 443\r\n":                                            "192.0.2.7:5000",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x09\xc0\x00\x02\x0a\x13\x89\x01\xbb": "192.0.2.9:5001",
		"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00":                                                 "127.0.0.1:",
	} {
		cc := loomtest.NewClient(t, func(context.Context, string) (net.Conn, error) {
			conn, err := dial(r.Addresses()[0])
			if err == nil {
				_, err = conn.Write([]byte(header))
			}
			return conn, err
		})
		if _, err := ask(cc, call, "x"); err != nil {
			t.Fatalf("%q: %v", header, err)
		}
		eventually(t, "the caller is "+want, func() bool { return strings.HasPrefix(who.last(), want) })
	}
	for name, start := range map[string]string{"none": http2.ClientPreface, "late": "PROXY TCP4 "} {
		conn := r.dial(0)
		if _, err := conn.Write([]byte(start)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := io.Copy(io.Discard, conn); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d bytes and %v, want the end of the connection", name, n, err)
		}
		_ = conn.Close()
	}
	eventually(t, "both are counted", func() bool { return r.counters.ProxyHeadersRefused.Load() == 2 })
}

func TestLimitsOfAListener(t *testing.T) {
	r := serve(t, oneBackend(nobody, `{name: narrow, address: "127.0.0.1:0", limits: {connections: 1, streams: 7}}`, anyPort)+"limits: {connections: 2}\n")
	first := loomtest.NewDownstream(t, r.dial(0))
	for _, s := range first.WantSettings() {
		if s.ID == http2.SettingMaxConcurrentStreams && s.Val != 7 {
			t.Errorf("it allows %d streams, want 7", s.Val)
		}
	}
	second := loomtest.NewDownstream(t, r.dial(0))
	second.WantGoAway(http2.ErrCodeNo)
	second.WantClosed()
	for range 2 {
		loomtest.NewDownstream(t, r.dial(1)).WantSettingsAck()
	}
}

// A client beyond the limit of connections of a TLS listener is told so inside
// of TLS.
func TestConnectionLimitWithTLS(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	cert, key := a.WritePair(t.TempDir(), "edge", loomtest.Named("loom.test"))
	r := serve(t, oneBackend(nobody, tlsListener(cert, key, ""))+"limits: {connections: 1}\n")
	secure := func() *loomtest.Downstream {
		return loomtest.NewDownstream(t, tls.Client(r.dial(0), &tls.Config{RootCAs: a.Pool(), ServerName: "loom.test", NextProtos: []string{"h2"}}))
	}
	secure().WantSettingsAck()
	if g := secure().WantGoAway(http2.ErrCodeNo); g.Debug != "too many connections" {
		t.Errorf("GOAWAY %+v", g)
	}
}

// Backends over TLS are called, asked for their descriptors, and shown.
func TestBackendOverTLS(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	folder := t.TempDir()
	ca := loomtest.Write(t, folder, "ca.crt", a.PEM)
	cert, key := a.WritePair(folder, "loomd", loomtest.Named("loomd.test"))
	backend := teller(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{a.Pair(loomtest.Named("127.0.0.1"))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: a.Pool(),
	})))
	text := strings.Replace(oneBackend(backend, anyPort), `"]}`, fmt.Sprintf(`"], tls: {ca_file: %q, cert_file: %q, key_file: %q}}`, ca, cert, key), 1)
	r := serve(t, text)
	if _, err := ask(r.client(0), call, "x"); err != nil {
		t.Error(err)
	}
	direct, closer, err := r.watch.schemas.dial(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closer.Close() }()
	var in, out []byte
	if err := direct.Invoke(t.Context(), call, &in, &out, grpc.ForceCodecV2(loomtest.Codec{})); err != nil {
		t.Errorf("past the relay: %v", err)
	}
}

// Health checks go over TLS as calls do, and say what is wrong with it.
func TestHealthOverTLS(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	ca := loomtest.Write(t, t.TempDir(), "ca.crt", a.PEM)
	for name, want := range map[string]string{"127.0.0.1": "", "other.test": "its certificate is for other.test, not for 127.0.0.1"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		b := &loomtest.Backend{
			Options: []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{a.Pair(loomtest.Named(name))}}))},
			Unary: func(context.Context, string, []byte) ([]byte, error) {
				return nil, status.Error(codes.Unimplemented, "no health here")
			},
		}
		b.Serve(t, ln)
		more := fmt.Sprintf(`"], tls: {ca_file: %q}, health: {interval: 100ms, timeout: 100ms, fall: 1, rise: 1}}`, ca)
		r := serve(t, strings.Replace(oneBackend(ln.Addr().String(), anyPort), `"]}`, more, 1))
		eventually(t, "the endpoint is judged", func() bool {
			e := r.endpoint()
			return want == "" && e.Health == "not offered" || want != "" && e.Health == "unhealthy" && strings.Contains(e.Error, want)
		})
	}
}

// A connection without calls goes away, and the next call finds another.
func TestIdleConnectionsToBackends(t *testing.T) {
	text := strings.Replace(oneBackend(teller(t), anyPort), `"]}`, `"], idle_timeout: 1s}`, 1)
	r := serve(t, text)
	connections := func() int { return r.now().backends["b"].Status().Endpoints[0].Connections }
	for range 2 {
		if _, err := ask(r.client(0), call, "x"); err != nil {
			t.Fatal(err)
		}
		if n := connections(); n != 1 {
			t.Errorf("%d connections after a call", n)
		}
		eventually(t, "there is no connection", func() bool { return connections() == 0 })
	}
}

func TestInsecureBackendIsWarnedOf(t *testing.T) {
	text := strings.Replace(oneBackend(nobody, anyPort), `"]}`, `"], tls: {insecure_skip_verify: true}}`, 1)
	r := serve(t, text)
	if n := r.log.FilterMessageSnippet("insecure_skip_verify").Len(); n != 1 {
		t.Errorf("%d warnings in the log", n)
	}
	views := r.backendViews()
	if got := views[0].Problems; len(got) != 1 || !strings.Contains(got[0], "insecure_skip_verify") {
		t.Errorf("it shows %q", got)
	}
}

// A certificate of loomd's own is shown by listeners that have none; calls that
// are made again do not go through the socket.
func TestOwnCertificate(t *testing.T) {
	pair, text, err := pki.SelfSigned([]string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var who peers
	r := serveAs(t, oneBackend(teller(t), anyPort), Options{Certificate: &pair, Ended: []Ended{&who}})
	a, err := pki.LoadAuthorities(loomtest.Write(t, t.TempDir(), "dev.pem", text), nil)
	if err != nil {
		t.Fatal(err)
	}
	cc := r.secureClient(pki.NewClient(pki.ClientOptions{Authorities: a}).Config("localhost"))
	if _, err := ask(cc, call, "x"); err != nil {
		t.Error(err)
	}
	own, closer, err := r.dialOwn(r.now().listeners[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closer.Close() }()
	var in, out []byte
	if err := own.Invoke(t.Context(), call, &in, &out, grpc.ForceCodecV2(loomtest.Codec{})); err != nil {
		t.Errorf("made again: %v", err)
	}
	eventually(t, "it is told apart", func() bool { return who.last() == ownPeer })
	if v := r.listenerViews(); !v[0].TLS || v[0].Certificates[0].Name != "localhost" {
		t.Errorf("it shows %+v", v)
	}
}
