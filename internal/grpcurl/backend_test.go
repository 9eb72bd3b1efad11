package grpcurl

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

const schemaText = `
name: "echo.proto" package: "test" syntax: "proto3"
message_type {
  name: "Note"
  field { name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "text" }
  field { name: "raw" number: 2 type: TYPE_BYTES label: LABEL_OPTIONAL json_name: "raw" }
  field { name: "big_number" number: 3 type: TYPE_INT64 label: LABEL_OPTIONAL json_name: "bigNumber" }
  field { name: "words" number: 4 type: TYPE_STRING label: LABEL_REPEATED json_name: "words" }
  field { name: "child" number: 5 type: TYPE_MESSAGE type_name: ".test.Note" label: LABEL_OPTIONAL json_name: "child" }
  field { name: "ratio" number: 6 type: TYPE_DOUBLE label: LABEL_OPTIONAL json_name: "ratio" }
  field { name: "zeros" number: 7 type: TYPE_SINT32 label: LABEL_REPEATED json_name: "zeros" }
}
service {
  name: "Echo"
  method { name: "Unary" input_type: ".test.Note" output_type: ".test.Note" }
  method { name: "Up" input_type: ".test.Note" output_type: ".test.Note" client_streaming: true }
  method { name: "Down" input_type: ".test.Note" output_type: ".test.Note" server_streaming: true }
  method { name: "Both" input_type: ".test.Note" output_type: ".test.Note" client_streaming: true server_streaming: true }
}`

// schema returns the file of the service, and the registry that holds it.
func schema(t *testing.T) (*descriptorpb.FileDescriptorProto, *protoregistry.Files) {
	t.Helper()
	file := &descriptorpb.FileDescriptorProto{}
	if err := prototext.Unmarshal([]byte(schemaText), file); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	return file, files
}

func method(t *testing.T, files *protoregistry.Files, name string) protoreflect.MethodDescriptor {
	t.Helper()
	found, err := files.FindDescriptorByName(protoreflect.FullName("test.Echo." + name))
	if err != nil {
		t.Fatal(err)
	}
	return found.(protoreflect.MethodDescriptor)
}

// codec passes *[]byte as they are, and messages of the reflection service as
// protobuf.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(message any) (mem.BufferSlice, error) {
	data, raw := message.(*[]byte)
	if raw {
		return mem.BufferSlice{mem.SliceBuffer(*data)}, nil
	}
	encoded, err := proto.Marshal(message.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(encoded)}, err
}

func (codec) Unmarshal(data mem.BufferSlice, message any) error {
	if to, raw := message.(*[]byte); raw {
		*to = data.Materialize()
		return nil
	}
	return proto.Unmarshal(data.Materialize(), message.(proto.Message))
}

// backend notes the calls that it gets, and answers with empty messages.
type backend struct {
	mu    sync.Mutex // guards calls
	calls []received
}

// received is a call as it came in.
type received struct {
	path     string
	metadata metadata.MD
	messages [][]byte
}

func (b *backend) serve(_ any, stream grpc.ServerStream) error {
	var call received
	call.path, _ = grpc.MethodFromServerStream(stream)
	call.metadata, _ = metadata.FromIncomingContext(stream.Context())
	for {
		var message []byte
		if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		call.messages = append(call.messages, message)
	}
	b.mu.Lock()
	b.calls = append(b.calls, call)
	b.mu.Unlock()
	answers := 1
	if strings.HasSuffix(call.path, "/Down") || strings.HasSuffix(call.path, "/Both") {
		answers = 3
	}
	for range answers {
		if err := stream.SendMsg(&[]byte{}); err != nil {
			return err
		}
	}
	return nil
}

// take returns the calls so far, and forgets them.
func (b *backend) take() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := slices.Clone(b.calls)
	b.calls = nil
	return calls
}

// services tells the reflection service what there is.
type services struct{}

func (services) GetServiceInfo() map[string]grpc.ServiceInfo {
	return map[string]grpc.ServiceInfo{"test.Echo": {}}
}

// start serves the backend until the test is over.
func (b *backend) start(t *testing.T, listener net.Listener, files *protoregistry.Files) {
	t.Helper()
	server := grpc.NewServer(grpc.ForceServerCodecV2(codec{}), grpc.MaxRecvMsgSize(64<<20), grpc.UnknownServiceHandler(b.serve))
	if files != nil {
		reflectionpb.RegisterServerReflectionServer(server, reflection.NewServerV1(reflection.ServerOptions{Services: services{}, DescriptorResolver: files}))
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
