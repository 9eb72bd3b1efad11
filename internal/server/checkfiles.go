package server

import (
	"fmt"
	"strings"
	"time"

	"loom/internal/config"
	"loom/internal/pki"
)

// CheckFiles reads the certificates that a configuration names and says what
// is wrong with them. A certificate that has expired, or is not valid yet, is a
// mistake if strict; else it is a warning, because loomd can start with it, and
// its other listeners are of use.
func CheckFiles(cfg *config.Config, now time.Time, strict bool) []config.Finding {
	c := &fileCheck{now: now, strict: strict}
	for i := range cfg.Listeners {
		t := cfg.Listeners[i].TLS
		if t == nil {
			continue
		}
		path := fmt.Sprintf("listeners[%d].tls", i)
		c.pair(path, t.CertFile, t.KeyFile)
		for j, more := range t.Certificates {
			c.pair(fmt.Sprintf("%s.certificates[%d]", path, j), more.CertFile, more.KeyFile)
		}
		c.authorities(path+".client_ca_file", t.ClientCAFile)
	}
	for i := range cfg.Backends {
		t := cfg.Backends[i].TLS
		if t == nil {
			continue
		}
		path := fmt.Sprintf("backends[%d].tls", i)
		c.authorities(path+".ca_file", t.CAFile)
		if t.CertFile != "" {
			c.pair(path, t.CertFile, t.KeyFile)
		}
	}
	if in := cfg.Inspector; in != nil && in.TLS != nil {
		c.pair("inspector.tls", in.TLS.CertFile, in.TLS.KeyFile)
	}
	return c.found
}

// fileCheck collects what it finds.
type fileCheck struct {
	// Immutable.
	now    time.Time
	strict bool

	found []config.Finding
}

// pair checks the certificate and the key of the block at path.
func (c *fileCheck) pair(path, certFile, keyFile string) {
	p, err := pki.LoadPair(certFile, keyFile, nil)
	if err != nil {
		key := ".cert_file"
		if certFile != keyFile && strings.Contains(err.Error(), keyFile) {
			key = ".key_file"
		}
		c.wrong(path+key, err)
		return
	}
	if err := pki.Lifetime(p.Certificate().Leaf, c.now); err != nil {
		c.found = append(c.found, config.Finding{Path: path + ".cert_file", Msg: fmt.Sprintf("%s: %v", certFile, err), Doubt: !c.strict})
	}
}

func (c *fileCheck) authorities(path, file string) {
	if file == "" {
		return
	}
	if _, err := pki.LoadAuthorities(file, nil); err != nil {
		c.wrong(path, err)
	}
}

func (c *fileCheck) wrong(path string, err error) {
	c.found = append(c.found, config.Finding{Path: path, Msg: err.Error()})
}
