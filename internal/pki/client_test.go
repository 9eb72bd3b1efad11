package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"loom/internal/loomtest"
)

// What is wrong between loomd and a backend is said in words that name the key
// to look at.
func TestClientSaysWhatIsWrong(t *testing.T) {
	a, other := loomtest.NewAuthority(t, "test"), loomtest.NewAuthority(t, "other")
	trust := authorities(t, a)
	h2 := []string{"h2"}
	pairs := func(c *x509.Certificate) []tls.Certificate { return []tls.Certificate{a.Pair(c)} }
	expired := loomtest.Named("b.test")
	expired.NotBefore, expired.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	mine := Fixed(a.Pair(loomtest.Named("loomd.test")))
	for _, tt := range []struct {
		name   string
		client ClientOptions
		server *tls.Config
		want   string // empty: they get on
	}{
		{"all is well", ClientOptions{Authorities: trust}, &tls.Config{Certificates: pairs(loomtest.Named("b.test")), NextProtos: h2}, ""},
		{"unknown authority", ClientOptions{Authorities: authorities(t, other)}, &tls.Config{Certificates: pairs(loomtest.Named("b.test")), NextProtos: h2},
			`its certificate is signed by the authority "CN=test", which loomd does not trust; see ca_file`},
		{"unknown to the system", ClientOptions{}, &tls.Config{Certificates: pairs(loomtest.Named("b.test")), NextProtos: h2}, "which loomd does not trust"},
		{"wrong name", ClientOptions{Authorities: trust}, &tls.Config{Certificates: pairs(loomtest.Named("c.test", "10.0.0.1")), NextProtos: h2},
			"its certificate is for c.test, 10.0.0.1, not for b.test; see server_name"},
		{"server_name", ClientOptions{Authorities: trust, ServerName: "c.test"}, &tls.Config{Certificates: pairs(loomtest.Named("c.test")), NextProtos: h2}, ""},
		{"expired", ClientOptions{Authorities: trust}, &tls.Config{Certificates: pairs(expired), NextProtos: h2}, "the certificate expired on "},
		{"anything goes", ClientOptions{Insecure: true}, &tls.Config{Certificates: pairs(expired), NextProtos: h2}, ""},
		{"no ALPN", ClientOptions{Authorities: trust}, &tls.Config{Certificates: pairs(loomtest.Named("b.test"))},
			"it speaks TLS, but not HTTP/2 in it (no h2 by ALPN)"},
		{"other ALPN", ClientOptions{Authorities: trust}, &tls.Config{Certificates: pairs(loomtest.Named("b.test")), NextProtos: []string{"http/1.1"}},
			"it speaks TLS, but not HTTP/2 in it (no h2 by ALPN)"},
		{"old TLS", ClientOptions{Authorities: trust}, &tls.Config{Certificates: pairs(loomtest.Named("b.test")), NextProtos: h2, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			"no TLS version or cipher suite in common"},
		{"client certificate", ClientOptions{Authorities: trust, Pair: mine},
			&tls.Config{Certificates: pairs(loomtest.Named("b.test")), NextProtos: h2, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()}, ""},
		{"no client certificate", ClientOptions{Authorities: trust},
			&tls.Config{Certificates: pairs(loomtest.Named("b.test")), NextProtos: h2, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()},
			"it wants a client certificate; see cert_file and key_file"},
		{"client certificate of another authority", ClientOptions{Authorities: trust, Pair: mine},
			&tls.Config{Certificates: pairs(loomtest.Named("b.test")), NextProtos: h2, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: other.Pool()},
			"it does not accept our client certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := reach(t, NewClient(tt.client), "b.test", tt.server)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestClientOfAnAddress(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	c := NewClient(ClientOptions{Authorities: authorities(t, a)})
	server := &tls.Config{Certificates: []tls.Certificate{a.Pair(loomtest.Named("127.0.0.1"))}, NextProtos: []string{"h2"}}
	if err := reach(t, c, "127.0.0.1", server); err != nil {
		t.Error(err)
	}
	if err := reach(t, c, "127.0.0.2", server); err == nil || !strings.Contains(err.Error(), "is for 127.0.0.1, not for 127.0.0.2") {
		t.Errorf("got %v", err)
	}
}

func TestClientSaysWhoSpeaksNoTLS(t *testing.T) {
	near, far := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
	defer func() { _ = far.Close() }()
	if _, err := far.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil { // SETTINGS
		t.Fatal(err)
	}
	if _, err := NewClient(ClientOptions{}).Handshake(t.Context(), near, "b.test"); err == nil || err.Error() != "it does not speak TLS" {
		t.Errorf("got %v", err)
	}
	if _, err := near.Write([]byte{0}); err == nil {
		t.Error("the connection is left open")
	}
}

func TestClientStatus(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	folder := t.TempDir()
	ca := loomtest.Write(t, folder, "ca.crt", a.PEM)
	trust, err := LoadAuthorities(ca, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(ClientOptions{Insecure: true, Authorities: trust})
	if got := c.Status(); len(got) != 1 || !strings.Contains(got[0], "insecure_skip_verify") {
		t.Errorf("it shows %q", got)
	}
	loomtest.Write(t, folder, "ca.crt", []byte("nothing"))
	if got := c.Status(); len(got) != 2 || !strings.Contains(got[1], ca) {
		t.Errorf("with a broken ca_file it shows %q", got)
	}
}

func TestSelfSigned(t *testing.T) {
	cert, text, err := SelfSigned([]string{"localhost", "127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := LoadAuthorities(loomtest.Write(t, t.TempDir(), "dev.pem", text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for host, ok := range map[string]bool{"localhost": true, "127.0.0.1": true, "example.test": false} {
		err := reach(t, NewClient(ClientOptions{Authorities: trust}), host, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
		if (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
	if got := net.JoinHostPort(cert.Leaf.IPAddresses[0].String(), "1"); got != "127.0.0.1:1" {
		t.Errorf("the address is %s", got)
	}
}
