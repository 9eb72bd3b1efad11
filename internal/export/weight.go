package export

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	// objectBytes is what a message of ours, or of descriptor.proto, takes in
	// memory: about that of the largest. In a file an empty one is two bytes.
	objectBytes = 300
	// valueBytes is what a string takes beside its bytes.
	valueBytes = 24
	// maxDepth is how deep descriptors nest; compilers stop far before.
	maxDepth = 100
)

// weight returns about how much memory a line takes beyond its own bytes. It
// is asked before the memory is taken, so that a small file cannot fill it.
func weight(l *line) int64 {
	// Each message is an object. Braces in texts count too, and are few.
	calls := int64(bytes.Count(l.Call, []byte("{"))) * objectBytes
	set := (*descriptorpb.FileDescriptorSet)(nil).ProtoReflect().Descriptor()
	return calls + weigh(set, l.Descriptors, 0)
}

// weigh adds up a message on the wire. It stops where the message is no
// message, as unmarshalling will.
func weigh(desc protoreflect.MessageDescriptor, data []byte, depth int) int64 {
	total := int64(objectBytes)
	for len(data) > 0 && depth < maxDepth {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			break
		}
		size := protowire.ConsumeFieldValue(number, kind, data[n:])
		if size < 0 {
			break
		}
		value := data[n : n+size]
		data = data[n+size:]
		total += valueBytes
		field := desc.Fields().ByNumber(number)
		if kind != protowire.BytesType || field == nil || field.Message() == nil {
			continue
		}
		content, _ := protowire.ConsumeBytes(value)
		total += weigh(field.Message(), content, depth+1)
	}
	return total
}
