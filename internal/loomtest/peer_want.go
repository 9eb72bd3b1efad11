package loomtest

import (
	"fmt"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// Next returns what came next on a stream, waiting for it up to d. It fails
// nothing and may be used in any goroutine; ErrOver and ErrStalled say why there
// is nothing.
func (p *Peer) Next(id uint32, d time.Duration) (Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.streamLocked(id)
	came := p.awaitLocked(d, func() bool { return len(s.events) > 0 || p.over })
	if len(s.events) > 0 {
		e := s.events[0]
		s.events = s.events[1:]
		return e, nil
	}
	if came {
		return Event{}, fmt.Errorf("%w: %w", ErrOver, p.overErr)
	}
	return Event{}, ErrStalled
}

// want takes the next event of a stream, which has to be of one kind.
func (p *Peer) want(id uint32, kind Kind, what string) Event {
	p.t.Helper()
	e, err := p.Next(id, p.opts.timeout)
	if err != nil {
		p.fail("want %s on stream %d: %v", what, id, err)
	}
	if e.Kind != kind {
		p.fail("want %s on stream %d, got %v", what, id, e)
	}
	return e
}

// Transcript returns what went over the connection, in words; of a long one the
// end.
func (p *Peer) Transcript() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// fail ends the test with what went over the connection.
func (p *Peer) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s: %s\nframes seen:\n%s", p.side, fmt.Sprintf(format, args...), p.Transcript())
}

// WantHeaders waits for a header block on the stream. Where the peer is the
// caller, the block must leave the stream open; see WantTrailers.
func (p *Peer) WantHeaders(id uint32) *Block {
	p.t.Helper()
	b := p.want(id, KindHeaders, "HEADERS").Block
	if b.EndStream && !p.accepts {
		p.fail("want HEADERS on stream %d that leave it open, got a Trailers-Only %s", id, b.Fields)
	}
	return b
}

// WantTrailers waits for a header block that ends the stream.
func (p *Peer) WantTrailers(id uint32) *Block {
	p.t.Helper()
	b := p.want(id, KindHeaders, "trailers").Block
	if !b.EndStream {
		p.fail("want trailers on stream %d, got HEADERS that leave it open: %s", id, b.Fields)
	}
	p.want(id, KindEnd, "END_STREAM")
	return b
}

// WantStatus waits for trailers, passes over the headers and data before them,
// and compares grpc-status.
func (p *Peer) WantStatus(id uint32, code codes.Code) *Block {
	p.t.Helper()
	for {
		e, err := p.Next(id, p.opts.timeout)
		switch {
		case err != nil:
			p.fail("want status %v on stream %d: %v", code, id, err)
		case e.Kind == KindEnd, e.Kind == KindReset:
			p.fail("want status %v on stream %d, got %v", code, id, e)
		case e.Kind == KindHeaders && e.Block.EndStream:
			p.want(id, KindEnd, "END_STREAM")
			if got := e.Block.Get("grpc-status"); got != strconv.Itoa(int(code)) {
				p.fail("want status %v on stream %d, got grpc-status %q: %s", code, id, got, e.Block.Fields)
			}
			return e.Block
		}
	}
}

// WantData waits for a DATA frame and returns its payload.
func (p *Peer) WantData(id uint32) []byte {
	p.t.Helper()
	return p.want(id, KindData, "DATA").Data
}

// WantBytes waits until DATA frames have brought n bytes, and returns them. The
// frames must not bring more.
func (p *Peer) WantBytes(id uint32, n int) []byte {
	p.t.Helper()
	var got []byte
	for len(got) < n {
		got = append(got, p.want(id, KindData, fmt.Sprintf("DATA (%d of %d bytes so far)", len(got), n)).Data...)
	}
	if len(got) > n {
		p.fail("want %d bytes on stream %d, got %d", n, id, len(got))
	}
	return got
}

// WantMessage waits until DATA frames have brought one gRPC message, and
// returns it without its prefix. The frames must not bring more.
func (p *Peer) WantMessage(id uint32) []byte {
	p.t.Helper()
	var wire []byte
	for {
		msg, rest, whole := splitMessage(wire)
		if whole && len(rest) > 0 {
			p.fail("want one message on stream %d, got %d bytes after it", id, len(rest))
		}
		if whole {
			return msg
		}
		wire = append(wire, p.want(id, KindData, fmt.Sprintf("DATA of a message (%d bytes so far)", len(wire))).Data...)
	}
}

// WantEnd waits for END_STREAM on a DATA frame (WantTrailers takes that of
// trailers itself).
func (p *Peer) WantEnd(id uint32) {
	p.t.Helper()
	p.want(id, KindEnd, "END_STREAM")
}

// WantReset waits for RST_STREAM with that code.
func (p *Peer) WantReset(id uint32, code http2.ErrCode) {
	p.t.Helper()
	if got := p.want(id, KindReset, "RST_STREAM").Code; got != code {
		p.fail("want RST_STREAM %v on stream %d, got %v", code, id, got)
	}
}

// WantGoAway waits for the next GOAWAY, which has to have that code.
func (p *Peer) WantGoAway(code http2.ErrCode) GoAway {
	p.t.Helper()
	got := take(p, fmt.Sprintf("GOAWAY %v", code), func() *[]GoAway { return &p.control.goAways })
	if got.Code != code {
		p.fail("want GOAWAY %v, got %v (last stream %d, %q)", code, got.Code, got.LastStreamID, got.Debug)
	}
	return got
}

// WantPing waits for the next PING and returns its data.
func (p *Peer) WantPing() [8]byte {
	p.t.Helper()
	return take(p, "PING", func() *[][8]byte { return &p.control.pings })
}

// WantPingAck waits for the answer to a PING, which has to have its data.
func (p *Peer) WantPingAck(data [8]byte) {
	p.t.Helper()
	if got := take(p, "PING ACK", func() *[][8]byte { return &p.control.pingAcks }); got != data {
		p.fail("want PING ACK %x, got %x", data, got)
	}
}

// WantSettings waits for the next SETTINGS frame that is no acknowledgement.
func (p *Peer) WantSettings() []http2.Setting {
	p.t.Helper()
	return take(p, "SETTINGS", func() *[][]http2.Setting { return &p.control.settings })
}

// WantSettingsAck waits for the acknowledgement of a SETTINGS frame, the peer's
// first one included.
func (p *Peer) WantSettingsAck() {
	p.t.Helper()
	p.mu.Lock()
	came := p.awaitLocked(p.opts.timeout, func() bool { return p.control.settingsAcks > 0 })
	if came {
		p.control.settingsAcks--
	}
	p.mu.Unlock()
	if !came {
		p.fail("want SETTINGS ACK: none within %v", p.opts.timeout)
	}
}

// WantWindowUpdate waits until the other side gave back n bytes or more on the
// stream, or on the connection where id is 0, and returns how many since the
// last call.
func (p *Peer) WantWindowUpdate(id, n uint32) uint32 {
	p.t.Helper()
	p.mu.Lock()
	came := p.awaitLocked(p.opts.timeout, func() bool { return p.control.grants[id] >= n || p.over })
	got := p.control.grants[id]
	came = came && got >= n
	if came {
		p.control.grants[id] = 0
	}
	p.mu.Unlock()
	if !came {
		p.fail("want WINDOW_UPDATE on stream %d of %d, got %d within %v", id, n, got, p.opts.timeout)
	}
	return got
}

// WantClosed waits until the other side has closed or cut the connection.
func (p *Peer) WantClosed() {
	p.t.Helper()
	p.mu.Lock()
	over := p.awaitLocked(p.opts.timeout, func() bool { return p.over })
	p.mu.Unlock()
	if !over {
		p.fail("want the connection closed: still open after %v", p.opts.timeout)
	}
}

// WantNothing waits for d, in which nothing may come that concerns a call: no
// event on any stream, no GOAWAY, no end of the connection. What came before
// and was not wanted counts, too.
func (p *Peer) WantNothing(d time.Duration) {
	p.t.Helper()
	p.mu.Lock()
	var got string
	p.awaitLocked(d, func() bool {
		got = p.unwantedLocked()
		return got != ""
	})
	p.mu.Unlock()
	if got != "" {
		p.fail("want nothing for %v, got %s", d, got)
	}
}

func (p *Peer) unwantedLocked() string {
	for id, s := range p.streams {
		if len(s.events) > 0 {
			return fmt.Sprintf("%v on stream %d", s.events[0], id)
		}
	}
	switch {
	case len(p.control.goAways) > 0:
		return fmt.Sprintf("GOAWAY %v", p.control.goAways[0].Code)
	case p.over:
		return fmt.Sprintf("the end of the connection: %v", p.overErr)
	}
	return ""
}

// take waits for the first of a list that the reading goroutine fills.
func take[E any](p *Peer, what string, list func() *[]E) E {
	p.t.Helper()
	p.mu.Lock()
	came := p.awaitLocked(p.opts.timeout, func() bool { return len(*list()) > 0 || p.over })
	var first E
	var overErr error
	if l := list(); len(*l) > 0 {
		first, *l = (*l)[0], (*l)[1:]
	} else {
		overErr, came = p.overErr, false
	}
	p.mu.Unlock()
	if !came {
		p.fail("want %s: none within %v (connection: %v)", what, p.opts.timeout, overErr)
	}
	return first
}
