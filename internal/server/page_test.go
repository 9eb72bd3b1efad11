package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

const pageToken = "0123456789abcdef"

// write puts a file into the folder and returns its name.
func write(t *testing.T, folder, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// certificate writes one for 127.0.0.1 and its key, and returns who trusts it.
func certificate(t *testing.T, folder string) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(certPEM)
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return write(t, folder, "tls.crt", certPEM), write(t, folder, "tls.key", keyPEM), trust
}

// TestPageForOthers has the inspector on every interface: over TLS, with the
// token of the file.
func TestPageForOthers(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile, trust := certificate(t, folder)
	tokenFile := write(t, folder, "token", []byte("  "+pageToken+"\n"))
	r := serve(t, oneBackend(nobody, anyPort)+fmt.Sprintf(`
inspector:
  address: "0.0.0.0:0"
  allow_hosts: [loom.test]
  token_file: %q
  tls: {cert_file: %q, key_file: %q}
`, tokenFile, certFile, keyFile))
	if url := r.InspectorURL(); !strings.HasPrefix(url, "https://") || !strings.HasSuffix(url, "/?token="+pageToken) {
		t.Errorf("the inspector is at %s", url)
	}
	_, port, err := net.SplitHostPort(r.watch.page.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trust}}
	get := func(scheme, token string) (int, []*http.Cookie, error) {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://127.0.0.1:"+port+"/?token="+token, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(q)
		if err != nil {
			return 0, nil, err
		}
		defer answer.Body.Close()
		return answer.StatusCode, answer.Cookies(), nil
	}
	status, cookies, err := get("https", pageToken)
	if err != nil {
		t.Fatal(err)
	}
	if len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HttpOnly {
		t.Errorf("status %d and cookies %v, want one that only goes over TLS", status, cookies)
	}
	if status, cookies, err = get("https", "another-token-0123"); err != nil || len(cookies) > 0 {
		t.Errorf("a wrong token: status %d, cookies %v and error %v, want no cookie", status, cookies, err)
	}
	if status, _, err = get("http", pageToken); err == nil && status != http.StatusBadRequest {
		t.Errorf("without TLS: status %d", status)
	}
}

func TestPageRefuses(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile, _ := certificate(t, folder)
	for name, test := range map[string]struct{ keys, want string }{
		"no token file":    {fmt.Sprintf("token_file: %q", filepath.Join(folder, "gone")), "open the token file"},
		"folder of tokens": {fmt.Sprintf("token_file: %q", folder), "read the token file"},
		"empty token":      {fmt.Sprintf("token_file: %q", write(t, folder, "empty", []byte(" \n"))), "is empty"},
		"short token":      {fmt.Sprintf("token_file: %q", write(t, folder, "short", []byte("abc"))), "the token has 3 characters"},
		"other file":       {fmt.Sprintf("token_file: %q", write(t, folder, "large", make([]byte, maxTokenFile+1))), "more than 4096 bytes"},
		"no certificate":   {fmt.Sprintf("tls: {cert_file: %q, key_file: %q}", certFile+".gone", keyFile), "load the certificate"},
		"swapped":          {fmt.Sprintf("tls: {cert_file: %q, key_file: %q}", keyFile, certFile), "load the certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			text := oneBackend(nobody, anyPort) + "inspector:\n  address: \"127.0.0.1:0\"\n  " + test.keys + "\n"
			_, err := New(parse(t, text), Options{Log: zap.NewNop()})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
