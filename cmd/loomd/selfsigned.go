package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"loom/internal/pki"
)

// ownCertificate is one that is made for this run, for development. A nil one
// is none.
type ownCertificate struct {
	pair  tls.Certificate
	trust string // file by which clients trust it
}

// newOwnCertificate makes a certificate for the names of this machine, and
// writes it, without its key, where clients can read it.
func newOwnCertificate(f *flags) (*ownCertificate, error) {
	if !f.selfSigned {
		return nil, nil
	}
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
