package backend

import (
	"context"
	"errors"
	"fmt"
	"net"

	"loom/internal/h2"
	"loom/internal/pki"
)

// reach makes a connection to the endpoint, over TLS if the backend has it.
func (e *Endpoint) reach(ctx context.Context) (net.Conn, error) {
	o := e.backend.options()
	nc, err := o.Dial(ctx, e.network, e.address)
	if err != nil || o.TLS == nil {
		return nc, err
	}
	secure, err := o.TLS.Handshake(ctx, h2.NewWire(nc), e.host)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, nil
}

// unsettled says why a connection ended, or did nothing for as long as it may,
// before the endpoint's SETTINGS came.
func (e *Endpoint) unsettled(err error, timedOut bool) error {
	o := e.backend.options()
	doubt := "does it speak HTTP/2 in clear text?"
	var remote *net.OpError
	switch {
	case o.TLS == nil:
	case errors.As(err, &remote) && remote.Op == "remote error":
		// TLS 1.3 tells only now what it has against our certificate.
		return fmt.Errorf("connect to %s: TLS: %w", e.name, pki.ExplainServer(err, e.host))
	default:
		doubt = "does it speak HTTP/2?"
	}
	if timedOut {
		return fmt.Errorf("connect to %s: no SETTINGS within %v; %s", e.name, o.ConnectTimeout, doubt)
	}
	return fmt.Errorf("connect to %s: %w before its SETTINGS came; %s", e.name, plain(err), doubt)
}

// serverName is the name that the certificate of a target's endpoints must
// have, unless the configuration gives another.
func (t *target) serverName() string {
	at := t.parsed.Endpoint()
	if host, _, err := net.SplitHostPort(at); err == nil {
		return host
	}
	return at
}
