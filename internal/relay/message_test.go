package relay

import (
	"encoding/binary"
	"slices"
	"testing"
)

func messageSizes(chunks ...[]byte) []int {
	var m messageScanner
	var sizes []int
	for _, c := range chunks {
		for len(c) > 0 {
			pc, rest, _ := m.next(c)
			c = rest
			if pc.last {
				sizes = append(sizes, int(m.size()))
			}
		}
	}
	return sizes
}

func wholeMessages(p []byte) []int {
	var sizes []int
	for len(p) >= prefixLen {
		n := int(binary.BigEndian.Uint32(p[1:]))
		if len(p) < prefixLen+n {
			break
		}
		sizes = append(sizes, n)
		p = p[prefixLen+n:]
	}
	return sizes
}

func TestMessageScannerFindsMessagesHoweverTheyAreCut(t *testing.T) {
	stream := []byte("\x00\x00\x00\x00\x03abc" + "\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00\x01x" + "\x00\x00\x00\x00\x09half")
	want := []int{3, 0, 1}
	for i := range stream {
		for j := i; j < len(stream); j++ {
			if got := messageSizes(stream[:i], stream[i:j], stream[j:]); !slices.Equal(got, want) {
				t.Fatalf("cut at %d and %d: %v, want %v", i, j, got, want)
			}
		}
	}
}

func FuzzMessageScanner(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x03abc\x00\x00\x00\x00\x00"), uint8(3))
	f.Add([]byte("\x00\xff\xff\xff\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, p []byte, step uint8) {
		var chunks [][]byte
		for c := range slices.Chunk(p, int(step)+1) {
			chunks = append(chunks, c)
		}
		if got, want := messageSizes(chunks...), wholeMessages(p); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}
