package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
)

// sessions is how many sessions with a backend are remembered, so that
// connections to its endpoints are resumed.
const sessions = 64

// ClientOptions configures a Client. The zero value checks against the
// system's authorities and the name that is dialled.
type ClientOptions struct {
	// Authorities sign the certificates of the other side; nil: the system's.
	Authorities *Authorities
	// ServerName is the name that its certificate must have, and that it is
	// told; empty: the one that is dialled.
	ServerName string
	// Pair is shown to who asks for a certificate; nil: there is none.
	Pair *Pair
	// Insecure takes any certificate.
	Insecure bool
}

// Client is the TLS side of connections to a backend. It is safe for
// concurrent use.
type Client struct {
	opts ClientOptions // immutable

	mu sync.Mutex
	// Guarded by mu.
	pool  *x509.CertPool // that the sessions in cache were checked against
	cache tls.ClientSessionCache
}

// NewClient returns a client.
func NewClient(o ClientOptions) *Client { return &Client{opts: o} }

// Config returns the configuration of a connection to a host, which has no
// port. It is for one connection: the next one may find other authorities.
func (c *Client) Config(host string) *tls.Config {
	cfg := &tls.Config{
		MinVersion:                  tls.VersionTLS12,
		CipherSuites:                suites(),
		NextProtos:                  []string{protocol},
		ServerName:                  host,
		RootCAs:                     c.opts.Authorities.pool(),
		InsecureSkipVerify:          c.opts.Insecure, //nolint:gosec // only if the configuration says so, which is logged
		DynamicRecordSizingDisabled: true,
	}
	if c.opts.ServerName != "" {
		cfg.ServerName = c.opts.ServerName
	}
	if p := c.opts.Pair; p != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.Certificate(), nil }
	}
	cfg.ClientSessionCache = c.sessionsFor(cfg.RootCAs)
	return cfg
}

// sessionsFor returns the sessions that pool vouches for.
func (c *Client) sessionsFor(pool *x509.CertPool) tls.ClientSessionCache {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cache == nil || c.pool != pool {
		c.pool, c.cache = pool, tls.NewLRUClientSessionCache(sessions)
	}
	return c.cache
}

// Handshake makes a TLS connection on nc, which it closes when it fails. The
// other side is host, and must speak HTTP/2.
func (c *Client) Handshake(ctx context.Context, nc net.Conn, host string) (*tls.Conn, error) {
	cfg := c.Config(host)
	t := tls.Client(nc, cfg)
	err := t.HandshakeContext(ctx)
	if err == nil && t.ConnectionState().NegotiatedProtocol != protocol {
		err = errBackendNoH2
	}
	if err != nil {
		_ = nc.Close()
		return nil, ExplainServer(err, cfg.ServerName)
	}
	return t, nil
}

// Status says what there is to warn of; empty if there is nothing.
func (c *Client) Status() []string {
	var all []string
	if c.opts.Insecure {
		all = append(all, "its certificates are not verified (insecure_skip_verify)")
	}
	if c.opts.Authorities != nil {
		if p := c.opts.Authorities.Problem(); p != "" {
			all = append(all, "ca_file: "+p)
		}
	}
	if c.opts.Pair != nil {
		if p := c.opts.Pair.Status().Problem; p != "" {
			all = append(all, "cert_file: "+p)
		}
	}
	return all
}
