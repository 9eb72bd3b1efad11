package h2

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2"
)

func TestFrameHeaderIsReadAsWritten(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for range 1000 {
		want := frameHeader{
			length: rng.IntN(1 << 24), typ: frameType(rng.UintN(256)),
			flags: frameFlags(rng.UintN(256)), id: rng.Uint32() & maxStreamID,
		}
		wire := appendFrameHeader([]byte("before"), want.length, want.typ, want.flags, want.id)[len("before"):]
		if len(wire) != frameHeaderLen {
			t.Fatalf("a frame header of %d bytes", len(wire))
		}
		if got := parseFrameHeader(wire); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		wire[5] |= 0x80 // the reserved bit
		if got := parseFrameHeader(wire); got != want {
			t.Fatalf("with the reserved bit: got %+v, want %+v", got, want)
		}
	}
}

// What we write is what golang.org/x/net/http2 writes.
func TestControlFramesAreThoseOfXNet(t *testing.T) {
	var wire bytes.Buffer
	framer := http2.NewFramer(&wire, nil)
	ping := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	tests := []struct {
		name  string
		got   []byte
		write func() error
	}{
		{"reset", appendRSTStream(nil, 7, CodeRefusedStream), func() error {
			return framer.WriteRSTStream(7, http2.ErrCodeRefusedStream)
		}},
		{"window", appendWindowUpdate(nil, 9, maxWindow), func() error { return framer.WriteWindowUpdate(9, maxWindow) }},
		{"ping", appendPing(nil, false, ping), func() error { return framer.WritePing(false, ping) }},
		{"ping ack", appendPing(nil, true, ping), func() error { return framer.WritePing(true, ping) }},
		{"goaway", appendGoAway(nil, 5, CodeEnhanceYourCalm, "calm"), func() error {
			return framer.WriteGoAway(5, http2.ErrCodeEnhanceYourCalm, []byte("calm"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire.Reset()
			if err := tt.write(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(tt.got, wire.Bytes()) {
				t.Errorf("got  %x\nwant %x", tt.got, wire.Bytes())
			}
		})
	}
}

func TestUnpad(t *testing.T) {
	tests := []struct {
		name    string
		flags   frameFlags
		payload string
		want    string
		ok      bool
	}{
		{"no padding", 0, "\x05data", "\x05data", true},
		{"no padding, empty", 0, "", "", true},
		{"padding of nothing", flagPadded, "\x00data", "data", true},
		{"padding", flagPadded, "\x03dataxxx", "data", true},
		{"nothing but padding", flagPadded, "\x03xxx", "", true},
		{"nothing but the length", flagPadded, "\x00", "", true},
		{"no length", flagPadded, "", "", false},
		{"as long as the frame", flagPadded, "\x04xxx", "", false},
		{"longer than the frame", flagPadded, "\xffdata", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := unpad(tt.flags, []byte(tt.payload))
			if ok != tt.ok || ok && string(got) != tt.want {
				t.Errorf("got %q, %v; want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestBlockIsCutIntoFrames(t *testing.T) {
	block := make([]byte, 2500)
	for i := range block {
		block[i] = byte(i)
	}
	tests := []struct {
		size  int
		types []http2.FrameType
	}{
		{2500, []http2.FrameType{http2.FrameHeaders}},
		{2499, []http2.FrameType{http2.FrameHeaders, http2.FrameContinuation}},
		{1250, []http2.FrameType{http2.FrameHeaders, http2.FrameContinuation}},
		{1000, []http2.FrameType{http2.FrameHeaders, http2.FrameContinuation, http2.FrameContinuation}},
	}
	for _, tt := range tests {
		framer := http2.NewFramer(nil, bytes.NewReader(appendBlock(nil, block, tt.size, flagEndStream, 3)))
		var got []byte
		for i, typ := range tt.types {
			f, err := framer.ReadFrame()
			if err != nil {
				t.Fatalf("size %d: frame %d: %v", tt.size, i, err)
			}
			h := f.Header()
			last := i == len(tt.types)-1
			if h.Type != typ || h.StreamID != 3 || h.Flags.Has(http2.FlagHeadersEndHeaders) != last {
				t.Errorf("size %d: frame %d is %v, want %v, with END_HEADERS: %v", tt.size, i, h, typ, last)
			}
			switch f := f.(type) {
			case *http2.HeadersFrame:
				if !f.StreamEnded() {
					t.Errorf("size %d: END_STREAM is lost", tt.size)
				}
				got = append(got, f.HeaderBlockFragment()...)
			case *http2.ContinuationFrame:
				got = append(got, f.HeaderBlockFragment()...)
			}
		}
		if !bytes.Equal(got, block) {
			t.Errorf("size %d: %d bytes of %d, or not the same", tt.size, len(got), len(block))
		}
	}
}

func TestErrCodesHaveTheirNames(t *testing.T) {
	for code := CodeNo; code <= CodeHTTP11Required; code++ {
		if got, want := code.String(), http2.ErrCode(code).String(); got != want {
			t.Errorf("code %d is %q, want %q", code, got, want)
		}
	}
	if got := ErrCode(0xabc).String(); got != "code 0xabc" {
		t.Errorf("an unknown code is %q", got)
	}
}
