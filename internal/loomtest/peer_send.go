package loomtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/net/http2"
)

// Errors of Send.
var (
	ErrOver    = errors.New("the connection is over")
	ErrReset   = errors.New("the stream was reset")
	ErrStalled = errors.New("no window in time")
)

// send does one act: its frames go out together.
func (p *Peer) send(a act) {
	p.out.lock()
	defer p.out.unlock()
	line, err := a(p, &p.out)
	p.mu.Lock()
	p.log.add("sent %s", line)
	if err != nil {
		p.breachLocked(fmt.Errorf("by the script: %s: %w", line, err))
	}
	p.mu.Unlock()
	if err := p.out.flush(); err != nil {
		_ = p.breach(fmt.Errorf("it did not take %s: %w", line, err))
	}
}

// RawBytes writes b as it is. What it does to settings, windows and streams is
// not booked, so from here on the other side is no longer judged by them.
func (p *Peer) RawBytes(b []byte) {
	p.mu.Lock()
	p.unbooked = true
	p.mu.Unlock()
	p.send(func(_ *Peer, w *frameWriter) (string, error) {
		w.buf.Write(b)
		return fmt.Sprintf("%d raw bytes", len(b)), nil
	})
}

// RawFrame writes a frame as it is; payload holds all that stands after the
// frame header.
func (p *Peer) RawFrame(typ http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	p.touch(id)
	p.send(func(p *Peer, w *frameWriter) (string, error) {
		p.mu.Lock()
		p.bookRawLocked(typ, flags, id, payload)
		p.mu.Unlock()
		line := fmt.Sprintf("%v stream=%d len=%d flags=%#x", typ, id, len(payload), uint8(flags))
		return line, w.framer.WriteRawFrame(typ, flags, id, payload)
	})
}

// bookRawLocked books what a raw frame means to one who finds it valid.
func (p *Peer) bookRawLocked(typ http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	n := len(payload)
	switch {
	case typ == http2.FrameData:
		p.ledger.sentData(id, int64(n))
	case typ == http2.FrameWindowUpdate && n == 4:
		p.ledger.granted(id, binary.BigEndian.Uint32(payload)&math.MaxInt32)
	case typ == http2.FrameSettings && n%6 == 0 && !flags.Has(http2.FlagSettingsAck):
		var settings []http2.Setting
		for ; len(payload) > 0; payload = payload[6:] {
			settings = append(settings, http2.Setting{
				ID:  http2.SettingID(binary.BigEndian.Uint16(payload)),
				Val: binary.BigEndian.Uint32(payload[2:]),
			})
		}
		p.ledger.sentSettings(settings)
	}
}

// FrameBytes returns a frame as RawFrame writes it, for RawBytes to send a part
// of it.
func FrameBytes(typ http2.FrameType, flags http2.Flags, id uint32, payload []byte) []byte {
	n := len(payload)
	frame := append(make([]byte, 0, 9+n), byte(n>>16), byte(n>>8), byte(n), byte(typ), byte(flags))
	return append(binary.BigEndian.AppendUint32(frame, id), payload...)
}

// EncodeBlock returns the header block of fields and moves the peer's encoder
// on: the block has to be sent next.
func (p *Peer) EncodeBlock(fields Fields) []byte {
	p.out.lock()
	defer p.out.unlock()
	return append([]byte(nil), p.out.encode(fields)...)
}

// HeaderBlock sends fields and nothing but them, in as many frames as the other
// side's frame size needs.
func (p *Peer) HeaderBlock(id uint32, end bool, fields Fields) {
	p.mu.Lock()
	most := int(p.ledger.theirs.frameSize)
	p.mu.Unlock()
	p.headerBlock(id, end, fields, func(int) int { return most })
}

// HeaderBlockSplit sends fields cut into fragments of the given sizes, each in
// a frame of its own; a last one takes what is left, if anything is.
func (p *Peer) HeaderBlockSplit(id uint32, end bool, fields Fields, sizes ...int) {
	p.headerBlock(id, end, fields, func(i int) int {
		if i < len(sizes) {
			return sizes[i]
		}
		return greatestFrame
	})
}

func (p *Peer) headerBlock(id uint32, end bool, fields Fields, size func(i int) int) {
	p.touch(id)
	p.send(func(_ *Peer, w *frameWriter) (string, error) {
		block := w.encode(fields)
		frames := 0
		for first := true; first || len(block) > 0; first = false {
			fragment := block[:min(len(block), size(frames))]
			block = block[len(fragment):]
			frames++
			if err := writeFragment(w.framer, id, first, end, len(block) == 0, fragment); err != nil {
				return "HEADERS", err
			}
		}
		return fmt.Sprintf("HEADERS stream=%d frames=%d end=%v %s", id, frames, end, fields), nil
	})
}

func writeFragment(framer *http2.Framer, id uint32, first, endStream, endHeaders bool, fragment []byte) error {
	if !first {
		return framer.WriteContinuation(id, endHeaders, fragment)
	}
	return framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, EndStream: endStream, EndHeaders: endHeaders, BlockFragment: fragment,
	})
}

// Data sends msg as one gRPC message, at once and whatever the windows say, in
// frames of the size that the other side takes.
func (p *Peer) Data(id uint32, msg []byte, end bool) { p.RawData(id, Message(msg), end) }

// RawData is Data without a prefix before the bytes. No bytes make an empty
// frame.
func (p *Peer) RawData(id uint32, b []byte, end bool) {
	p.touch(id)
	p.send(func(p *Peer, w *frameWriter) (string, error) {
		line := fmt.Sprintf("DATA stream=%d len=%d end=%v", id, len(b), end)
		most := p.book(id, len(b))
		for len(b) > most {
			if err := w.framer.WriteData(id, false, b[:most]); err != nil {
				return line, err
			}
			b = b[most:]
		}
		return line, w.framer.WriteData(id, end, b)
	})
}

// DataPadded sends one frame with b and pad bytes of padding, at most 255.
func (p *Peer) DataPadded(id uint32, b []byte, pad int, end bool) {
	p.touch(id)
	p.send(func(p *Peer, w *frameWriter) (string, error) {
		p.book(id, len(b)+1+pad)
		line := fmt.Sprintf("DATA stream=%d len=%d pad=%d end=%v", id, len(b), pad, end)
		return line, w.framer.WriteDataPadded(id, end, b, make([]byte, pad))
	})
}

// book takes n bytes off the windows and returns the frame size to keep to.
func (p *Peer) book(id uint32, n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ledger.sentData(id, int64(n))
	return int(p.ledger.theirs.frameSize)
}

// Send sends b as DATA within the windows and returns when all of it is
// written. It fails with ErrReset, ErrOver, or ErrStalled after the peer's
// timeout without any window. It may be used in any goroutine.
func (p *Peer) Send(id uint32, b []byte, end bool) error {
	p.touch(id)
	for first := true; first || len(b) > 0; first = false {
		if err := p.waitWindow(id, len(b)); err != nil {
			return fmt.Errorf("send on stream %d with %d bytes left: %w", id, len(b), err)
		}
		p.send(func(p *Peer, w *frameWriter) (string, error) {
			// Only here, with the turn, is the window what the other side thinks:
			// the acknowledgement of a smaller one cannot come between.
			p.mu.Lock()
			n := int(min(int64(len(b)), p.ledger.sendable(id)))
			p.ledger.sentData(id, int64(n))
			p.mu.Unlock()
			if n == 0 && len(b) > 0 {
				return "nothing: the window shrank", nil
			}
			chunk := b[:n]
			b = b[n:]
			last := end && len(b) == 0
			return fmt.Sprintf("DATA stream=%d len=%d end=%v", id, n, last), w.framer.WriteData(id, last, chunk)
		})
	}
	return nil
}

func (p *Peer) waitWindow(id uint32, want int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := ErrStalled
	p.awaitLocked(p.opts.timeout, func() bool {
		switch {
		case p.over:
			err = ErrOver
		case p.streams[id].reset || p.streams[id].gaveUp:
			err = ErrReset
		case want == 0 || p.ledger.sendable(id) > 0:
			err = nil
		default:
			return false
		}
		return true
	})
	return err
}

// Window returns how many bytes of DATA the other side takes now, by its own
// windows: on the stream and on the connection. Both may be below zero.
func (p *Peer) Window(id uint32) (stream, conn int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ledger.stream(id).send, p.ledger.sendConn
}

// Allowed returns how many bytes of DATA the peer lets the other side send now:
// on the stream and on the connection.
func (p *Peer) Allowed(id uint32) (stream, conn int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ledger.stream(id).recv, p.ledger.recvConn
}

// Reset sends RST_STREAM.
func (p *Peer) Reset(id uint32, code http2.ErrCode) {
	p.mu.Lock()
	p.streamLocked(id).gaveUp = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.send(func(_ *Peer, w *frameWriter) (string, error) {
		return fmt.Sprintf("RST_STREAM stream=%d %v", id, code), w.framer.WriteRSTStream(id, code)
	})
}

// WindowUpdate sends WINDOW_UPDATE, on the connection where id is 0.
func (p *Peer) WindowUpdate(id, n uint32) { p.send(windowUpdate(id, n)) }

func windowUpdate(id, n uint32) act {
	return func(p *Peer, w *frameWriter) (string, error) {
		p.mu.Lock()
		p.ledger.granted(id, n)
		p.mu.Unlock()
		return fmt.Sprintf("WINDOW_UPDATE stream=%d +%d", id, n), w.framer.WriteWindowUpdate(id, n)
	}
}

// Ping sends PING.
func (p *Peer) Ping(data [8]byte) { p.send(ping(false, data)) }

// PingAck sends PING with ACK.
func (p *Peer) PingAck(data [8]byte) { p.send(ping(true, data)) }

func ping(ack bool, data [8]byte) act {
	return func(_ *Peer, w *frameWriter) (string, error) {
		return fmt.Sprintf("PING ack=%v %x", ack, data), w.framer.WritePing(ack, data)
	}
}

// GoAway sends GOAWAY.
func (p *Peer) GoAway(last uint32, code http2.ErrCode, debug string) {
	p.send(func(_ *Peer, w *frameWriter) (string, error) {
		return fmt.Sprintf("GOAWAY last=%d %v %q", last, code, debug), w.framer.WriteGoAway(last, code, []byte(debug))
	})
}

// Settings sends SETTINGS.
func (p *Peer) Settings(settings ...http2.Setting) {
	p.send(func(p *Peer, w *frameWriter) (string, error) {
		p.mu.Lock()
		p.ledger.sentSettings(settings)
		p.mu.Unlock()
		return fmt.Sprintf("SETTINGS %v", settings), w.framer.WriteSettings(settings...)
	})
}

// SettingsAck acknowledges SETTINGS, for scripts that do it themselves.
func (p *Peer) SettingsAck() { p.send(takeOverSettings(nil, true)) }

// takeOverSettings puts the other side's settings into force for what is
// encoded from here on, and acknowledges them if told to.
func takeOverSettings(settings []http2.Setting, ack bool) act {
	return func(_ *Peer, w *frameWriter) (string, error) {
		for _, s := range settings {
			if s.ID == http2.SettingHeaderTableSize {
				w.encoder.SetMaxDynamicTableSizeLimit(s.Val)
				w.encoder.SetMaxDynamicTableSize(min(s.Val, defaultTableSize))
			}
		}
		if !ack {
			return "nothing yet for SETTINGS", nil
		}
		return "SETTINGS ACK", w.framer.WriteSettingsAck()
	}
}

// Sent returns the bytes sent so far, of a peer that is Recording.
func (p *Peer) Sent() []byte { return p.out.recorded() }

// touch notes that the script uses a stream, so that frames on it are expected.
func (p *Peer) touch(id uint32) {
	if id == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streamLocked(id)
}

// awaitLocked waits on mu until ready holds or d is over, and returns whether
// it held.
func (p *Peer) awaitLocked(d time.Duration, ready func() bool) bool {
	expired := false
	timer := time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		expired = true
		p.changed.Broadcast()
	})
	defer timer.Stop()
	for !ready() {
		if expired {
			return false
		}
		p.changed.Wait()
	}
	return true
}
