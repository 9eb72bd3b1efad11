package loomtest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frameWriter turns frames into bytes and writes those of one act at once.
type frameWriter struct {
	// turn holds a token while somebody writes. A channel and not a mutex: a
	// write may block for long, and in a bubble those who wait for their turn
	// must not keep time from passing.
	turn chan struct{}

	// owned by whoever has the turn
	conn    net.Conn
	timeout time.Duration
	framer  *http2.Framer
	buf     bytes.Buffer // what framer wrote and conn has not got yet
	encoder *hpack.Encoder
	block   bytes.Buffer // what encoder wrote
	record  bool
	sent    []byte
	err     error // of the first write that failed; nothing is written after it
}

// act adds frames to w, of which it has the turn, and says in a line what they
// are. Its error is a mistake of the script.
type act func(p *Peer, w *frameWriter) (string, error)

func (w *frameWriter) init(conn net.Conn, opts options) {
	w.turn = make(chan struct{}, 1)
	w.conn, w.timeout, w.record = conn, opts.timeout, opts.record
	w.framer = http2.NewFramer(&w.buf, nil)
	w.framer.AllowIllegalWrites = true
	w.encoder = hpack.NewEncoder(&w.block)
}

func (w *frameWriter) lock()   { w.turn <- struct{}{} }
func (w *frameWriter) unlock() { <-w.turn }

// encode returns the header block of fields; it is valid until the next call.
func (w *frameWriter) encode(fields Fields) []byte {
	w.block.Reset()
	for _, f := range fields {
		// A bytes.Buffer takes everything.
		_ = w.encoder.WriteField(f)
	}
	return w.block.Bytes()
}

// flush writes out what is buffered. It returns an error only when the other
// side does not take it; a connection that is gone is no news to a script.
func (w *frameWriter) flush() error {
	defer w.buf.Reset()
	if w.err != nil {
		return nil
	}
	if w.record {
		w.sent = append(w.sent, w.buf.Bytes()...)
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	_, w.err = w.conn.Write(w.buf.Bytes())
	if errors.Is(w.err, os.ErrDeadlineExceeded) {
		return w.err
	}
	return nil
}

func (w *frameWriter) alive() bool {
	w.lock()
	defer w.unlock()
	return w.err == nil
}

func (w *frameWriter) recorded() []byte {
	w.lock()
	defer w.unlock()
	return slices.Clone(w.sent)
}
