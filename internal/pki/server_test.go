package pki

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"loom/internal/loomtest"
)

// newServer returns a server whose first certificate is for loom.test.
func newServer(t *testing.T, a *loomtest.Authority, change func(*ServerOptions)) *Server {
	t.Helper()
	o := ServerOptions{Name: "edge", Pairs: []*Pair{Fixed(a.Pair(loomtest.Named("loom.test")))}, Tickets: NewTickets()}
	if change != nil {
		change(&o)
	}
	return NewServer(o)
}

// trusting is a gRPC client of loom.test.
func trusting(a *loomtest.Authority, pairs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: a.Pool(), ServerName: "loom.test", NextProtos: []string{"h2"}, Certificates: pairs}
}

func authorities(t *testing.T, all ...*loomtest.Authority) *Authorities {
	t.Helper()
	var text []byte
	for _, a := range all {
		text = append(text, a.PEM...)
	}
	f, err := LoadAuthorities(loomtest.Write(t, t.TempDir(), "ca.crt", text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestServerSpeaksH2Alone(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	s := newServer(t, a, nil)
	for name, protocols := range map[string][]string{"another": {"http/1.1"}, "none": nil} {
		c := trusting(a)
		c.NextProtos = protocols
		_, serverErr, clientErr := shake(t, s, c)
		if serverErr == nil || !strings.Contains(serverErr.Error(), "does not offer h2") {
			t.Errorf("%s: the server says %v", name, serverErr)
		}
		if clientErr == nil || !strings.Contains(clientErr.Error(), "no application protocol") {
			t.Errorf("%s: the client sees %v", name, clientErr)
		}
	}
	c := trusting(a)
	c.NextProtos = []string{"grpc-exp", "h2"}
	cs, serverErr, clientErr := shake(t, s, c)
	if serverErr != nil || clientErr != nil || cs.NegotiatedProtocol != "h2" {
		t.Errorf("h2 among others: %q, %v, %v", cs.NegotiatedProtocol, serverErr, clientErr)
	}
}

func TestServerVersions(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	s := newServer(t, a, nil)
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c := trusting(a)
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, version
		if _, _, err := shake(t, s, c); (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	c := trusting(a)
	c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	if _, _, err := shake(t, s, c); err == nil {
		t.Error("it takes a cipher suite that HTTP/2 forbids")
	}
}

func TestServerChoosesByName(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	s := newServer(t, a, func(o *ServerOptions) {
		o.Pairs = append(o.Pairs, Fixed(a.Pair(loomtest.Named("b.test"))), Fixed(a.Pair(loomtest.Named("*.c.test"))))
	})
	for asked, want := range map[string]string{
		"loom.test": "loom.test", "b.test": "b.test", "B.test": "b.test", "x.c.test": "*.c.test",
		"x.y.c.test": "loom.test", "nobody.test": "loom.test", "": "loom.test",
	} {
		var got string
		c := trusting(a)
		c.ServerName, c.InsecureSkipVerify = asked, true
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			got = cs.PeerCertificates[0].DNSNames[0]
			return nil
		}
		if _, _, err := shake(t, s, c); err != nil || got != want {
			t.Errorf("asked for %q: got %s and %v, want %s", asked, got, err, want)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	a, other := loomtest.NewAuthority(t, "test"), loomtest.NewAuthority(t, "other")
	good := a.Pair(loomtest.Named("spiffe://Acme.test/ns/prod/web", "web.test"))
	expired := loomtest.Named("web.test")
	expired.NotAfter = time.Now().Add(-time.Minute)
	serverOnly := loomtest.Named("web.test")
	serverOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, tt := range []struct {
		name     string
		require  bool
		pairs    []tls.Certificate
		identity string
		want     string // of the server's error
	}{
		{"required and shown", true, []tls.Certificate{good}, "spiffe://acme.test/ns/prod/web", ""},
		{"required and not shown", true, nil, "", "didn't provide a certificate"},
		{"required, of another authority", true, []tls.Certificate{other.Pair(loomtest.Named("web.test"))}, "", `signed by the authority "CN=other", which client_ca_file does not have`},
		{"required, expired", true, []tls.Certificate{a.Pair(expired)}, "", "expired on"},
		{"required, made for servers", true, []tls.Certificate{a.Pair(serverOnly)}, "", "not made for this side"},
		{"optional and shown", false, []tls.Certificate{a.Pair(loomtest.Named("Web.test", "api.test"))}, "web.test", ""},
		{"optional and not shown", false, nil, "", ""},
		{"optional, of another authority", false, []tls.Certificate{other.Pair(loomtest.Named("web.test"))}, "", "which client_ca_file does not have"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, a, func(o *ServerOptions) { o.Clients, o.Require = authorities(t, a), tt.require })
			c := trusting(a)
			// As grpc-go does it: whatever the server asks for.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(tt.pairs) == 0 {
					return new(tls.Certificate), nil
				}
				return &tt.pairs[0], nil
			}
			cs, serverErr, clientErr := shake(t, s, c)
			if tt.want != "" {
				if serverErr == nil || !strings.Contains(serverErr.Error(), tt.want) {
					t.Errorf("the server says %v, want %q", serverErr, tt.want)
				}
				if clientErr == nil {
					t.Error("the client sees no error")
				}
				return
			}
			if serverErr != nil || clientErr != nil {
				t.Fatal(serverErr, clientErr)
			}
			if got := Identity(&cs); got != tt.identity {
				t.Errorf("the client is %q, want %q", got, tt.identity)
			}
		})
	}
}

// A session is resumed, and not by who would be turned away today.
func TestResumption(t *testing.T) {
	a, other := loomtest.NewAuthority(t, "test"), loomtest.NewAuthority(t, "other")
	folder := t.TempDir()
	file := loomtest.Write(t, folder, "ca.crt", a.PEM)
	clients, err := LoadAuthorities(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	tickets := NewTickets()
	s := newServer(t, a, func(o *ServerOptions) { o.Clients, o.Require, o.Tickets = clients, true, tickets })
	next := newServer(t, a, func(o *ServerOptions) { o.Clients, o.Require, o.Tickets, o.Name = clients, true, tickets, "next" })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		loomtest.Write(t, folder, "ca.crt", a.PEM)
		clients.files.nextLook.Store(0)
		c := trusting(a, a.Pair(loomtest.Named("web.test")))
		c.MaxVersion, c.ClientSessionCache = version, tls.NewLRUClientSessionCache(0)
		for i, want := range []bool{false, true} {
			cs, serverErr, clientErr := shake(t, s, c)
			if serverErr != nil || clientErr != nil || cs.DidResume != want || Identity(&cs) != "web.test" {
				t.Fatalf("%s, handshake %d: resumed %v, identity %q, %v, %v", tls.VersionName(version), i, cs.DidResume, Identity(&cs), serverErr, clientErr)
			}
		}
		if cs, _, _ := shake(t, next, c); cs.DidResume {
			t.Errorf("%s: a ticket of one listener is good at another", tls.VersionName(version))
		}
		if _, _, err := shake(t, s, c); err != nil {
			t.Fatal(err)
		}
		loomtest.Write(t, folder, "ca.crt", other.PEM)
		clients.files.nextLook.Store(0)
		if _, serverErr, _ := shake(t, s, c); serverErr == nil {
			t.Errorf("%s: a client whose authority is none any more resumes its session", tls.VersionName(version))
		}
	}
}

func TestServerSaysWhoSpeaksNoTLS(t *testing.T) {
	s := newServer(t, loomtest.NewAuthority(t, "test"), nil)
	near, far := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
	defer func() { _, _ = near.Close(), far.Close() }()
	if _, err := far.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Handshake(near, time.Now().Add(time.Minute)); err == nil || err.Error() != "the client does not speak TLS" {
		t.Errorf("got %v", err)
	}
}
