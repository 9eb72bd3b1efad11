package pki

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Authorities are those that sign certificates of the other side, as a PEM
// file lists them at the moment. It is safe for concurrent use.
type Authorities struct {
	files *files[*x509.CertPool]
}

// LoadAuthorities reads the certificates in a file. Report is as for [LoadPair].
func LoadAuthorities(file string, report func(error)) (*Authorities, error) {
	f, err := load(report, func(contents [][]byte) (*x509.CertPool, error) {
		return parseAuthorities(file, contents[0])
	}, file)
	if err != nil {
		return nil, err
	}
	return &Authorities{files: f}, nil
}

// pool returns the authorities of now: the same pointer until they change.
// It is nil, which stands for the system's, if a is.
func (a *Authorities) pool() *x509.CertPool {
	if a == nil {
		return nil
	}
	return *a.files.get()
}

// Problem says what is wrong with the file as it is, while an earlier one is
// in force; empty if nothing is.
func (a *Authorities) Problem() string {
	if err := a.files.trouble(); err != nil {
		return err.Error()
	}
	return ""
}

func parseAuthorities(file string, content []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	found := false
	for rest := content; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		pool.AddCert(c)
		found = true
	}
	if !found {
		return nil, fmt.Errorf("%s has no PEM block %q", file, "CERTIFICATE")
	}
	return pool, nil
}
