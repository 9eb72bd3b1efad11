package reflectcache

import (
	"context"
	"errors"
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

// errNoService says that reflection works and does not know the service.
var errNoService = errors.New("reflection does not know the service")

// errNoReflection says that there is nobody to ask.
var errNoReflection = errors.New("the backend's reflection cannot be reached")

// reflect asks the backend for the files of a service and links them. One
// stream, closed at the end.
func (c *Cache) reflect(ctx context.Context, backend, service string) (*linked, error) {
	var l *linked
	err := c.ask(ctx, backend, func(client *grpcreflect.Client, t *tap) error {
		_, err := client.FileContainingSymbol(protoreflect.FullName(service))
		if t.count() == 0 {
			if err == nil {
				return errNoService
			}
			if grpcreflect.IsElementNotFoundError(err) {
				return fmt.Errorf("%w %s", errNoService, service)
			}
			return err
		}
		// The client gives up at the first file that it cannot link. What came
		// is enough for most messages, so the rest is asked for one by one.
		problems := t.complete(ctx, client)
		l = link(t.raw())
		if _, ok := l.services[service]; !ok {
			problems = append(problems, l.problems...)
			return fmt.Errorf("%w %s in a usable file (%s)", errNoService, service, strings.Join(limited(problems), "; "))
		}
		l.problems = limited(append(problems, l.problems...))
		return nil
	})
	return l, err
}

func (c *Cache) askList(ctx context.Context, backend string) ([]string, error) {
	var names []string
	err := c.ask(ctx, backend, func(client *grpcreflect.Client, _ *tap) error {
		list, err := client.ListServices()
		for _, n := range list {
			if len(n) <= maxNameBytes && n.IsValid() && len(names) < maxNames {
				names = append(names, string(n))
			}
		}
		return err
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// ask runs one conversation with a backend's reflection. Servers and proxies
// say in many ways that they have no v1, so v1alpha is tried after any error
// that is not about the caller or about time.
func (c *Cache) ask(ctx context.Context, backend string, talk func(*grpcreflect.Client, *tap) error) error {
	if c.opt.Dial == nil {
		return errNoReflection
	}
	conn, closer, err := c.opt.Dial(ctx, backend)
	if err != nil {
		return fmt.Errorf("connecting to backend %s for reflection: %w", backend, err)
	}
	if closer != nil {
		defer closer.Close()
	}
	var md metadata.MD
	if c.opt.Metadata != nil {
		md = c.opt.Metadata(backend)
	}
	for _, alphaOnly := range []bool{false, true} {
		t := &tap{ClientConnInterface: conn, metadata: md, alphaOnly: alphaOnly}
		client := grpcreflect.NewClientAuto(ctx, t, grpcreflect.WithAllowMissingFileDescriptors())
		err = talk(client, t)
		client.Reset()
		if err == nil || errors.Is(err, errNoService) {
			return err
		}
		if t.answered() || ctx.Err() != nil || !worthAlpha(err) {
			break
		}
	}
	return fmt.Errorf("asking backend %s for reflection: %w", backend, err)
}

// worthAlpha tells whether a v1 error may mean that only v1alpha is there.
// After Unimplemented and Unavailable the client tried it already.
func worthAlpha(err error) bool {
	switch status.Code(err) {
	case codes.Unimplemented, codes.Unavailable, codes.Unauthenticated, codes.PermissionDenied,
		codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		return false
	default:
		return true
	}
}

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
		name := fileName(data)
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

// missing returns files that others import and that did not come, but those
// in asked.
func (t *tap) missing(asked map[string]bool) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for _, data := range t.files {
		for _, dep := range imports(data) {
			if _, have := t.files[dep]; !have && !asked[dep] {
				asked[dep] = true
				names = append(names, dep)
			}
		}
	}
	slices.Sort(names)
	return names
}

// complete asks for the files that are still missing, each once, and returns a
// sentence for each time that the conversation itself broke.
func (t *tap) complete(ctx context.Context, client *grpcreflect.Client) (problems []string) {
	asked := make(map[string]bool)
	for {
		names := t.missing(asked)
		if len(names) == 0 || len(asked) > maxFetchFiles {
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

func limited(list []string) []string { return list[:min(len(list), maxProblems)] }
