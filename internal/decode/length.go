package decode

import "google.golang.org/protobuf/encoding/protowire"

// A message that is written anew has another length than before. It is
// written behind a gap as wide as its old length took, so that it has to be
// moved only if it grew past that; a length that came out shorter is padded,
// which every parser takes.

// beginLength leaves the gap.
func beginLength(out []byte, was int) ([]byte, int) {
	for range protowire.SizeVarint(uint64(was)) {
		out = append(out, 0)
	}
	return out, len(out)
}

// endLength fills the gap of width bytes before start.
func endLength(out []byte, start, width int) []byte {
	n := uint64(len(out) - start)
	for need := protowire.SizeVarint(n); width < need; width++ {
		out = append(out, 0)
		copy(out[start+1:], out[start:len(out)-1])
		start++
	}
	for i := start - width; i < start-1; i++ {
		out[i] = byte(n) | 0x80
		n >>= 7
	}
	out[start-1] = byte(n)
	return out
}
