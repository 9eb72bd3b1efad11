package decode

import (
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxFiles bounds the files that are searched for a type which a message
// names; real services import some hundred at most.
const maxFiles = 2000

// resolver looks in what the backend told, then in the files that the message
// itself comes from, then in what is bundled.
type resolver struct {
	types Resolver                    // may be nil
	file  protoreflect.FileDescriptor // may be nil
}

var _ Resolver = resolver{}

// bundledFiles are there for every backend: the well-known types and the
// details of google.rpc.
func bundledFiles() []protoreflect.FileDescriptor {
	return []protoreflect.FileDescriptor{
		errdetails.File_google_rpc_error_details_proto, rpcstatus.File_google_rpc_status_proto,
		anypb.File_google_protobuf_any_proto, durationpb.File_google_protobuf_duration_proto,
		emptypb.File_google_protobuf_empty_proto, fieldmaskpb.File_google_protobuf_field_mask_proto,
		structpb.File_google_protobuf_struct_proto, timestamppb.File_google_protobuf_timestamp_proto,
		wrapperspb.File_google_protobuf_wrappers_proto,
	}
}

// FindMessageByName implements Resolver.
func (r resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if r.types != nil {
		if t, err := r.types.FindMessageByName(name); err == nil && t != nil {
			return t, nil
		}
	}
	var found protoreflect.MessageDescriptor
	r.files(func(f protoreflect.FileDescriptor) bool {
		found = messageIn(f, name)
		return found == nil
	})
	if found == nil {
		return nil, protoregistry.NotFound
	}
	return dynamicpb.NewMessageType(found), nil
}

// FindMessageByURL implements Resolver.
func (r resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	name := protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:])
	if !name.IsValid() {
		return nil, protoregistry.NotFound
	}
	return r.FindMessageByName(name)
}

// FindExtensionByName implements Resolver.
func (r resolver) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	if r.types != nil {
		if t, err := r.types.FindExtensionByName(name); err == nil && t != nil {
			return t, nil
		}
	}
	return r.extension(func(x protoreflect.ExtensionDescriptor) bool { return x.FullName() == name })
}

// FindExtensionByNumber implements Resolver.
func (r resolver) FindExtensionByNumber(of protoreflect.FullName, n protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	if r.types != nil {
		if t, err := r.types.FindExtensionByNumber(of, n); err == nil && t != nil {
			return t, nil
		}
	}
	return r.extension(func(x protoreflect.ExtensionDescriptor) bool {
		return x.Number() == n && x.ContainingMessage().FullName() == of
	})
}

func (r resolver) extension(is func(protoreflect.ExtensionDescriptor) bool) (protoreflect.ExtensionType, error) {
	var found protoreflect.ExtensionDescriptor
	r.files(func(f protoreflect.FileDescriptor) bool {
		found = extensionIn(f, is)
		return found == nil
	})
	if found == nil {
		return nil, protoregistry.NotFound
	}
	return dynamicpb.NewExtensionType(found), nil
}

// files visits the file, all that it imports, and what is bundled, until
// visit returns false.
func (r resolver) files(visit func(protoreflect.FileDescriptor) bool) {
	var queue []protoreflect.FileDescriptor
	if r.file != nil {
		queue = append(queue, r.file)
	}
	queue = append(queue, bundledFiles()...)
	seen := make(map[string]bool, len(queue))
	for i := 0; i < len(queue) && i < maxFiles; i++ {
		f := queue[i]
		if f.IsPlaceholder() || seen[f.Path()] {
			continue
		}
		seen[f.Path()] = true
		if !visit(f) {
			return
		}
		for j := range f.Imports().Len() {
			queue = append(queue, f.Imports().Get(j).FileDescriptor)
		}
	}
}

// scope is a file or a message: what holds messages and extensions.
type scope interface {
	FullName() protoreflect.FullName
	Messages() protoreflect.MessageDescriptors
	Extensions() protoreflect.ExtensionDescriptors
}

func messageIn(s scope, name protoreflect.FullName) protoreflect.MessageDescriptor {
	prefix := string(s.FullName())
	if prefix != "" && !strings.HasPrefix(string(name), prefix+".") {
		return nil
	}
	for i := range s.Messages().Len() {
		m := s.Messages().Get(i)
		if m.FullName() == name {
			return m
		}
		if inner := messageIn(m, name); inner != nil {
			return inner
		}
	}
	return nil
}

func extensionIn(s scope, is func(protoreflect.ExtensionDescriptor) bool) protoreflect.ExtensionDescriptor {
	for i := range s.Extensions().Len() {
		if x := s.Extensions().Get(i); is(x) {
			return x
		}
	}
	for i := range s.Messages().Len() {
		if x := extensionIn(s.Messages().Get(i), is); x != nil {
			return x
		}
	}
	return nil
}

func resolverOf(desc protoreflect.MessageDescriptor, types Resolver) resolver {
	if r, ok := types.(resolver); ok {
		return r
	}
	return resolver{types: types, file: desc.ParentFile()}
}
