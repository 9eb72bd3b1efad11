package reflectcache

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/descriptorpb"

	"loom/internal/decode"
)

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// mute is a backend without reflection.
func mute(t testing.TB) *backend {
	t.Helper()
	b := newBackend(t)
	b.set(func(b *backend) { b.versions = nil })
	return b
}

func withFiles(names ...string) func(*Options) {
	return func(o *Options) { o.Files = func(string) []string { return names } }
}

func TestProtosets(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "shop.protoset"), marshal(t, set(t, shop)))
	c := cache(t, mute(t), withFiles(name))
	m, err := c.Method(t.Context(), "b", get)
	if err != nil || m.Source != decode.FromFiles || m.Desc.Output().Fields().Len() != 3 {
		t.Fatalf("got %+v, %v", m, err)
	}
	if names, err := c.Services(t.Context(), "b"); err != nil || !slices.Equal(names, []string{"shop.Shop"}) {
		t.Errorf("services: %v, %v", names, err)
	}
	if _, err := c.Method(t.Context(), "b", "/other.Service/M"); err == nil || !strings.Contains(err.Error(), "Unimplemented") {
		t.Errorf("got %v, want what reflection said", err)
	}
	c = cache(t, newBackend(t), withFiles(name))
	if m, err := c.Method(t.Context(), "b", get); err != nil || m.Source != decode.FromReflection {
		t.Errorf("got %+v, %v, want reflection before files", m, err)
	}
}

// TestSourceFiles reads .proto files whose imports are relative to one of the
// folders above them.
func TestSourceFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "api", "acme", "common.proto"), []byte(`syntax = "proto3"; package acme; message Common { int32 a = 1; }`))
	name := write(t, filepath.Join(dir, "api", "acme", "v1", "s.proto"), []byte(`syntax = "proto3"; package acme.v1;
		import "acme/common.proto"; import "google/protobuf/any.proto";
		message Answer { acme.Common common = 1; google.protobuf.Any any = 2; } service S { rpc M(Answer) returns (Answer); }`))
	c := cache(t, mute(t), withFiles(name))
	wantFields(t, c, "/acme.v1.S/M", 2)
	if m, _ := c.Lookup("b", "/acme.v1.S/M"); m.Source != decode.FromFiles || m.Desc.Input().Fields().Get(0).Message().IsPlaceholder() {
		t.Errorf("got %+v", m)
	}
	if s, err := c.FileSet("b"); err != nil || len(s.GetFile()) != 3 {
		t.Errorf("%v, %v", s, err)
	}
}

func TestFilesOfNoUse(t *testing.T) {
	dir := t.TempDir()
	good := write(t, filepath.Join(dir, "good.protoset"), marshal(t, set(t, shop)))
	pipe := filepath.Join(dir, "pipe.protoset")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file string
		word string
	}{
		"not there":          {filepath.Join(dir, "none.protoset"), "none.protoset"},
		"a folder":           {dir, dir},
		"a pipe":             {pipe, "pipe.protoset"},
		"garbage":            {write(t, filepath.Join(dir, "garbage.protoset"), []byte("no protoset")), "garbage.protoset"},
		"empty":              {write(t, filepath.Join(dir, "empty.protoset"), nil), "empty.protoset"},
		"too large":          {write(t, filepath.Join(dir, "large.protoset"), make([]byte, maxFetchBytes+1)), "large.protoset"},
		"broken source":      {write(t, filepath.Join(dir, "broken.proto"), []byte("syntax = ")), "broken.proto"},
		"no such source":     {filepath.Join(dir, "none.proto"), "none.proto"},
		"import not there":   {write(t, filepath.Join(dir, "import.proto"), []byte(`syntax = "proto3"; import "not/there.proto";`)), "not/there.proto"},
		"import in a circle": {write(t, filepath.Join(dir, "circle.proto"), []byte(`syntax = "proto3"; import "circle.proto";`)), "circle.proto"},
		"too large a source": {write(t, filepath.Join(dir, "large.proto"), make([]byte, maxSourceBytes+1)), "large.proto"},
	} {
		t.Run(name, func(t *testing.T) {
			c := cache(t, mute(t), withFiles(test.file, good))
			wantFields(t, c, get, 3)
			wantProblem(t, c, test.word)
			if _, err := c.Method(t.Context(), "b", "/other.Service/M"); err == nil || !strings.Contains(err.Error(), test.word) {
				t.Errorf("got %v, want the fault of the file", err)
			}
		})
	}
}

// TestReflectionComesLater starts with files, and is told by reflection once
// there is one. That the two differ is no change of the backend.
func TestReflectionComesLater(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "shop.protoset"), marshal(t, set(t, shop)))
	synctest.Test(t, func(t *testing.T) {
		b := mute(t)
		c := cache(t, b, withFiles(name))
		wantFields(t, c, get, 3)
		b.serve(t, grown())
		b.set(func(b *backend) { b.versions = map[string]codes.Code{v1: codes.OK} })
		time.Sleep(defaultNegativeTTL)
		wantFields(t, c, get, 3)
		synctest.Wait()
		wantFields(t, c, get, 4)
		if changes := c.Changes(); len(changes) != 0 {
			t.Errorf("changes: %v", changes)
		}
	})
}

// TestFilesDoNotReplaceReflection has reflection go away, and a protoset that
// is older than what reflection said.
func TestFilesDoNotReplaceReflection(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "shop.protoset"), marshal(t, set(t, shop)))
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.serve(t, grown())
		c := cache(t, b, withFiles(name))
		wantFields(t, c, get, 4)
		b.set(func(b *backend) { b.versions = nil })
		c.Drop("b")
		wantFields(t, c, get, 4)
		synctest.Wait()
		wantFields(t, c, get, 4)
		if changes := c.Changes(); len(changes) != 0 {
			t.Errorf("changes: %v", changes)
		}
		before := c.Stats().Fetches
		wantFields(t, c, get, 4)
		synctest.Wait()
		if now := c.Stats().Fetches; now != before {
			t.Errorf("%d fetches right after one that found nothing better", now-before)
		}
	})
}

// TestEditedFile is read again.
func TestEditedFile(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "shop.protoset"), marshal(t, set(t, shop)))
	synctest.Test(t, func(t *testing.T) {
		c := cache(t, mute(t), withFiles(name))
		wantFields(t, c, get, 3)
		write(t, name, marshal(t, set(t, grown())))
		time.Sleep(defaultNegativeTTL)
		wantFields(t, c, get, 3)
		synctest.Wait()
		wantFields(t, c, get, 4)
		if changes := c.Changes(); len(changes) != 2 {
			t.Errorf("changes: %v, want those of two methods", changes)
		}
	})
}

func TestFileSet(t *testing.T) {
	b := newBackend(t)
	c := cache(t, b, nil)
	if _, err := c.FileSet("b"); err == nil {
		t.Error("a set of what nobody asked for")
	}
	wantFields(t, c, get, 3)
	s, err := c.FileSet("b", "shop.Shop")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range s.GetFile() {
		names = append(names, f.GetName())
	}
	if slices.Sort(names); !slices.Equal(names, []string{"google/protobuf/timestamp.proto", "item.proto", "shop.proto"}) {
		t.Errorf("files %q", names)
	}
	if _, err := c.FileSet("b", "no.Such"); err == nil {
		t.Error("a set of an unknown service")
	}

	// A capture shows it again without any backend.
	open := New(Options{})
	defer open.Close()
	if err := open.AddFileSet("b", s, decode.FromDisk); err != nil {
		t.Fatal(err)
	}
	s.File = nil // the cache has its own copy
	if m, known := open.Lookup("b", get); !known || m.Source != decode.FromDisk || m.Desc.Output().Fields().Len() != 3 {
		t.Errorf("got %+v, %v", m, known)
	}
	if names, err := open.Services(t.Context(), "b"); err != nil || !slices.Equal(names, []string{"shop.Shop"}) {
		t.Errorf("services: %v, %v", names, err)
	}
	if again, err := open.FileSet("b"); err != nil || len(again.GetFile()) != 3 {
		t.Errorf("%v, %v", again, err)
	}
}

func TestAddedFileSetStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.serve(t, grown())
		c := cache(t, b, nil)
		if err := c.AddFileSet("b", set(t, shop), decode.FromFiles); err != nil {
			t.Fatal(err)
		}
		c.Drop("b")
		time.Sleep(time.Hour)
		wantFields(t, c, get, 3)
		synctest.Wait()
		wantFields(t, c, get, 3)
		if n := b.streams.Load(); n != 0 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestAddFileSetFaults(t *testing.T) {
	c := New(Options{})
	if err := c.AddFileSet("b", &descriptorpb.FileDescriptorSet{}, decode.FromDisk); err != nil {
		t.Errorf("an empty set: %v", err)
	}
	broken := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{Name: new("x.proto"), Dependency: []string{"y.proto"}}}}
	if err := c.AddFileSet("b", broken, decode.FromDisk); err == nil || !strings.Contains(err.Error(), "y.proto") {
		t.Errorf("a broken set: %v", err)
	}
	many := strings.Builder{}
	many.WriteString(`syntax = "proto3"; package p; message M {} `)
	for i := range maxServices + 1 {
		fmt.Fprintf(&many, "service S%d { rpc M%d(M) returns (M); } ", i, i)
	}
	if err := c.AddFileSet("b", set(t, map[string]string{"many.proto": many.String()}), decode.FromDisk); err == nil {
		t.Error("more services than there is place for")
	}
	if _, known := c.Lookup("b", "/p.S1/M1"); known || c.bytes != 0 {
		t.Errorf("a refused set is kept: %d bytes", c.bytes)
	}
	c.Close()
	if err := c.AddFileSet("b", set(t, shop), decode.FromDisk); err == nil {
		t.Error("a closed cache took a set")
	}
}

// TestMemoryIsBounded fetches more than may be kept: the oldest goes.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := cache(t, b, nil)
		if err := c.AddFileSet("b", set(t, map[string]string{"a.proto": `syntax = "proto3"; package a; message M {} service A { rpc Do(M) returns (M); }`}), decode.FromDisk); err != nil {
			t.Fatal(err)
		}
		const size = 15 << 20
		files := map[string][]byte{}
		for i := range 5 {
			f := sources(t, shop)["item.proto"]
			f.Name, f.Package = new(fmt.Sprintf("f%d.proto", i)), new(fmt.Sprintf("p%d", i))
			f.MessageType[0].Field[0].JsonName = new(strings.Repeat("x", size))
			f.MessageType[0].Field[2].TypeName = new(fmt.Sprintf(".p%d.Kind", i))
			item := new(fmt.Sprintf(".p%d.Item", i))
			f.Service = []*descriptorpb.ServiceDescriptorProto{{Name: new("S"), Method: []*descriptorpb.MethodDescriptorProto{
				{Name: new("Do"), InputType: item, OutputType: item},
			}}}
			files[f.GetName()] = marshal(t, f)
		}
		b.set(func(b *backend) { b.files = files })
		for i := range 5 {
			wantFields(t, c, fmt.Sprintf("/p%d.S/Do", i), 3)
			time.Sleep(time.Second)
		}
		known := slices.Sorted(maps.Keys(c.shelf("b").entries))
		if want := []string{"a.A", "p1.S", "p2.S", "p3.S", "p4.S"}; !slices.Equal(known, want) || c.Stats().Bytes > maxMemory || c.Stats().Forgotten != 1 {
			t.Errorf("known: %v, want %v; %+v", known, want, c.Stats())
		}
	})
}

func FuzzSet(f *testing.F) {
	f.Add(marshal(f, set(f, shop)))
	f.Add(marshal(f, set(f, map[string]string{"e.proto": `edition = "2023"; package e; message M { M m = 1; extensions 5; } extend M { int32 x = 5; } service S { rpc Do(M) returns (M); }`})))
	f.Add([]byte("\n\x03\n\x01a"))
	c := New(Options{})
	defer c.Close()
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSet(data)
		if err != nil {
			return
		}
		l := linkSet(s)
		for name := range l.services {
			e := c.newEntry("b", name, found{linked: l}, 0)
			for _, m := range e.methods {
				if !sameShape(m.Desc, m.Desc) {
					t.Errorf("%s differs from itself", m.Desc.FullName())
				}
			}
		}
	})
}

// FuzzFiles is what a backend's answer goes through.
func FuzzFiles(f *testing.F) {
	for _, file := range set(f, shop).GetFile() {
		f.Add(marshal(f, file), []byte("\xff"))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, data := range [][]byte{a, b} {
			names(data)
		}
		l := link([][]byte{a, b})
		if len(l.problems) > maxProblems {
			t.Errorf("%d problems", len(l.problems))
		}
	})
}

func FuzzSource(f *testing.F) {
	f.Add([]byte(shop["item.proto"]))
	f.Add([]byte(`edition = "2023"; import "f.proto"; message M { extensions 1 to max [declaration = {number: 1}]; }`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		name := write(t, filepath.Join(dir, "f.proto"), data)
		if s, err := compile(context.Background(), name); err == nil {
			linkSet(s)
		}
	})
}
