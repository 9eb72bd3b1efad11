package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"loom/internal/pki"
)

// ownCertificate is one that is made for this run, for development. A nil one
// is none.
type ownCertificate struct {
	pair  tls.Certificate
	trust string // file by which clients trust it
}

// The section in which the certificate crosses a reload.
const (
	certificateSection = "certificate"
	certificateVersion = 1
)

// crossingCertificate is a certificate on its way to another process.
type crossingCertificate struct {
	Certificate []byte `json:"certificate"` // DER
	Key         []byte `json:"key"`         // PKCS #8
	Trust       string `json:"trust"`       // the file by which clients trust it
}

// ownCertificate is that of the process before, or a new one; nil if there is
// to be none.
func (d *daemon) ownCertificate() (*ownCertificate, error) {
	if !d.flags.selfSigned {
		return nil, nil
	}
	data, err := d.origin.section(certificateSection, certificateVersion)
	if err == nil && data != nil {
		var c *ownCertificate
		if c, err = restoreCertificate(data); err == nil {
			return c, nil
		}
	}
	if err != nil {
		d.log.Warn("-tls-self-signed: the certificate of the process before is not taken over; clients have to trust another one", zap.Error(err))
	}
	return newOwnCertificate(d.flags)
}

// restoreCertificate takes what save wrote.
func restoreCertificate(data []byte) (*ownCertificate, error) {
	var x crossingCertificate
	if err := json.Unmarshal(data, &x); err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(x.Certificate)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(x.Key)
	if err != nil {
		return nil, fmt.Errorf("read the key of the certificate: %w", err)
	}
	return &ownCertificate{
		pair:  tls.Certificate{Certificate: [][]byte{x.Certificate}, PrivateKey: key, Leaf: leaf},
		trust: x.Trust,
	}, nil
}

// save returns the certificate for another process. Its key is secret.
func (c *ownCertificate) save() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("write down the key of the certificate: %w", err)
	}
	return json.Marshal(crossingCertificate{Certificate: c.pair.Certificate[0], Key: key, Trust: c.trust})
}

// newOwnCertificate makes a certificate for the names of this machine, and
// writes it, without its key, where clients can read it.
func newOwnCertificate(f *flags) (*ownCertificate, error) {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	own, err := os.Hostname()
	if err == nil && !slices.Contains(hosts, own) {
		hosts = append(hosts, own)
	}
	if host, _, err := net.SplitHostPort(f.listen); err == nil && host != "" && !slices.Contains(hosts, host) {
		hosts = append(hosts, host)
	}
	pair, text, err := pki.SelfSigned(hosts, time.Now())
	if err != nil {
		return nil, fmt.Errorf("-tls-self-signed: %w", err)
	}
	trust, err := os.CreateTemp("", "loomd-*.pem") // for its owner alone
	if err != nil {
		return nil, fmt.Errorf("-tls-self-signed: %w", err)
	}
	_, err = trust.Write(text)
	if err = errors.Join(err, trust.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("-tls-self-signed: write %s: %w", trust.Name(), err), os.Remove(trust.Name()))
	}
	return &ownCertificate{pair: pair, trust: trust.Name()}, nil
}

// shown is what listeners show; nil: clear text.
func (c *ownCertificate) shown() *tls.Certificate {
	if c == nil {
		return nil
	}
	return &c.pair
}

// client is how who is in this process trusts it; nil: clear text.
func (c *ownCertificate) client() *tls.Config {
	if c == nil {
		return nil
	}
	trust, err := pki.LoadAuthorities(c.trust, nil)
	if err != nil {
		trust = nil // then the system's are asked, and say why it fails
	}
	return pki.NewClient(pki.ClientOptions{Authorities: trust, ServerName: "localhost"}).Config("localhost")
}

// introduce tells how clients trust it.
func (c *ownCertificate) introduce(w io.Writer, address string) {
	if c != nil {
		fmt.Fprintf(w, "TLS with a certificate that is made for this run. Clients trust it by %s:\n  grpcurl %s list\n", c.trust, c.grpcurl(address))
	}
}

// grpcurl returns the arguments by which grpcurl reaches a listener.
func (c *ownCertificate) grpcurl(address string) string {
	path, unix := strings.CutPrefix(address, "unix:")
	switch {
	case c == nil && unix:
		return "-plaintext -unix " + path
	case c == nil:
		return "-plaintext " + address
	case unix:
		return "-cacert " + c.trust + " -authority localhost -unix " + path
	}
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().IsUnspecified() {
		address = fmt.Sprintf("localhost:%d", a.Port())
	}
	return "-cacert " + c.trust + " " + address
}

// remove takes the file away. Nobody needs it any more.
func (c *ownCertificate) remove() {
	if c != nil {
		_ = os.Remove(c.trust)
	}
}
