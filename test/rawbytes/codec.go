// Package rawbytes lets grpc-go carry messages that are plain bytes, so that a
// test service needs no generated code and sees exactly what came. A message is
// a *[]byte on either side.
package rawbytes

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// Codec passes messages as they are, both ways.
type Codec struct{}

// Name is what grpc-go would put behind application/grpc+ if it were asked to.
func (Codec) Name() string { return "bytes" }

// Marshal returns the bytes without a copy.
func (Codec) Marshal(message any) (mem.BufferSlice, error) {
	bytes, ok := message.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("send a message: it is a %T, not a *[]byte", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(*bytes)}, nil
}

// Unmarshal copies the bytes, whose buffer goes back to its pool.
func (Codec) Unmarshal(data mem.BufferSlice, message any) error {
	bytes, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("receive a message: it goes to a %T, not a *[]byte", message)
	}
	*bytes = data.Materialize()
	return nil
}

// Receiver is what a stream of either side has in common.
type Receiver interface {
	RecvMsg(message any) error
}

// Receive waits for the next message of a stream of either side.
func Receive(stream Receiver) ([]byte, error) {
	var message []byte
	err := stream.RecvMsg(&message)
	return message, err
}

// Stream describes a method to a server. A unary method is a stream on the wire
// too, so every method is described as one that streams both ways.
func Stream(name string, handle func(grpc.ServerStream) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName:    name,
		Handler:       func(_ any, stream grpc.ServerStream) error { return handle(stream) },
		ServerStreams: true,
		ClientStreams: true,
	}
}
