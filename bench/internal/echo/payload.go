package echo

import (
	"encoding/binary"
	"math/rand/v2"

	"google.golang.org/protobuf/encoding/protowire"
)

// Body returns n bytes that do not compress and are the same in every run.
func Body(n int) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(n))
	b := make([]byte, n)
	// ChaCha8's Read never fails.
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// Message encodes a google.protobuf.BytesValue with the body as its value.
func Message(body []byte) []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	return protowire.AppendBytes(b, body)
}

// Framed is the message as it travels in DATA frames: prefixed by a flag (not
// compressed) and its length.
func Framed(message []byte) []byte {
	b := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(b[1:], uint32(len(message)))
	return append(b, message...)
}
