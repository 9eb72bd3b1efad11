package pki

import (
	"context"
	"crypto/tls"
	"sync"
	"testing"
	"time"

	"loom/internal/loomtest"
)

// reports collects what a loader tells.
type reports struct {
	mu  sync.Mutex
	all []string
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, err.Error())
}

func (r *reports) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// shake completes a handshake in memory, or does not, and returns what each
// side made of it. Both sides then read a byte, which brings out what a client
// of TLS 1.3 only learns afterwards.
func shake(t *testing.T, s *Server, client *tls.Config) (cs tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	near, far := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
	defer func() { _, _ = near.Close(), far.Close() }()
	var shaking sync.WaitGroup
	shaking.Go(func() {
		c := tls.Client(far, client)
		if clientErr = c.HandshakeContext(t.Context()); clientErr == nil {
			_, clientErr = c.Read(make([]byte, 1))
		}
	})
	c, serverErr := s.Handshake(near, time.Now().Add(10*time.Second))
	if serverErr == nil {
		cs = c.ConnectionState()
		_, serverErr = c.Write([]byte{1})
	} else {
		_ = near.Close()
	}
	shaking.Wait()
	return cs, serverErr, clientErr
}

// reach has a Client shake hands with a server, and returns what it says.
func reach(t *testing.T, c *Client, host string, server *tls.Config) error {
	t.Helper()
	near, far := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
	var serving sync.WaitGroup
	serving.Go(func() {
		defer func() { _ = far.Close() }()
		s := tls.Server(far, server)
		if s.Handshake() == nil {
			_, _ = s.Write([]byte{1})
		}
	})
	defer serving.Wait()
	defer func() { _ = near.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := c.Handshake(ctx, near, host)
	if err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return ExplainServer(err, host)
	}
	return nil
}
