package loomtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Generator makes the frames of a caller: random, valid, and as odd as the
// protocol lets them be. There are padding up to whole frames of it, header
// blocks in pieces, empty pieces and frames, sizes at the boundaries, reserved
// bits and flags that mean nothing, unknown frame types. The same seed makes
// the same frames.
//
// It does not listen to the other side: it keeps to the windows, the frame size
// and the table size that a connection starts with, and never acknowledges
// anything.
type Generator struct {
	// Streams is how many streams it keeps open at most; 100 at first.
	Streams int
	// Pieces is how many CONTINUATION frames a block has at most; 5 at first.
	Pieces int

	rng     *rand.Rand
	encoder *hpack.Encoder
	block   bytes.Buffer
	room    int         // what is left of the connection's window
	open    []openedOne // streams that may still send
	last    uint32
}

type openedOne struct {
	id   uint32
	room int // what is left of the stream's window
}

// NewGenerator returns a generator that draws from rng.
func NewGenerator(rng *rand.Rand) *Generator {
	g := &Generator{rng: rng, Streams: 100, Pieces: 5, room: defaultWindow}
	g.encoder = hpack.NewEncoder(&g.block)
	return g
}

// Frames returns what follows the preface: SETTINGS, and then n frames or
// header blocks.
func (g *Generator) Frames(n int) []Frame {
	frames := []Frame{g.settings()}
	for range n {
		frames = append(frames, g.Next()...)
	}
	return frames
}

// Next returns one frame, or the frames of one header block, that may come next
// once SETTINGS have been sent.
func (g *Generator) Next() []Frame {
	pick := g.rng.IntN(100)
	if len(g.open) > 0 {
		switch {
		case pick < 35:
			return g.data()
		case pick < 42:
			return g.trailers()
		case pick < 46:
			return []Frame{g.reset()}
		case pick < 50:
			return []Frame{g.windowUpdate(g.anyOpen().id)}
		}
	}
	switch {
	case pick < 80 && len(g.open) < g.Streams:
		return g.request()
	case pick < 84:
		return []Frame{g.settings()}
	case pick < 89:
		return []Frame{g.ping()}
	case pick < 92:
		return []Frame{g.windowUpdate(0)}
	case pick < 97:
		return []Frame{g.priority()}
	}
	return []Frame{g.unknown()}
}

// Mutate returns wire with a few random changes: bits turned, parts cut out,
// doubled or made up. It is meant for what must survive any input.
func Mutate(rng *rand.Rand, wire []byte) []byte {
	wire = bytes.Clone(wire)
	for range 1 + rng.IntN(4) {
		if len(wire) == 0 {
			return wire
		}
		at := rng.IntN(len(wire))
		end := min(len(wire), at+1+rng.IntN(40))
		switch rng.IntN(4) {
		case 0:
			wire[at] ^= 1 << rng.IntN(8)
		case 1:
			wire = append(wire[:at], wire[end:]...)
		case 2:
			wire = append(wire[:end:end], wire[at:]...)
		case 3:
			for i := at; i < end; i++ {
				wire[i] = byte(rng.Uint32())
			}
		}
	}
	return wire
}

func (g *Generator) request() []Frame {
	g.last += 2 * uint32(1+g.rng.IntN(3))
	if g.last%2 == 0 {
		g.last--
	}
	fields := RequestFields(fmt.Sprintf("/pkg.Service/Method%d", g.rng.IntN(5)))
	end := g.chance(10)
	if !end {
		g.open = append(g.open, openedOne{g.last, defaultWindow})
	}
	return g.headerBlock(g.last, end, append(fields, g.fields()...))
}

func (g *Generator) trailers() []Frame {
	s := g.close(g.rng.IntN(len(g.open)))
	return g.headerBlock(s.id, true, g.fields())
}

// headerBlock encodes fields and cuts the block into pieces.
func (g *Generator) headerBlock(id uint32, end bool, fields Fields) []Frame {
	g.block.Reset()
	// An empty block would put the update off and make two of it, which RFC 7541
	// allows and x/net refuses.
	if len(fields) > 0 && g.chance(5) {
		g.encoder.SetMaxDynamicTableSize(uint32(g.rng.IntN(defaultTableSize + 1)))
	}
	for _, f := range fields {
		// A bytes.Buffer takes everything.
		_ = g.encoder.WriteField(f)
	}
	block := bytes.Clone(g.block.Bytes())
	first, flags := g.headersStart(id)
	if end {
		flags |= http2.FlagHeadersEndStream
	}
	pad := g.padding(&flags, http2.FlagHeadersPadded)
	pieces := 0
	if g.chance(30) {
		pieces = g.rng.IntN(g.Pieces + 1)
	}
	n := min(len(block), defaultFrameSize-len(first)-len(pad)-1)
	if pieces > 0 {
		n = g.rng.IntN(n + 1)
	}
	payload := pad.around(append(first, block[:n]...))
	frames := []Frame{g.frame(http2.FrameHeaders, flags, id, payload)}
	for block = block[n:]; len(block) > 0 || len(frames) <= pieces; block = block[n:] {
		n = min(len(block), defaultFrameSize)
		if len(frames) < pieces {
			n = g.rng.IntN(n + 1)
		}
		frames = append(frames, g.frame(http2.FrameContinuation, 0, id, block[:n]))
	}
	frames[len(frames)-1].Flags |= http2.FlagHeadersEndHeaders
	return frames
}

// headersStart returns the priority that may stand before a block.
func (g *Generator) headersStart(id uint32) ([]byte, http2.Flags) {
	if !g.chance(20) {
		return nil, 0
	}
	return g.dependency(id), http2.FlagHeadersPriority
}

func (g *Generator) dependency(id uint32) []byte {
	on := uint32(g.rng.IntN(200))
	if on == id {
		on = 0
	}
	exclusive := g.rng.Uint32() & (1 << 31)
	return append(binary.BigEndian.AppendUint32(nil, on|exclusive), byte(g.rng.Uint32()))
}

func (g *Generator) data() []Frame {
	i := g.rng.IntN(len(g.open))
	s := &g.open[i]
	end := g.chance(15)
	var flags http2.Flags
	pad := g.padding(&flags, http2.FlagDataPadded)
	room := min(s.room, g.room, defaultFrameSize)
	if room < len(pad) {
		flags, pad = 0, nil
	}
	// Without any window left this is an empty frame, which always passes.
	payload := pad.around(g.bytes(min(g.size(), room-len(pad))))
	s.room -= len(payload)
	g.room -= len(payload)
	id := s.id
	if end {
		flags |= http2.FlagDataEndStream
		g.close(i)
	}
	return []Frame{g.frame(http2.FrameData, flags, id, payload)}
}

// padding is the Pad Length field and the padding after it; empty for none.
type padding []byte

func (p padding) around(b []byte) []byte {
	if len(p) == 0 {
		return b
	}
	return append(append([]byte{p[0]}, b...), p[1:]...)
}

func (g *Generator) padding(flags *http2.Flags, padded http2.Flags) padding {
	if !g.chance(25) {
		return nil
	}
	*flags |= padded
	n := []int{0, 1, 255, g.rng.IntN(256)}[g.rng.IntN(4)]
	return append(padding{byte(n)}, make([]byte, n)...)
}

// size draws a size of DATA; the boundaries come often.
func (g *Generator) size() int {
	sizes := []int{0, 1, 4, 5, 6, 100, 1000, defaultFrameSize - 1, defaultFrameSize}
	if g.chance(50) {
		return sizes[g.rng.IntN(len(sizes))]
	}
	return g.rng.IntN(2000)
}

func (g *Generator) reset() Frame {
	s := g.close(g.rng.IntN(len(g.open)))
	return g.frame(http2.FrameRSTStream, 0, s.id, binary.BigEndian.AppendUint32(nil, uint32(g.rng.IntN(16))))
}

func (g *Generator) settings() Frame {
	settings := []http2.Setting{
		{ID: http2.SettingHeaderTableSize, Val: uint32(g.rng.IntN(8192))},
		{ID: http2.SettingEnablePush, Val: uint32(g.rng.IntN(2))},
		{ID: http2.SettingMaxConcurrentStreams, Val: g.rng.Uint32()},
		{ID: http2.SettingInitialWindowSize, Val: uint32(g.rng.IntN(1 << 20))},
		{ID: http2.SettingMaxFrameSize, Val: uint32(defaultFrameSize + g.rng.IntN(1<<20))},
		{ID: http2.SettingMaxHeaderListSize, Val: g.rng.Uint32()},
		{ID: 0x4242, Val: g.rng.Uint32()}, // unknown
	}
	var payload []byte
	for range g.rng.IntN(5) {
		s := settings[g.rng.IntN(len(settings))]
		payload = binary.BigEndian.AppendUint16(payload, uint16(s.ID))
		payload = binary.BigEndian.AppendUint32(payload, s.Val)
	}
	return g.frame(http2.FrameSettings, 0, 0, payload)
}

func (g *Generator) ping() Frame { return g.frame(http2.FramePing, 0, 0, g.bytes(8)) }

func (g *Generator) windowUpdate(id uint32) Frame {
	n := uint32(1 + g.rng.IntN(1<<16))
	if g.chance(10) {
		n |= 1 << 31 // reserved
	}
	return g.frame(http2.FrameWindowUpdate, 0, id, binary.BigEndian.AppendUint32(nil, n))
}

func (g *Generator) priority() Frame {
	id := uint32(1 + 2*g.rng.IntN(100))
	return g.frame(http2.FramePriority, 0, id, g.dependency(id))
}

func (g *Generator) unknown() Frame {
	// Beyond 0x10, PRIORITY_UPDATE, which x/net knows.
	typ := http2.FrameType(0x20 + g.rng.IntN(0xe0))
	return g.frame(typ, http2.Flags(g.rng.Uint32()), uint32(g.rng.IntN(100)), g.bytes(g.size()))
}

// frame sometimes sets what a reader has to ignore: the reserved bit of the
// stream id, and flags that the type does not have.
func (g *Generator) frame(typ http2.FrameType, flags http2.Flags, id uint32, payload []byte) Frame {
	if g.chance(5) {
		id |= 1 << 31
	}
	if g.chance(5) {
		flags |= http2.Flags(1<<(4+g.rng.IntN(4))) &^ meaning(typ)
	}
	return Frame{Type: typ, Flags: flags, StreamID: id, Payload: payload}
}

func meaning(typ http2.FrameType) http2.Flags {
	switch typ {
	case http2.FrameData:
		return http2.FlagDataEndStream | http2.FlagDataPadded
	case http2.FrameHeaders:
		return http2.FlagHeadersEndStream | http2.FlagHeadersEndHeaders | http2.FlagHeadersPadded | http2.FlagHeadersPriority
	case http2.FrameContinuation:
		return http2.FlagContinuationEndHeaders
	case http2.FrameSettings, http2.FramePing:
		return http2.FlagSettingsAck
	}
	return 0
}

func (g *Generator) fields() Fields {
	names := []string{"x-trace", "authorization", "grpc-timeout", "user-agent", "x-bin", "a", "x-request-id"}
	var fields Fields
	for range g.rng.IntN(8) {
		value := make([]byte, []int{0, 1, 10, 100, 1000}[g.rng.IntN(5)])
		for i := range value {
			value[i] = byte('!' + g.rng.IntN(94))
		}
		name := names[g.rng.IntN(len(names))]
		if g.chance(20) {
			name = fmt.Sprintf("x-%d", g.rng.IntN(1000))
		}
		fields = append(fields, hpack.HeaderField{Name: name, Value: string(value), Sensitive: g.chance(10)})
	}
	return fields
}

func (g *Generator) anyOpen() openedOne { return g.open[g.rng.IntN(len(g.open))] }

func (g *Generator) close(i int) openedOne {
	s := g.open[i]
	g.open[i] = g.open[len(g.open)-1]
	g.open = g.open[:len(g.open)-1]
	return s
}

func (g *Generator) chance(percent int) bool { return g.rng.IntN(100) < percent }

func (g *Generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.rng.Uint32())
	}
	return b
}
