package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// protocol is what both sides of loomd speak inside of TLS (RFC 9113, section 3.2).
const protocol = "h2"

// ServerOptions configures a Server. Name, Pairs and Tickets are required.
type ServerOptions struct {
	// Name tells the tickets of this server from those of others.
	Name string
	// Pairs are the certificates to choose from by the name that the client
	// asks for. The first one is for those that ask for none of them.
	Pairs []*Pair
	// Clients are who signs the certificates of clients; nil: they are not asked.
	Clients *Authorities
	// Require refuses clients without a certificate.
	Require bool
	Tickets *Tickets
}

// Server is the TLS side of a listener. It is safe for concurrent use.
type Server struct {
	// Immutable.
	opts ServerOptions
	base *tls.Config // locks its ticket keys itself

	mu sync.Mutex
	// Guarded by mu.
	keys    int            // generation of the ticket keys that base has
	pool    *x509.CertPool // that current checks clients against
	current *tls.Config
}

// NewServer returns a server with the certificates given.
func NewServer(o ServerOptions) *Server {
	s := &Server{opts: o}
	s.base = s.config(nil)
	s.base.GetConfigForClient = s.configFor
	return s
}

// suites are those of TLS 1.2 that HTTP/2 allows (RFC 9113, appendix A). Those
// of TLS 1.3 are all good, and not for us to choose.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// config makes a configuration that checks clients against pool.
func (s *Server) config(pool *x509.CertPool) *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites(),
		NextProtos:     []string{protocol},
		GetCertificate: s.choose,
		// Frames are gathered before they are encrypted: small records at the
		// start of a connection would only undo that.
		DynamicRecordSizingDisabled: true,
	}
	if s.opts.Clients == nil {
		return c
	}
	c.ClientCAs, c.ClientAuth = pool, tls.VerifyClientCertIfGiven
	if s.opts.Require {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.VerifyConnection = func(cs tls.ConnectionState) error { return verifyResumed(&cs, pool) }
	return c
}

// verifyResumed checks the certificate that a ticket vouches for: its authority
// may be one no more.
func verifyResumed(cs *tls.ConnectionState, pool *x509.CertPool) error {
	if !cs.DidResume || len(cs.PeerCertificates) == 0 {
		return nil
	}
	o := x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, c := range cs.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(o)
	return err
}

// errNoH2 says that a client is none for gRPC.
var errNoH2 = errors.New("the client does not offer h2 by ALPN, which gRPC clients do")

// configFor looks at what the client offers, and at the files.
func (s *Server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !slices.Contains(hello.SupportedProtos, protocol) {
		// crypto/tls lets a client pass that offers no protocol at all, and
		// calls what we return an internal error. The alert no_application_protocol
		// is what clients understand; the deadline of the handshake bounds it.
		if _, err := hello.Conn.Write([]byte{21, 3, 3, 0, 2, 2, 120}); err != nil {
			return nil, errors.Join(errNoH2, err)
		}
		return nil, errNoH2
	}
	pool := s.opts.Clients.pool()
	s.mu.Lock()
	defer s.mu.Unlock()
	if keys, generation := s.opts.Tickets.keysFor(s.opts.Name, time.Now()); generation != s.keys {
		s.keys = generation
		s.base.SetSessionTicketKeys(keys)
	}
	if s.opts.Clients == nil {
		return nil, nil
	}
	if s.current == nil || pool != s.pool {
		s.pool, s.current = pool, s.config(pool)
	}
	return s.current, nil
}

// choose finds the certificate for the name that the client asks for.
func (s *Server) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	first := s.opts.Pairs[0].Certificate()
	if len(s.opts.Pairs) == 1 || hello.ServerName == "" {
		return first, nil
	}
	for _, p := range s.opts.Pairs {
		c := p.Certificate()
		if c.Leaf.VerifyHostname(hello.ServerName) == nil && hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return first, nil
}

// Handshake makes a TLS connection on nc, by the deadline. It does not close nc
// when it fails.
func (s *Server) Handshake(nc net.Conn, deadline time.Time) (*tls.Conn, error) {
	if err := nc.SetDeadline(deadline); err != nil {
		return nil, err
	}
	c := tls.Server(nc, s.base)
	if err := c.Handshake(); err != nil {
		return nil, explainClient(err)
	}
	return c, nc.SetDeadline(time.Time{})
}

// ServerStatus is a server as people see it.
type ServerStatus struct {
	Certificates []PairStatus
	// Problem is what is wrong with the file of the authorities, while an
	// earlier one is in force.
	Problem string
}

// Status returns what there is to show of the server.
func (s *Server) Status() ServerStatus {
	var st ServerStatus
	for _, p := range s.opts.Pairs {
		st.Certificates = append(st.Certificates, p.Status())
	}
	if s.opts.Clients != nil {
		st.Problem = s.opts.Clients.Problem()
	}
	return st
}

// explainClient says what is wrong with a client.
func explainClient(err error) error {
	var header tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &header):
		return errors.New("the client does not speak TLS")
	case errors.As(err, &verification):
		return fmt.Errorf("the client's certificate: %w", plainVerification(verification.Err, ""))
	}
	return err
}
