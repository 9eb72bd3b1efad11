package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/replay"
)

// replayer makes the calls that the inspector asks for: through the first
// listener, where they are routed and recorded as all calls, or straight to a
// backend.
func (s *Server) replayer(w *watch) *replay.Replayer {
	return replay.New(replay.Options{
		Route: func(context.Context) (grpc.ClientConnInterface, io.Closer, error) {
			return s.dialOwn(s.now().listeners[0])
		},
		Direct: w.schemas.dial,
	})
}

// ownPeer is what is seen of the caller of a call that is made again.
const ownPeer = "inspector"

// dialOwn makes a client of a listener of this process, in memory: past what
// clients outside have to prove, so that it has no identity either.
func (s *Server) dialOwn(l *listener) (grpc.ClientConnInterface, io.Closer, error) {
	dial := func(context.Context, string) (net.Conn, error) { return s.enter(l, ownPeer) }
	conn, err := grpc.NewClient("passthrough:///"+l.name(), grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the listener %s: %w", l.name(), err)
	}
	return conn, conn, nil
}

// enter makes a connection to a listener of this process, in memory. What is
// seen of its caller is peer.
func (s *Server) enter(l *listener, peer string) (net.Conn, error) {
	near, far := net.Pipe()
	t := l.terms.Load()
	caller := t.caller
	caller.Peer = peer
	g := &guest{nc: far, terms: t, conn: s.relay.Conn(far, caller)}
	if err := l.invite(g, &s.conns, func() { s.serveConn(l, g.conn) }); err != nil {
		return nil, errors.Join(err, near.Close(), far.Close())
	}
	return near, nil
}

// redact takes out of a call that passed no listener what capture would have
// taken out of it, and what mode would not have recorded.
func (s *schemas) redact(mode capture.Mode, c *loomv1.Call) {
	cfg := s.now().cfg
	for _, block := range [][]*loomv1.Metadata{c.GetRequestHeaders(), c.GetResponseHeaders(), c.GetTrailers()} {
		for _, m := range block {
			if slices.Contains(cfg.Capture.Redact.Metadata, m.GetName()) {
				m.Content = &loomv1.Metadata_Redacted{Redacted: true}
			}
		}
	}
	if mode != capture.Full {
		leaveOutBodies(c)
		return
	}
	request, response := s.rules(c.GetBackend(), c.GetPath())
	for _, m := range c.GetMessages() {
		rule, encoding := request, c.GetRequestHeaders()
		if m.GetDirection() == loomv1.Direction_DIRECTION_RESPONSE {
			rule, encoding = response, c.GetResponseHeaders()
		}
		redactMessage(rule, encodingOf(encoding), m)
		if most := int(cfg.Capture.MessageBytes); len(m.GetData()) > most {
			m.Data, m.Truncated = bytes.Clone(m.GetData()[:most]), true
		}
	}
}

// leaveOutBodies keeps of the messages that they were.
func leaveOutBodies(c *loomv1.Call) {
	c.Omission = &loomv1.Omission{BodiesOff: true, NoRoom: c.GetOmission().GetNoRoom()}
	for _, m := range c.GetMessages() {
		m.Data, m.Truncated = nil, m.GetSize() > 0
	}
}

func encodingOf(fields []*loomv1.Metadata) string {
	for _, f := range fields {
		if f.GetName() == "grpc-encoding" {
			return f.GetText()
		}
	}
	return ""
}

func redactMessage(rule capture.Rule, encoding string, m *loomv1.Message) {
	if rule.Withhold != "" {
		m.Data, m.Withheld = nil, rule.Withhold
		return
	}
	if rule.Body == nil {
		return
	}
	out, changed, err := rule.Body.Apply(encoding, m.GetCompressed(), m.GetData())
	switch {
	case err != nil:
		m.Data, m.Withheld = nil, "what must not be stored could not be taken out of it: "+err.Error()
	case changed:
		m.Data, m.Compressed, m.Redacted = out, false, true
	}
}
