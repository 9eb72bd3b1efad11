package h2_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"

	"loom/internal/loomtest"
)

// rawPeer is the other end of a connection in memory for tests that look at
// the order of frames, or at bytes.
type rawPeer struct {
	t    *testing.T
	conn *loomtest.Conn
}

// rawPipe returns the end to be served and the raw end, which take whatever
// is written.
func (h *host) rawPipe() (*loomtest.Conn, *rawPeer) {
	mine, theirs := loomtest.Pipe(1<<30, 1<<30)
	return theirs, &rawPeer{h.t, mine}
}

func (p *rawPeer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// greet sends what comes before the first request: preface, SETTINGS, and the
// ACK of the other side's.
func (p *rawPeer) greet(settings ...http2.Setting) {
	p.t.Helper()
	p.write([]byte(http2.ClientPreface))
	p.answerGreeting(settings...)
}

// answerGreeting is greet on the side that accepted.
func (p *rawPeer) answerGreeting(settings ...http2.Setting) {
	p.t.Helper()
	var payload []byte
	for _, s := range settings {
		payload = binary.BigEndian.AppendUint16(payload, uint16(s.ID))
		payload = binary.BigEndian.AppendUint32(payload, s.Val)
	}
	p.frame(http2.FrameSettings, 0, 0, payload)
	p.frame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
}

func (p *rawPeer) frame(typ http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	p.t.Helper()
	p.write(loomtest.FrameBytes(typ, flags, id, payload))
}

func (p *rawPeer) windowUpdate(id, n uint32) {
	p.t.Helper()
	p.frame(http2.FrameWindowUpdate, 0, id, binary.BigEndian.AppendUint32(nil, n))
}

// request opens a stream.
func (p *rawPeer) request(id uint32, flags http2.Flags) {
	p.t.Helper()
	// POST, http, / of the static table.
	p.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|flags, id, []byte{0x83, 0x86, 0x84})
}

// frames returns the frames that have come since the last call, once all
// others wait. In a bubble only.
func (p *rawPeer) frames() []loomtest.Frame {
	p.t.Helper()
	synctest.Wait()
	wire := make([]byte, p.conn.Unread())
	if _, err := io.ReadFull(p.conn, wire); err != nil {
		p.t.Fatal(err)
	}
	frames, err := loomtest.ReadFrames(bytes.TrimPrefix(wire, []byte(http2.ClientPreface)))
	if err != nil {
		p.t.Fatalf("what came is not HTTP/2: %v", err)
	}
	return frames
}

// of returns the frames of one type.
func of(typ http2.FrameType, frames []loomtest.Frame) []loomtest.Frame {
	return slices.DeleteFunc(slices.Clone(frames), func(f loomtest.Frame) bool { return f.Type != typ })
}
