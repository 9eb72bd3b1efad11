package loomtest

import (
	"net"
	"testing"

	"golang.org/x/net/http2"
)

// Downstream plays a gRPC caller towards whoever accepted the connection.
type Downstream struct {
	*Peer
	next uint32 // the id of the next stream that Open opens
}

// NewDownstream starts a caller on conn: it sends preface and SETTINGS and reads
// from then on. The test's cleanup closes conn.
func NewDownstream(t testing.TB, conn net.Conn, opts ...Option) *Downstream {
	t.Helper()
	hello := func(p *Peer) {
		p.send(preface)
		p.Settings(p.opts.settings...)
	}
	return &Downstream{Peer: start(t, "downstream", false, conn, opts, hello), next: 1}
}

// Preface sends the connection preface, for a Silent peer.
func (d *Downstream) Preface() { d.send(preface) }

func preface(_ *Peer, w *frameWriter) (string, error) {
	w.buf.WriteString(http2.ClientPreface)
	return "connection preface", nil
}

// RequestFields returns the fields of a gRPC request for path, as a usual
// caller sends them, with kv put over them: a name already there gets the new
// value, others come after.
func RequestFields(path string, kv ...string) Fields {
	return KV(
		":method", "POST", ":scheme", "http", ":path", path, ":authority", "loom.test",
		"content-type", "application/grpc", "te", "trailers",
	).with(kv...)
}

// Headers opens the stream with RequestFields(path, kv...).
func (d *Downstream) Headers(id uint32, path string, kv ...string) {
	d.HeaderBlock(id, false, RequestFields(path, kv...))
	d.next = max(d.next, id+2)
}

// Open is Headers on the next stream, whose id it returns.
func (d *Downstream) Open(path string, kv ...string) (id uint32) {
	id = d.next
	d.Headers(id, path, kv...)
	return id
}

// Unary is Open with one message that ends the request.
func (d *Downstream) Unary(path string, msg []byte, kv ...string) (id uint32) {
	id = d.Open(path, kv...)
	d.Data(id, msg, true)
	return id
}
