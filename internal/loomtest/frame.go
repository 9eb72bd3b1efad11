package loomtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Frame is an HTTP/2 frame as it is on the wire. Bits of the flags and of the
// stream id that mean nothing may be set: a reader has to ignore them.
type Frame struct {
	Type     http2.FrameType
	Flags    http2.Flags
	StreamID uint32
	Payload  []byte // padding and priority included
}

// Append appends the frame to wire.
func (f Frame) Append(wire []byte) []byte {
	return append(wire, FrameBytes(f.Type, f.Flags, f.StreamID, f.Payload)...)
}

func (f Frame) String() string {
	return fmt.Sprintf("%v flags=%#x stream=%#x len=%d", f.Type, uint8(f.Flags), f.StreamID, len(f.Payload))
}

// Wire returns the bytes of frames.
func Wire(frames []Frame) []byte {
	var wire []byte
	for _, f := range frames {
		wire = f.Append(wire)
	}
	return wire
}

// Reading is what golang.org/x/net/http2 makes of one direction of a
// connection: the yardstick of differential tests.
type Reading struct {
	Streams  map[uint32][]Event // by stream, in order
	Settings [][]http2.Setting
	Pings    [][8]byte
	PingAcks [][8]byte
	GoAways  []GoAway
	Grants   map[uint32]uint32 // WINDOW_UPDATE increments, summed by stream
}

// ReadRequests reads the frames that a caller sent after its preface. It fails
// with the first that breaks the protocol, or that is not whole, and returns
// what came before. The windows are those of a connection's start, 65,535 bytes
// for each stream and for the connection.
func ReadRequests(wire []byte) (Reading, error) {
	p := &Peer{
		accepts: true,
		ledger:  newLedger(),
		streams: make(map[uint32]*inbox),
		control: control{grants: make(map[uint32]uint32)},
		decoder: hpack.NewDecoder(defaultTableSize, nil),
	}
	p.changed = sync.NewCond(&p.mu)
	err := p.takeFrom(bytes.NewReader(wire))
	switch {
	case len(p.breaches) > 0:
		err = errors.New(p.breaches[0])
	case errors.Is(err, io.EOF):
		err = nil
	}
	reading := Reading{
		Streams: make(map[uint32][]Event), Grants: p.control.grants,
		Settings: p.control.settings, GoAways: p.control.goAways,
		Pings: p.control.pings, PingAcks: p.control.pingAcks,
	}
	for id, s := range p.streams {
		if len(s.events) > 0 {
			reading.Streams[id] = s.events
		}
	}
	return reading, err
}

// ReadFrames splits wire into frames with golang.org/x/net/http2, which judges
// each frame and the order of header blocks, up to the first that is wrong or
// not whole. Flags and stream ids are as x/net reports them.
func ReadFrames(wire []byte) ([]Frame, error) {
	var frames []Frame
	r := bytes.NewReader(wire)
	framer := http2.NewFramer(nil, r)
	framer.SetMaxReadFrameSize(defaultFrameSize)
	for {
		start := len(wire) - r.Len()
		f, err := readFrame(framer)
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		h := f.Header()
		payload := wire[start+9 : start+9+int(h.Length)]
		frames = append(frames, Frame{Type: h.Type, Flags: h.Flags, StreamID: h.StreamID, Payload: slices.Clone(payload)})
	}
}
