package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Pair is a certificate with its chain and its key, as they are in two PEM
// files at the moment. It is safe for concurrent use.
type Pair struct {
	files *files[tls.Certificate]
}

// LoadPair reads a pair. Later, report is told, on the goroutine of a
// handshake, of files that changed and are of no use; it may be nil.
func LoadPair(certFile, keyFile string, report func(error)) (*Pair, error) {
	f, err := load(report, func(contents [][]byte) (tls.Certificate, error) {
		return parsePair(certFile, keyFile, contents)
	}, certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &Pair{files: f}, nil
}

// Fixed returns a pair that is no file and never changes.
func Fixed(c tls.Certificate) *Pair {
	f := &files[tls.Certificate]{}
	f.value.Store(&c)
	return &Pair{files: f}
}

// Certificate returns the pair as it is now.
func (p *Pair) Certificate() *tls.Certificate { return p.files.get() }

// GetCertificate is for a tls.Config.
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.Certificate(), nil
}

// PairStatus is a pair as people see it.
type PairStatus struct {
	Names    []string // that the certificate is good for
	NotAfter time.Time
	Problem  string // with the files as they are, while earlier ones are in force
}

// Status returns what there is to show of the pair.
func (p *Pair) Status() PairStatus {
	var st PairStatus
	if err := p.files.trouble(); err != nil {
		st.Problem = err.Error()
	}
	leaf := p.Certificate().Leaf
	st.Names, st.NotAfter = names(leaf), leaf.NotAfter
	return st
}

// names lists what a certificate is for.
func names(leaf *x509.Certificate) []string {
	all := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	for _, u := range leaf.URIs {
		all = append(all, u.String())
	}
	if len(all) == 0 && leaf.Subject.CommonName != "" {
		all = append(all, leaf.Subject.CommonName)
	}
	return all
}

// parsePair says which of the two files is wrong, unlike crypto/tls.
func parsePair(certFile, keyFile string, contents [][]byte) (tls.Certificate, error) {
	if err := wantBlock(certFile, contents[0], "CERTIFICATE"); err != nil {
		return tls.Certificate{}, err
	}
	if err := wantBlock(keyFile, contents[1], "PRIVATE KEY"); err != nil {
		return tls.Certificate{}, err
	}
	c, err := tls.X509KeyPair(contents[0], contents[1])
	switch {
	case err == nil:
		return c, nil
	case strings.Contains(err.Error(), "does not match"):
		return tls.Certificate{}, fmt.Errorf("the key in %s does not belong to the certificate in %s", keyFile, certFile)
	case strings.Contains(err.Error(), "private key"):
		return tls.Certificate{}, fmt.Errorf("%s: %w", keyFile, trimTLS(err))
	}
	return tls.Certificate{}, fmt.Errorf("%s: %w", certFile, trimTLS(err))
}

// wantBlock looks for a PEM block whose type ends in kind.
func wantBlock(file string, content []byte, kind string) error {
	var other string
	for rest := content; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if strings.HasSuffix(b.Type, kind) {
			if strings.HasPrefix(b.Type, "ENCRYPTED") {
				return fmt.Errorf("the key in %s is encrypted; loomd needs it in the clear", file)
			}
			return nil
		}
		other = b.Type
	}
	if other != "" {
		return fmt.Errorf("%s has a PEM block %q where a %q belongs", file, other, kind)
	}
	return fmt.Errorf("%s has no PEM block %q", file, kind)
}

// trimTLS takes off the prefix of crypto/tls.
func trimTLS(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "tls: "))
}

// Lifetime says why a certificate is of no use at a time: expired, or not yet
// valid; nil if it is.
func Lifetime(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate expired on %s", leaf.NotAfter.UTC().Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.DateTime))
	}
	return nil
}
