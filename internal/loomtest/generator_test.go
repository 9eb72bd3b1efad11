package loomtest_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"golang.org/x/net/http2"

	"loom/internal/loomtest"
)

func TestGeneratedFramesAreValid(t *testing.T) {
	for seed := range uint64(40) {
		frames := loomtest.NewGenerator(rand.New(rand.NewPCG(seed, 0))).Frames(300)
		wire := loomtest.Wire(frames)
		if _, err := loomtest.ReadRequests(wire); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		split, err := loomtest.ReadFrames(wire)
		if err != nil || len(split) != len(frames) {
			t.Fatalf("seed %d: %d frames of %d, error %v", seed, len(split), len(frames), err)
		}
	}
}

// A generator that never makes the odd case tests nothing.
func TestGeneratedFramesAreOdd(t *testing.T) {
	const padded, endHeaders, priority = http2.FlagDataPadded, http2.FlagHeadersEndHeaders, http2.FlagHeadersPriority
	oddities := map[string]func(f loomtest.Frame) bool{
		"padding and no data": func(f loomtest.Frame) bool {
			return f.Type == http2.FrameData && f.Flags.Has(padded) && len(f.Payload) == int(f.Payload[0])+1
		},
		"full frame":           func(f loomtest.Frame) bool { return f.Type == http2.FrameData && len(f.Payload) == 16384 },
		"empty data":           func(f loomtest.Frame) bool { return f.Type == http2.FrameData && len(f.Payload) == 0 },
		"padded headers":       func(f loomtest.Frame) bool { return f.Type == http2.FrameHeaders && f.Flags.Has(padded) },
		"priority in headers":  func(f loomtest.Frame) bool { return f.Type == http2.FrameHeaders && f.Flags.Has(priority) },
		"headers to go on":     func(f loomtest.Frame) bool { return f.Type == http2.FrameHeaders && !f.Flags.Has(endHeaders) },
		"empty continuation":   func(f loomtest.Frame) bool { return f.Type == http2.FrameContinuation && len(f.Payload) == 0 },
		"reserved bit":         func(f loomtest.Frame) bool { return f.StreamID>>31 == 1 },
		"flag without meaning": func(f loomtest.Frame) bool { return f.Type == http2.FramePing && f.Flags > 1 },
		"unknown type":         func(f loomtest.Frame) bool { return f.Type > 0x10 },
		"reset":                func(f loomtest.Frame) bool { return f.Type == http2.FrameRSTStream },
		"window update":        func(f loomtest.Frame) bool { return f.Type == http2.FrameWindowUpdate },
		"priority":             func(f loomtest.Frame) bool { return f.Type == http2.FramePriority },
		"settings":             func(f loomtest.Frame) bool { return f.Type == http2.FrameSettings && len(f.Payload) > 0 },
	}
	seen := make(map[string]bool)
	for _, f := range loomtest.NewGenerator(rand.New(rand.NewPCG(1, 0))).Frames(5000) {
		for name, has := range oddities {
			seen[name] = seen[name] || has(f)
		}
	}
	for name := range oddities {
		if !seen[name] {
			t.Errorf("no %s in 5,000 frames", name)
		}
	}
}

func TestGeneratorRepeatsItself(t *testing.T) {
	frames := func() []byte {
		return loomtest.Wire(loomtest.NewGenerator(rand.New(rand.NewPCG(7, 7))).Frames(500))
	}
	if !bytes.Equal(frames(), frames()) {
		t.Fatal("one seed made two sequences")
	}
}

func TestReadRequestsTellsWhatCame(t *testing.T) {
	frames := []loomtest.Frame{
		{Type: http2.FrameSettings, Payload: []byte{0, 3, 0, 0, 0, 9}},
		{Type: http2.FramePing, Payload: []byte("12345678")},
		// POST, http, / of the static table.
		{Type: http2.FrameHeaders, Flags: http2.FlagHeadersEndHeaders, StreamID: 1, Payload: []byte{0x83, 0x86, 0x84}},
		{Type: http2.FrameData, Flags: http2.FlagDataPadded, StreamID: 1, Payload: []byte("\x02abc\x00\x00")},
		{Type: http2.FrameData, Flags: http2.FlagDataEndStream, StreamID: 1},
		{Type: http2.FrameRSTStream, StreamID: 1, Payload: []byte{0, 0, 0, 8}},
	}
	got, err := loomtest.ReadRequests(loomtest.Wire(frames))
	if err != nil {
		t.Fatal(err)
	}
	request := &loomtest.Block{Fields: loomtest.KV(":method", "POST", ":scheme", "http", ":path", "/"), Frames: 1}
	want := loomtest.Reading{
		Settings: [][]http2.Setting{{{ID: http2.SettingMaxConcurrentStreams, Val: 9}}},
		Pings:    [][8]byte{[8]byte([]byte("12345678"))},
		Grants:   map[uint32]uint32{},
		Streams: map[uint32][]loomtest.Event{1: {
			{Kind: loomtest.KindHeaders, Block: request},
			{Kind: loomtest.KindData, Data: []byte("abc")},
			{Kind: loomtest.KindEnd},
			{Kind: loomtest.KindReset, Code: http2.ErrCodeCancel},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// Whatever comes, the yardstick itself must not break.
func FuzzReadRequests(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 0))
	for range 20 {
		wire := loomtest.Wire(loomtest.NewGenerator(rng).Frames(20))
		f.Add(wire)
		f.Add(loomtest.Mutate(rng, wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		reading, err := loomtest.ReadRequests(wire)
		frames, splitErr := loomtest.ReadFrames(wire)
		if err == nil && splitErr != nil {
			t.Fatalf("read whole, but not split: %v", splitErr)
		}
		events := 0
		for _, s := range reading.Streams {
			events += len(s)
		}
		// Every frame brings at most a block or data, and an end.
		if events > 2*(len(frames)+1) {
			t.Fatalf("%d events from %d frames", events, len(frames))
		}
	})
}
