package server

import (
	"crypto/tls"
	"fmt"
	"reflect"
	"time"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/h2"
	"loom/internal/pki"
)

// termsOf makes those of a listener. was are those that they replace, whose TLS
// side goes on if nothing about it changes; nil if there are none.
func (s *Server) termsOf(c *config.Listener, f *inForce, was *terms) (*terms, error) {
	t := &terms{config: c, name: c.Name, most: f.cfg.Limits.Connections, proxied: c.ProxyProtocol}
	if c.Limits.Connections > 0 {
		t.most = c.Limits.Connections
	}
	if was != nil && was.name == c.Name && reflect.DeepEqual(was.config.TLS, c.TLS) {
		t.secure = was.secure
	} else {
		var err error
		if t.secure, err = s.listenerTLS(c, s.opts.Certificate); err != nil {
			return nil, fmt.Errorf("listener %q: %w", c.Name, err)
		}
	}
	limits := f.limits
	if c.Limits.Streams > 0 {
		limits = withStreams(limits, c.Limits.Streams)
	}
	t.caller.IdentityMetadata = c.IdentityMetadata
	t.caller.H2 = &h2.Options{
		Limits: limits, Budget: s.budget, Counters: &s.counters.H2,
		MaxAge: time.Duration(c.MaxConnectionAge), AgeGrace: time.Duration(c.AgeGrace),
	}
	return t, nil
}

// listenerTLS returns the TLS side of a listener; nil if it speaks clear text.
// One that has none of its own gets own, if there is one.
func (s *Server) listenerTLS(c *config.Listener, own *tls.Certificate) (*pki.Server, error) {
	o := pki.ServerOptions{Name: c.Name, Tickets: s.tickets}
	switch {
	case c.TLS != nil:
	case own != nil:
		o.Pairs = []*pki.Pair{pki.Fixed(*own)}
		return pki.NewServer(o), nil
	default:
		return nil, nil
	}
	report := s.reportFiles("listener", c.Name)
	for _, f := range append([]config.Certificate{{CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile}}, c.TLS.Certificates...) {
		p, err := pki.LoadPair(f.CertFile, f.KeyFile, report)
		if err != nil {
			return nil, fmt.Errorf("load the certificate: %w", err)
		}
		if err := pki.Lifetime(p.Certificate().Leaf, time.Now()); err != nil {
			s.log.Warn("clients will refuse it", zap.String("listener", c.Name), zap.String("file", f.CertFile), zap.Error(err))
		}
		o.Pairs = append(o.Pairs, p)
	}
	if c.TLS.ClientAuth != "none" {
		var err error
		if o.Clients, err = pki.LoadAuthorities(c.TLS.ClientCAFile, report); err != nil {
			return nil, fmt.Errorf("load client_ca_file: %w", err)
		}
		o.Require = c.TLS.ClientAuth == "require"
	}
	return pki.NewServer(o), nil
}

// reportFiles returns what writes to the log that files cannot be used.
func (s *Server) reportFiles(kind, name string) func(error) {
	return func(err error) {
		s.log.Warn("certificates: what was loaded before stays in force", zap.String(kind, name), zap.Error(err))
	}
}

// backendsTLS makes the TLS sides of all backends that have one, by name.
func (s *Server) backendsTLS(backends []config.Backend) (map[string]*pki.Client, error) {
	all := make(map[string]*pki.Client)
	for i := range backends {
		b := &backends[i]
		if b.TLS == nil {
			continue
		}
		c, err := s.backendTLS(b)
		if err != nil {
			return nil, fmt.Errorf("backend %q: %w", b.Name, err)
		}
		all[b.Name] = c
	}
	return all, nil
}

func (s *Server) backendTLS(b *config.Backend) (*pki.Client, error) {
	t := b.TLS
	o := pki.ClientOptions{ServerName: t.ServerName, Insecure: t.InsecureSkipVerify}
	report := s.reportFiles("backend", b.Name)
	var err error
	if t.CAFile != "" {
		if o.Authorities, err = pki.LoadAuthorities(t.CAFile, report); err != nil {
			return nil, fmt.Errorf("load ca_file: %w", err)
		}
	}
	if t.CertFile != "" {
		if o.Pair, err = pki.LoadPair(t.CertFile, t.KeyFile, report); err != nil {
			return nil, fmt.Errorf("load the certificate: %w", err)
		}
	}
	if o.Insecure {
		s.log.Warn("certificates of the backend are not verified (insecure_skip_verify): anybody in between can read and change calls",
			zap.String("backend", b.Name))
	}
	return pki.NewClient(o), nil
}
