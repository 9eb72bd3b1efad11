// Package rawcodec lets grpc-go carry messages as the bytes that they are, so
// that neither the echo backend nor the grpc-go proxy pays for decoding.
//
// A message moves: sending a Frame takes its bytes away, so a Frame can be sent
// once. Who receives one and does not send it on must call Free.
package rawcodec

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// Frame is one message, without the five-byte prefix.
type Frame struct{ data mem.BufferSlice }

// NewFrame makes a message of b, which must not change while it is sent.
func NewFrame(b []byte) *Frame {
	return &Frame{data: mem.BufferSlice{mem.SliceBuffer(b)}}
}

// Len is the number of bytes of the message.
func (f *Frame) Len() int { return f.data.Len() }

// Bytes returns a copy of the message.
func (f *Frame) Bytes() []byte { return f.data.Materialize() }

// Free gives the bytes back to their pool.
func (f *Frame) Free() {
	f.data.Free()
	f.data = nil
}

// Codec is a grpc encoding.CodecV2 for *Frame, and for nothing else.
type Codec struct{}

// Name is that of the codec which it stands in for on the wire.
func (Codec) Name() string { return "proto" }

// Marshal hands the bytes of the *Frame over to grpc, which frees them.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*Frame)
	if !ok {
		return nil, fmt.Errorf("raw codec: cannot send a %T", v)
	}
	data := f.data
	f.data = nil
	return data, nil
}

// Unmarshal keeps a reference to the received bytes in the *Frame.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*Frame)
	if !ok {
		return fmt.Errorf("raw codec: cannot receive into a %T", v)
	}
	data.Ref()
	f.data = data
	return nil
}
