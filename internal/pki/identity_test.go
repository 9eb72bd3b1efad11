package pki

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"loom/internal/loomtest"
)

func TestIdentity(t *testing.T) {
	common := func(name string) *x509.Certificate { return &x509.Certificate{Subject: pkix.Name{CommonName: name}} }
	for _, tt := range []struct {
		name string
		cert *x509.Certificate
		want string
	}{
		{"SPIFFE before all", loomtest.Named("web.test", "https://web.test/x", "spiffe://Acme.Test/ns/Prod"), "spiffe://acme.test/ns/Prod"},
		{"the first DNS name", loomtest.Named("Web.Test", "api.test", "10.0.0.1"), "web.test"},
		{"the common name at last", common("Web Server"), "Web Server"},
		{"a name longer than any", common(strings.Repeat("x", maxIdentity+1)), ""},
		{"no name", &x509.Certificate{}, ""},
		{"a name that would break metadata", common("web\r\nx-admin: 1"), ""},
		{"a name that could be taken for another", common("we\u0431.test"), ""},
	} {
		cs := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{tt.cert}}
		if got := Identity(cs); got != "" {
			t.Errorf("%s: an identity of %q without verification", tt.name, got)
		}
		cs.VerifiedChains = [][]*x509.Certificate{{tt.cert}}
		if got := Identity(cs); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := Identity(&tls.ConnectionState{}); got != "" {
		t.Errorf("without a certificate: %q", got)
	}
}
