package reflectcache

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	refv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"loom/internal/loomtest"
)

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

const (
	v1      = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	v1alpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
)

// shop is the schema of most tests: a service, and a message in another file.
var shop = map[string]string{
	"shop.proto": `syntax = "proto3"; package shop; import "item.proto"; import "google/protobuf/timestamp.proto";
		service Shop { rpc Get(Key) returns (Item); rpc Watch(Key) returns (stream Order); }
		message Key { string id = 1; }
		message Order { Item item = 1; google.protobuf.Timestamp at = 2; }`,
	"item.proto": `syntax = "proto3"; package shop; message Item { string name = 1; int64 price = 2; Kind kind = 3; }
		enum Kind { KIND_UNSPECIFIED = 0; KIND_BOOK = 1; }`,
}

const get = "/shop.Shop/Get"

// sources compiles .proto files and returns their descriptors by name.
func sources(t testing.TB, text map[string]string) map[string]*descriptorpb.FileDescriptorProto {
	t.Helper()
	compiler := protocompile.Compiler{
		MaxParallelism: 1,
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(text)}),
	}
	files := map[string]*descriptorpb.FileDescriptorProto{}
	for name := range text {
		compiled, err := compiler.Compile(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = protodesc.ToFileDescriptorProto(compiled[0])
	}
	return files
}

// set is the same as a descriptor set.
func set(t testing.TB, text map[string]string) *descriptorpb.FileDescriptorSet {
	t.Helper()
	s := &descriptorpb.FileDescriptorSet{}
	for _, f := range sources(t, text) {
		s.File = append(s.File, f)
	}
	return s
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// backend is a gRPC server with a reflection service that can misbehave.
type backend struct {
	streams  atomic.Int64 // reflection calls, of either version
	asked    atomic.Int64 // questions
	listener *bufconn.Listener

	// Guarded by mu.
	mu       sync.Mutex
	files    map[string][]byte     // by name
	versions map[string]codes.Code // of the RPC, by method; absent: Unimplemented
	delay    time.Duration         // before a stream answers
	hang     bool                  // never answers
	token    string                // wanted in the metadata
	unknown  codes.Code            // in-band answer for what is not known
	noList   bool
}

func (b *backend) set(change func(*backend)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// serve changes the schema.
func (b *backend) serve(t testing.TB, text map[string]string) {
	t.Helper()
	files := map[string][]byte{}
	for name, f := range sources(t, text) {
		files[name] = marshal(t, f)
	}
	b.set(func(b *backend) { b.files = files })
}

func (b *backend) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	b.mu.Lock()
	code, ok := b.versions[method]
	delay, hang, token := b.delay, b.hang, b.token
	b.mu.Unlock()
	if !ok {
		return status.Error(codes.Unimplemented, "unknown service")
	}
	b.streams.Add(1)
	md, _ := metadata.FromIncomingContext(stream.Context())
	if token != "" && strings.Join(md.Get("authorization"), "") != token {
		return status.Error(codes.Unauthenticated, "who are you?")
	}
	if code != codes.OK {
		return status.Error(code, "as the test wants it")
	}
	if hang {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	time.Sleep(delay)
	for {
		q := &refv1.ServerReflectionRequest{}
		if err := stream.RecvMsg(q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		b.asked.Add(1)
		if err := stream.SendMsg(b.answer(q)); err != nil {
			return err
		}
	}
}

func (b *backend) answer(q *refv1.ServerReflectionRequest) *refv1.ServerReflectionResponse {
	b.mu.Lock()
	defer b.mu.Unlock()
	var services []*refv1.ServiceResponse
	for name, data := range b.files {
		f := &descriptorpb.FileDescriptorProto{}
		_ = proto.Unmarshal(data, f) // what cannot be read has no services
		found := q.GetFileByFilename() == name
		for _, s := range f.GetService() {
			full := f.GetPackage() + "." + s.GetName()
			services = append(services, &refv1.ServiceResponse{Name: full})
			found = found || q.GetFileContainingSymbol() == full
		}
		if found {
			return &refv1.ServerReflectionResponse{MessageResponse: &refv1.ServerReflectionResponse_FileDescriptorResponse{
				FileDescriptorResponse: &refv1.FileDescriptorResponse{FileDescriptorProto: [][]byte{data}},
			}}
		}
	}
	if q.GetListServices() != "" && !b.noList {
		return &refv1.ServerReflectionResponse{MessageResponse: &refv1.ServerReflectionResponse_ListServicesResponse{
			ListServicesResponse: &refv1.ListServiceResponse{Service: services},
		}}
	}
	return &refv1.ServerReflectionResponse{MessageResponse: &refv1.ServerReflectionResponse_ErrorResponse{
		ErrorResponse: &refv1.ErrorResponse{ErrorCode: int32(b.unknown), ErrorMessage: "not here"},
	}}
}

// newBackend runs a backend with the shop's schema and both versions.
func newBackend(t testing.TB) *backend {
	t.Helper()
	b := &backend{
		listener: bufconn.Listen(1 << 16), unknown: codes.NotFound,
		versions: map[string]codes.Code{v1: codes.OK, v1alpha: codes.OK},
	}
	b.serve(t, shop)
	s := grpc.NewServer(grpc.UnknownServiceHandler(b.handle))
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(b.listener) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return b
}

// dial reaches backends by name; others do not exist.
func dial(backends map[string]*backend) func(context.Context, string) (grpc.ClientConnInterface, io.Closer, error) {
	return func(_ context.Context, name string) (grpc.ClientConnInterface, io.Closer, error) {
		b := backends[name]
		if b == nil {
			return nil, nil, errors.New("there is no such backend")
		}
		conn, err := grpc.NewClient("passthrough:///b", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return b.listener.DialContext(ctx) }))
		return conn, conn, err
	}
}

// cache makes a cache with one backend "b".
func cache(t testing.TB, b *backend, change func(*Options)) *Cache {
	t.Helper()
	o := Options{Dial: dial(map[string]*backend{"b": b})}
	if change != nil {
		change(&o)
	}
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func wantFields(t testing.TB, c *Cache, path string, fields int) {
	t.Helper()
	m, err := c.Method(t.Context(), "b", path)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	if n := m.Desc.Output().Fields().Len(); n != fields {
		t.Errorf("%s answers with %d fields, want %d", path, n, fields)
	}
}

func wantProblem(t testing.TB, c *Cache, words ...string) {
	t.Helper()
	problems := strings.Join(c.Problems("b"), "\n")
	for _, w := range words {
		if !strings.Contains(problems, w) {
			t.Errorf("problems do not say %q:\n%s", w, problems)
		}
	}
}
