package reflectcache

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/reflect/protoreflect"

	"loom/internal/decode"
)

// TestVersions has backends that answer to either version of reflection, and
// refuse the other in the many ways that servers and gateways have.
func TestVersions(t *testing.T) {
	tests := map[string]map[string]codes.Code{
		"both":       {v1: codes.OK, v1alpha: codes.OK},
		"v1 only":    {v1: codes.OK},
		"alpha only": {v1alpha: codes.OK},
	}
	for _, code := range []codes.Code{
		codes.Unknown, codes.InvalidArgument, codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.Internal,
		codes.Unavailable, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange,
	} {
		tests["v1 says "+code.String()] = map[string]codes.Code{v1: code, v1alpha: codes.OK}
	}
	for name, versions := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			b.set(func(b *backend) { b.versions = versions })
			c := cache(t, b, nil)
			wantFields(t, c, get, 3)
			if names, err := c.Services(t.Context(), "b"); err != nil || !slices.Equal(names, []string{"shop.Shop"}) {
				t.Errorf("services: %v, %v", names, err)
			}
		})
	}
}

// TestRefused has backends without any reflection: the error says what v1 said.
func TestRefused(t *testing.T) {
	for name, versions := range map[string]map[string]codes.Code{
		"Unimplemented":    {},
		"Internal":         {v1: codes.Internal},
		"PermissionDenied": {v1: codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			b.set(func(b *backend) { b.versions = versions })
			c := cache(t, b, nil)
			_, err := c.Method(t.Context(), "b", get)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want %s", err, name)
			}
			if _, err = c.Services(t.Context(), "b"); err == nil {
				t.Error("services without reflection")
			}
			wantProblem(t, c, name)
		})
	}
}

// TestServerOfGRPC asks the reflection service that grpc-go has.
func TestServerOfGRPC(t *testing.T) {
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer()
	healthgrpc.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	c := New(Options{Dial: func(context.Context, string) (grpc.ClientConnInterface, io.Closer, error) {
		conn, err := grpc.NewClient("passthrough:///b", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
		return conn, conn, err
	}})
	defer c.Close()
	wantFields(t, c, "/grpc.health.v1.Health/Check", 1)
	names, err := c.Services(t.Context(), "b")
	if err != nil || !slices.Contains(names, "grpc.health.v1.Health") {
		t.Errorf("services: %v, %v", names, err)
	}
}

func TestReflectionThatWantsMetadata(t *testing.T) {
	b := newBackend(t)
	b.set(func(b *backend) { b.token = "Bearer x" })
	c := cache(t, b, nil)
	if _, err := c.Method(t.Context(), "b", get); err == nil || !strings.Contains(err.Error(), "who are you?") {
		t.Errorf("without the metadata: %v", err)
	}
	c = cache(t, b, func(o *Options) {
		o.Metadata = func(backend string) metadata.MD {
			return map[string]metadata.MD{"b": metadata.Pairs("authorization", "Bearer x")}[backend]
		}
	})
	wantFields(t, c, get, 3)
	if _, err := c.Services(t.Context(), "b"); err != nil {
		t.Error(err)
	}
}

// TestHangingReflection waits for the timeout, and then not again at once.
func TestHangingReflection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.set(func(b *backend) { b.hang = true })
		c := cache(t, b, func(o *Options) { o.Timeout = 3 * time.Second })
		start := time.Now()
		_, err := c.Method(t.Context(), "b", get)
		if took := time.Since(start); err == nil || took != 3*time.Second {
			t.Errorf("got %v after %v", err, took)
		}
		if _, err := c.Method(t.Context(), "b", "/another.Service/M"); err == nil || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v, want an error at once", err, time.Since(start))
		}
		b.set(func(b *backend) { b.hang = false })
		time.Sleep(defaultNegativeTTL)
		wantFields(t, c, get, 3)
		if p := c.Problems("b"); len(p) != 0 {
			t.Errorf("problems once it works again: %q", p)
		}
	})
}

// TestMissingFiles takes files away or breaks them: what does not need them
// still decodes, and the problems name them.
func TestMissingFiles(t *testing.T) {
	tests := map[string]struct {
		change func(files map[string][]byte)
		words  []string
	}{
		"missing": {func(f map[string][]byte) { delete(f, "item.proto") }, []string{"shop.proto: missing dependency item.proto"}},
		"garbage": {func(f map[string][]byte) { f["item.proto"] = []byte("\xff\xff\xff") }, []string{"item.proto"}},
		"another": {func(f map[string][]byte) { f["item.proto"] = f["shop.proto"] }, []string{"item.proto"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			b.set(func(b *backend) { test.change(b.files) })
			c := cache(t, b, nil)
			wantFields(t, c, "/shop.Shop/Watch", 2)
			wantProblem(t, c, test.words...)
			m, err := c.Method(t.Context(), "b", get)
			if err != nil {
				t.Fatal(err)
			}
			if m.Desc.Input().Fields().Len() != 1 || !m.Desc.Output().IsPlaceholder() {
				t.Errorf("input %v, output %v", m.Desc.Input(), m.Desc.Output())
			}
			if _, err := c.FileSet("b"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBrokenService has a service whose own file cannot be built.
func TestBrokenService(t *testing.T) {
	b := newBackend(t)
	f := sources(t, shop)["shop.proto"]
	f.MessageType = append(f.GetMessageType(), f.GetMessageType()[0]) // declared twice
	b.set(func(b *backend) { b.files["shop.proto"] = marshal(t, f) })
	c := cache(t, b, nil)
	if _, err := c.Method(t.Context(), "b", get); err == nil || !strings.Contains(err.Error(), "shop.proto") {
		t.Errorf("got %v, want the file's name", err)
	}
	wantProblem(t, c, "shop.proto")
}

// TestManyFiles has more descriptors than a gRPC message may hold by default,
// in a long chain of imports, and more than a fetch may hold.
func TestManyFiles(t *testing.T) {
	text := map[string]string{}
	for i := range 60 {
		body := fmt.Sprintf(`syntax = "proto3"; package p; message M%d { string %s = 1; } `, i, strings.Repeat("n", 1000))
		if i > 0 {
			body += fmt.Sprintf(`import "f%d.proto";`, i-1)
		}
		text[fmt.Sprintf("f%d.proto", i)] = body
	}
	text["s.proto"] = `syntax = "proto3"; package p; import "f59.proto"; service S { rpc M(M59) returns (M59); }`
	b := newBackend(t)
	b.serve(t, text)
	c := cache(t, b, nil)
	wantFields(t, c, "/p.S/M", 1)
	if p := c.Problems("b"); len(p) != 0 {
		t.Errorf("problems: %q", p)
	}
	set, err := c.FileSet("b")
	if err != nil || len(set.GetFile()) != 61 {
		t.Errorf("%d files, %v", len(set.GetFile()), err)
	}

	f := sources(t, shop)["shop.proto"]
	for size, ok := range map[int]bool{8 << 20: true, maxFetchBytes + 1: false} {
		f.MessageType[0].Field[0].JsonName = new(strings.Repeat("x", size))
		b.serve(t, shop)
		b.set(func(b *backend) { b.files["shop.proto"] = marshal(t, f) })
		c = cache(t, b, nil)
		if _, err := c.Method(t.Context(), "b", get); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestEditions(t *testing.T) {
	b := newBackend(t)
	b.serve(t, map[string]string{"e.proto": `edition = "2023"; package e;
		message M { int32 a = 1 [features.field_presence = IMPLICIT]; M b = 2 [features.message_encoding = DELIMITED]; }
		service S { rpc Do(M) returns (M); }`})
	m, err := cache(t, b, nil).Method(t.Context(), "b", "/e.S/Do")
	if err != nil {
		t.Fatal(err)
	}
	fields := m.Desc.Input().Fields()
	if fields.ByNumber(1).HasPresence() || fields.ByNumber(2).Kind() != protoreflect.GroupKind {
		t.Errorf("features of the edition are lost: %v", fields)
	}
}

// TestTypes resolves names across the services of a backend, as an Any needs.
func TestTypes(t *testing.T) {
	b := newBackend(t)
	text := maps.Clone(shop)
	text["x.proto"] = `syntax = "proto2"; package x; service X { rpc M(Detail) returns (Detail); }
		message Detail { extensions 100 to 200; } extend Detail { optional string more = 100; }`
	b.serve(t, text)
	c := cache(t, b, nil)
	wantFields(t, c, get, 3)
	r := c.Types("b")
	if r != c.Types("b") || r == c.Types("another") {
		t.Error("resolvers of one backend differ, or those of two do not")
	}
	if _, err := r.FindMessageByName("x.Detail"); err == nil {
		t.Error("a message of a service that nobody asked for is known")
	}
	wantFields(t, c, "/x.X/M", 0)
	m, err := c.Method(t.Context(), "b", get)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []decode.Resolver{r, m.Types} {
		if mt, err := r.FindMessageByURL("type.googleapis.com/x.Detail"); err != nil || mt.Descriptor().FullName() != "x.Detail" {
			t.Errorf("x.Detail: %v, %v", mt, err)
		}
		if _, err := r.FindMessageByName("shop.Item"); err != nil {
			t.Error(err)
		}
		if _, err := r.FindExtensionByName("x.more"); err != nil {
			t.Error(err)
		}
		if _, err := r.FindExtensionByNumber("x.Detail", 100); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Types("nobody").FindMessageByName("x.Detail"); err == nil {
		t.Error("backends share types")
	}
}
