package tls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
)

// What clients have to show, and what comes of it.
func TestClients(t *testing.T) {
	a, other := daemon.NewAuthority(t, "test"), daemon.NewAuthority(t, "other")
	good := a.For("spiffe://acme.test/web", "web.test").Load(t)
	wrong := other.For("web.test").Load(t)
	expired := a.Issue(time.Now().Add(-time.Minute), "web.test").Load(t)
	server := startServer(t)
	for _, auth := range []string{"none", "optional", "require"} {
		t.Run(auth, func(t *testing.T) {
			address := daemon.FreeAddress(t)
			settings := certificate(a.For("loom.test"))
			if auth != "none" {
				settings += fmt.Sprintf(", client_ca_file: %q, client_auth: %s", a.File, auth)
			}
			start(t, address, edge(address, settings, plain(server)))
			for name, tt := range map[string]struct {
				pair *tls.Certificate
				want map[string]string // by client_auth; empty: no connection
			}{
				"with a certificate":             {&good, map[string]string{"none": ":hello", "optional": "spiffe://acme.test/web:hello", "require": "spiffe://acme.test/web:hello"}},
				"without":                        {nil, map[string]string{"none": ":hello", "optional": ":hello"}},
				"with that of another authority": {&wrong, map[string]string{"none": ":hello"}},
				"with one that has expired":      {&expired, map[string]string{"none": ":hello"}},
			} {
				cfg := &tls.Config{RootCAs: a.Pool(), ServerName: "loom.test"}
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if tt.pair == nil {
						return &tls.Certificate{}, nil
					}
					return tt.pair, nil
				}
				got, err := ask(dial(t, address, cfg), "hello")
				want := tt.want[auth]
				switch {
				case want != "" && (err != nil || got != want):
					t.Errorf("%s: %q and %v, want %q", name, got, err, want)
				case want == "" && status.Code(err) != codes.Unavailable:
					t.Errorf("%s: %q and %v, want UNAVAILABLE", name, got, err)
				}
			}
		})
	}
}

// Clients that do not speak HTTP/2 in TLS learn it in the handshake; those that
// do not speak TLS are closed. The log says why.
func TestClientsThatAreNone(t *testing.T) {
	a := daemon.NewAuthority(t, "test")
	address := daemon.FreeAddress(t)
	process := start(t, address, edge(address, certificate(a.For("loom.test")), plain(startServer(t))))
	for name, protocols := range map[string][]string{"HTTP/1.1": {"http/1.1"}, "no protocol": nil} {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: a.Pool(), ServerName: "loom.test", NextProtos: protocols})
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: it is let in", name)
		} else if !strings.Contains(err.Error(), "no application protocol") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: a.Pool(), ServerName: "loom.test", NextProtos: []string{"h2"}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is let in")
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a client that speaks clear text is not closed")
	}
	process.Await(t, "the log says why", func() bool {
		return strings.Contains(process.Stderr(), "connection turned away")
	})
}

// A client gets the certificate of the name that it asks for.
func TestServerNames(t *testing.T) {
	a := daemon.NewAuthority(t, "test")
	address := daemon.FreeAddress(t)
	more := a.For("b.test", "*.b.test")
	settings := certificate(a.For("a.test")) + fmt.Sprintf(", certificates: [{%s}]", certificate(more))
	start(t, address, edge(address, settings, plain(startServer(t))))
	for _, name := range []string{"a.test", "b.test", "x.b.test"} {
		if _, err := ask(dial(t, address, &tls.Config{RootCAs: a.Pool(), ServerName: name}), "hello"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ask(dial(t, address, &tls.Config{RootCAs: a.Pool(), ServerName: "c.test"}), "hello"); status.Code(err) != codes.Unavailable {
		t.Errorf("a name that nobody has: %v", err)
	}
}
