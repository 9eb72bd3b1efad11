package replay

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// rawCodec passes messages as they are: it sends an outbound and receives into
// an *inbound.
type rawCodec struct{}

type outbound []byte

type inbound struct {
	room int // keep the message if it is no larger
	data []byte
	kept bool
	size int
}

// Name is the content-subtype: none.
func (rawCodec) Name() string { return "" }

func (rawCodec) Marshal(message any) (mem.BufferSlice, error) {
	data, ok := message.(outbound)
	if !ok {
		return nil, fmt.Errorf("send a message: it is a %T, not bytes", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, message any) error {
	in, ok := message.(*inbound)
	if !ok {
		return fmt.Errorf("receive a message: it goes to a %T, not to bytes", message)
	}
	in.size = data.Len()
	if in.size <= in.room {
		// A copy: the buffers go back to their pool.
		in.data, in.kept = data.Materialize(), true
	}
	return nil
}
