package reflectcache

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jhump/protoreflect/v2/grpcreflect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// tap is a connection that adds metadata to the reflection call and keeps the
// files that come back, as bytes and under a limit: the client keeps only those
// that it could link.
type tap struct {
	// Immutable.
	grpc.ClientConnInterface
	metadata  metadata.MD
	alphaOnly bool

	// Guarded by mu.
	mu    sync.Mutex
	files map[string][]byte // by name
	named map[string]bool   // files that others import
	queue []string          // of named, those not looked at by missing
	size  int
	heard bool
	over  bool
}

var errTooLarge = status.Errorf(codes.ResourceExhausted, "the descriptors of one service are over %d bytes or %d files", maxFetchBytes, maxFetchFiles)

// NewStream opens the reflection call.
func (t *tap) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if t.alphaOnly && strings.Contains(method, ".v1.") {
		return nil, status.Error(codes.Unimplemented, "v1 was tried before")
	}
	t.mu.Lock()
	over := t.over
	t.mu.Unlock()
	if over {
		return nil, errTooLarge // the client retries three times
	}
	if len(t.metadata) > 0 {
		ctx = metadata.NewOutgoingContext(ctx, t.metadata.Copy())
	}
	opts = append(slices.Clone(opts), grpc.MaxCallRecvMsgSize(maxFetchBytes))
	stream, err := t.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &tapStream{ClientStream: stream, tap: t}, nil
}

type tapStream struct {
	grpc.ClientStream
	tap *tap
}

// RecvMsg receives one answer and keeps its files.
func (s *tapStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	if msg, ok := m.(proto.Message); ok {
		return s.tap.keep(msg.ProtoReflect())
	}
	return nil
}

// keep reads an answer of either version: they have the same fields.
func (t *tap) keep(answer protoreflect.Message) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = true
	field := answer.Descriptor().Fields().ByName("file_descriptor_response")
	if field == nil || !answer.Has(field) {
		return nil
	}
	response := answer.Get(field).Message()
	files := response.Get(response.Descriptor().Fields().ByName("file_descriptor_proto")).List()
	for i := range files.Len() {
		data := files.Get(i).Bytes()
		name, imports := names(data)
		if _, have := t.files[name]; have {
			continue
		}
		if t.size += len(data); t.size > maxFetchBytes || len(t.files) >= maxFetchFiles {
			t.over = true
			return errTooLarge
		}
		if t.files == nil {
			t.files = make(map[string][]byte)
		}
		t.files[name] = slices.Clone(data)
		t.note(imports)
	}
	return nil
}

func (t *tap) answered() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heard
}

func (t *tap) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.files)
}

func (t *tap) raw() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	raw := make([][]byte, 0, len(t.files))
	for _, data := range t.files {
		raw = append(raw, data)
	}
	return raw
}

// note remembers imports that are named for the first time. Caller holds t.mu.
func (t *tap) note(imports []string) {
	if t.named == nil {
		t.named = make(map[string]bool)
	}
	for _, name := range imports {
		if !t.named[name] && len(t.named) < maxFetchFiles {
			t.named[name] = true
			t.queue = append(t.queue, name)
		}
	}
}

// missing returns files that others import and that did not come, each once.
func (t *tap) missing() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := slices.DeleteFunc(t.queue, func(name string) bool { _, have := t.files[name]; return have })
	t.queue = nil
	slices.Sort(names)
	return names
}

// complete asks for the files that are still missing, each once, and returns a
// sentence for each time that the conversation itself broke.
func (t *tap) complete(ctx context.Context, client *grpcreflect.Client) (problems []string) {
	for {
		names := t.missing()
		if len(names) == 0 {
			return problems
		}
		for _, name := range names {
			if ctx.Err() != nil {
				return append(problems, fmt.Sprintf("file %s: no time left to ask for it", name))
			}
			before := t.count()
			_, err := client.FileByFilename(name)
			// A file that came and does not link is named by link.
			if err != nil && t.count() == before && !grpcreflect.IsElementNotFoundError(err) {
				problems = append(problems, fmt.Sprintf("file %s: asking for it: %.300s", name, err))
			}
		}
	}
}
