package loomtest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/http2"
)

// inbox is what came on one stream and nobody wanted yet.
type inbox struct {
	events []Event
	final  bool // the request's headers, or the answer's final ones, came
	ended  bool // END_STREAM came
	reset  bool // RST_STREAM came
	gaveUp bool // the script sent RST_STREAM
}

// Kind tells Events apart.
type Kind uint8

// What can come on a stream. The end of a stream is an event of its own, so
// that scripts read alike whichever frame carries END_STREAM.
const (
	KindHeaders Kind = iota + 1
	KindData
	KindEnd
	KindReset
)

// Event is one thing that came on a stream.
type Event struct {
	Kind  Kind
	Block *Block        // of KindHeaders
	Data  []byte        // of KindData: one frame's payload without padding
	Code  http2.ErrCode // of KindReset
}

// Block is a header block, decoded.
type Block struct {
	Fields
	EndStream bool // the block's HEADERS frame ended the stream
	Frames    int  // HEADERS and CONTINUATION frames that it came in
}

func (e Event) String() string {
	switch e.Kind {
	case KindHeaders:
		return "HEADERS " + e.Block.String()
	case KindData:
		return fmt.Sprintf("DATA of %d bytes", len(e.Data))
	case KindEnd:
		return "END_STREAM"
	case KindReset:
		return fmt.Sprintf("RST_STREAM %v", e.Code)
	}
	return "nothing"
}

// openBlock is a header block of which more frames are to come.
type openBlock struct {
	id        uint32
	endStream bool
	frames    int
	fragments []byte
}

// read takes in frames until the connection ends.
func (p *Peer) read() {
	err := p.readFrames()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over, p.overErr = true, err
	p.log.add("connection over: %v", err)
	p.changed.Broadcast()
}

func (p *Peer) readFrames() error {
	if p.accepts {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(p.conn, preface); err != nil {
			return err
		}
		if string(preface) != http2.ClientPreface {
			return p.breach(fmt.Errorf("connection preface %q", preface))
		}
	}
	return p.takeFrom(p.conn)
}

func (p *Peer) takeFrom(r io.Reader) error {
	framer := http2.NewFramer(nil, r)
	framer.SetMaxReadFrameSize(greatestFrame)
	for {
		f, err := readFrame(framer)
		var streamErr http2.StreamError
		var connErr http2.ConnectionError
		switch {
		case errors.As(err, &streamErr), errors.As(err, &connErr):
			return p.breach(fmt.Errorf("frame: %w (%v)", err, framer.ErrorDetail()))
		case err != nil:
			return err
		}
		p.take(f)
	}
}

// readFrame is framer.ReadFrame, but tells a frame without its payload from the
// end of whole frames.
func readFrame(framer *http2.Framer) (http2.Frame, error) {
	header, err := framer.ReadFrameHeader()
	if err != nil {
		return nil, err
	}
	f, err := framer.ReadFrameForHeader(header)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return f, err
}

func (p *Peer) breach(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breachLocked(err)
	return err
}

// take books one frame.
func (p *Peer) take(f http2.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.add("got  %s", describe(f))
	var err error
	if n := f.Header().Length; n > p.ledger.ours.frameSize {
		err = fmt.Errorf("frame of %d bytes, allowed are %d", n, p.ledger.ours.frameSize)
	} else {
		err = p.takeLocked(f)
	}
	if err != nil {
		p.breachLocked(err)
	}
	p.changed.Broadcast()
}

func (p *Peer) takeLocked(f http2.Frame) error {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.DataFrame:
		return p.takeDataLocked(f)
	case *http2.HeadersFrame:
		p.block = &openBlock{id: id, endStream: f.StreamEnded()}
		return p.takeFragmentLocked(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		return p.takeFragmentLocked(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.RSTStreamFrame:
		return p.takeResetLocked(id, f.ErrCode)
	case *http2.SettingsFrame:
		return p.takeSettingsLocked(f)
	case *http2.PingFrame:
		p.takePingLocked(f)
	case *http2.GoAwayFrame:
		goAway := GoAway{LastStreamID: f.LastStreamID, Code: f.ErrCode, Debug: string(f.DebugData())}
		p.control.goAways = append(p.control.goAways, goAway)
	case *http2.WindowUpdateFrame:
		if id != 0 && p.streams[id] == nil && !p.unbooked {
			return fmt.Errorf("WINDOW_UPDATE on idle stream %d", id)
		}
		p.control.grants[id] += f.Increment
		return p.unlessUnbookedLocked(p.ledger.gotGrant(id, f.Increment))
	case *http2.PushPromiseFrame:
		return fmt.Errorf("PUSH_PROMISE on stream %d", id)
	}
	return nil
}

func (p *Peer) takeDataLocked(f *http2.DataFrame) error {
	id, n := f.StreamID, f.Length
	s := p.streams[id]
	switch {
	case s == nil || !s.final:
		return fmt.Errorf("DATA on stream %d before its HEADERS", id)
	case s.ended || s.reset:
		return fmt.Errorf("DATA on stream %d after its end", id)
	}
	if len(f.Data()) > 0 || !f.StreamEnded() {
		s.events = append(s.events, Event{Kind: KindData, Data: slices.Clone(f.Data())})
	}
	if f.StreamEnded() {
		s.ended = true
		s.events = append(s.events, Event{Kind: KindEnd})
	}
	err := p.unlessUnbookedLocked(p.ledger.gotData(id, int64(n)))
	if n > 0 && p.auto&AutoConnWindow != 0 {
		p.answerLocked(windowUpdate(0, n))
	}
	if n > 0 && p.auto&AutoStreamWindow != 0 && !s.ended {
		p.answerLocked(windowUpdate(id, n))
	}
	return err
}

func (p *Peer) takeResetLocked(id uint32, code http2.ErrCode) error {
	if p.streams[id] == nil && !p.unbooked {
		return fmt.Errorf("RST_STREAM on idle stream %d", id)
	}
	s := p.streamLocked(id)
	s.reset = true
	s.events = append(s.events, Event{Kind: KindReset, Code: code})
	return nil
}

func (p *Peer) takeSettingsLocked(f *http2.SettingsFrame) error {
	if f.IsAck() {
		p.control.settingsAcks++
		return p.unlessUnbookedLocked(p.ledger.acked())
	}
	settings := settingsOf(f)
	p.control.settings = append(p.control.settings, settings)
	p.answerLocked(takeOverSettings(settings, p.auto&AutoSettingsAck != 0))
	return p.ledger.gotSettings(settings)
}

func (p *Peer) takePingLocked(f *http2.PingFrame) {
	if f.IsAck() {
		p.control.pingAcks = append(p.control.pingAcks, f.Data)
		return
	}
	p.control.pings = append(p.control.pings, f.Data)
	if p.auto&AutoPingAck != 0 {
		p.answerLocked(ping(true, f.Data))
	}
}

func (p *Peer) takeFragmentLocked(fragment []byte, last bool) error {
	p.block.frames++
	p.block.fragments = append(p.block.fragments, fragment...)
	if !last {
		return nil
	}
	whole := p.block
	p.block = nil
	sizeErr := p.unlessUnbookedLocked(p.ledger.gotBlock(sizeUpdates(whole.fragments)))
	p.decoder.SetAllowedMaxDynamicTableSize(p.ledger.ours.tableSize)
	fields, err := p.decoder.DecodeFull(whole.fragments)
	if err != nil {
		return fmt.Errorf("header block on stream %d: %w", whole.id, err)
	}
	block := &Block{Fields: fields, EndStream: whole.endStream, Frames: whole.frames}
	p.log.add("     %s", block.Fields)
	return errors.Join(sizeErr, p.takeBlockLocked(whole.id, block))
}

func (p *Peer) takeBlockLocked(id uint32, block *Block) error {
	s := p.streams[id]
	switch {
	case s == nil && !p.accepts && p.unbooked:
		s = p.streamLocked(id)
	case s == nil && !p.accepts:
		return fmt.Errorf("HEADERS on idle stream %d", id)
	case s == nil && (id%2 == 0 || id <= p.lastNew):
		return fmt.Errorf("HEADERS open stream %d after %d", id, p.lastNew)
	case s == nil:
		s = p.streamLocked(id)
		p.lastNew = id
		p.arrived = append(p.arrived, id)
	case s.ended || s.reset:
		return fmt.Errorf("HEADERS on stream %d after its end", id)
	}
	err := p.judgeBlock(s, block)
	s.events = append(s.events, Event{Kind: KindHeaders, Block: block})
	if block.EndStream {
		s.ended = true
		s.events = append(s.events, Event{Kind: KindEnd})
	}
	return err
}

// judgeBlock holds a block to the rules for field names and for what may stand
// in requests, answers and trailers (RFC 9113, sections 8.1 to 8.3).
func (p *Peer) judgeBlock(s *inbox, block *Block) error {
	var pseudo []string
	for i, f := range block.Fields {
		switch {
		case strings.HasPrefix(f.Name, ":") && i > len(pseudo):
			return fmt.Errorf("pseudo-header %s after other fields", f.Name)
		case strings.HasPrefix(f.Name, ":"):
			pseudo = append(pseudo, f.Name)
		case f.Name != strings.ToLower(f.Name) || f.Name == "":
			return fmt.Errorf("field name %q", f.Name)
		case f.Name == "connection" || f.Name == "transfer-encoding":
			return fmt.Errorf("field %s, which HTTP/2 does not know", f.Name)
		}
	}
	slices.Sort(pseudo)
	has := strings.Join(pseudo, " ")
	switch trailers := s.final; {
	case trailers && has != "":
		return fmt.Errorf("trailers with %s", has)
	case trailers && !block.EndStream:
		return errors.New("a second header block that does not end the stream")
	case trailers:
	case p.accepts && has != ":authority :method :path :scheme" && has != ":method :path :scheme":
		return fmt.Errorf("a request with the pseudo-headers %q", has)
	case !p.accepts && has != ":status":
		return fmt.Errorf("an answer with the pseudo-headers %q", has)
	default:
		s.final = p.accepts || !strings.HasPrefix(block.Get(":status"), "1")
	}
	return nil
}

// unlessUnbookedLocked drops a complaint that rests on the books when the
// script sent what they do not hold.
func (p *Peer) unlessUnbookedLocked(err error) error {
	if p.unbooked {
		return nil
	}
	return err
}

func (p *Peer) streamLocked(id uint32) *inbox {
	s := p.streams[id]
	if s == nil {
		s = &inbox{}
		p.streams[id] = s
		p.ledger.stream(id)
	}
	return s
}
