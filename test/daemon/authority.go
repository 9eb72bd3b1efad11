package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs the certificates of a test.
type Authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// File holds its own certificate as PEM.
	File string
}

// NewAuthority makes an authority. Its file lies in a folder of the test.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := a.sign(template, template, &a.key.PublicKey)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatalf("read the certificate of the authority: %v", err)
	}
	a.File = filepath.Join(t.TempDir(), "ca.crt")
	writePEM(t, a.File, "CERTIFICATE", der)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	return key
}

func (a *Authority) sign(template, parent *x509.Certificate, public *ecdsa.PublicKey) []byte {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		a.t.Fatalf("make a serial number: %v", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		a.t.Fatalf("sign a certificate: %v", err)
	}
	return der
}

// Pair is a certificate with its key, in files.
type Pair struct{ Cert, Key string }

// Issue signs a certificate for the names, which are DNS names, IP addresses or
// URIs, good until the time given, and writes it into a folder of the test.
func (a *Authority) Issue(until time.Time, names ...string) Pair {
	a.t.Helper()
	folder := a.t.TempDir()
	p := Pair{filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")}
	a.Reissue(p, until, names...)
	return p
}

// For is Issue for a day.
func (a *Authority) For(names ...string) Pair {
	a.t.Helper()
	return a.Issue(time.Now().Add(24*time.Hour), names...)
}

// Reissue writes a new certificate and a new key in the place of p, each by a
// rename, as tools do that renew them.
func (a *Authority) Reissue(p Pair, until time.Time, names ...string) {
	a.t.Helper()
	template := &x509.Certificate{
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if u, err := url.Parse(n); err == nil && u.Scheme != "" && u.Host != "" {
			template.URIs = append(template.URIs, u)
		} else if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	key := newKey(a.t)
	der := a.sign(template, a.cert, &key.PublicKey)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatalf("write a key: %v", err)
	}
	writePEM(a.t, p.Cert, "CERTIFICATE", der)
	writePEM(a.t, p.Key, "PRIVATE KEY", secret)
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	fresh := path + ".new"
	if err := os.WriteFile(fresh, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatalf("write a %s: %v", kind, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatalf("write a %s: %v", kind, err)
	}
}

// Pool trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Load reads the pair for a tls.Config.
func (p Pair) Load(t testing.TB) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatalf("load a certificate: %v", err)
	}
	return pair
}
