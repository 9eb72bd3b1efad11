package reflectcache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// linked is a set of files that refer to each other. Immutable.
type linked struct {
	types    *dynamicpb.Types
	set      *descriptorpb.FileDescriptorSet // imports first
	services map[string]protoreflect.ServiceDescriptor
	hash     string // SHA-256 of data, in hex
	data     []byte // set as on the wire
	problems []string
}

// linker builds descriptors out of the files that there are.
type linker struct {
	raw      map[string]*descriptorpb.FileDescriptorProto
	state    map[string]int // 1: being built, 2: done
	files    *protoregistry.Files
	out      *linked
	depth    int
	problems []string
}

// maxImportDepth bounds how deep imports may be nested, for the stack's sake.
const maxImportDepth = 512

// names returns a file's own name and those of its imports; none if it cannot
// be read.
func names(data []byte) (name string, imports []string) {
	var f descriptorpb.FileDescriptorProto
	if proto.Unmarshal(data, &f) != nil {
		return "", nil
	}
	return f.GetName(), f.GetDependency()
}

// link builds what can be built of the files, and names what cannot.
func link(raw [][]byte) *linked {
	set := &descriptorpb.FileDescriptorSet{}
	var problems []string
	for _, data := range raw {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(data, f); err != nil {
			problems = append(problems, fmt.Sprintf("a file of %d bytes is no descriptor: %v", len(data), err))
			continue
		}
		set.File = append(set.File, f)
	}
	l := linkSet(set)
	l.problems = limited(append(problems, l.problems...))
	return l
}

func linkSet(set *descriptorpb.FileDescriptorSet) *linked {
	k := &linker{
		raw: map[string]*descriptorpb.FileDescriptorProto{}, state: map[string]int{}, files: &protoregistry.Files{},
		out: &linked{set: &descriptorpb.FileDescriptorSet{}, services: map[string]protoreflect.ServiceDescriptor{}},
	}
	names := make([]string, 0, len(set.GetFile()))
	for _, f := range set.GetFile() {
		if _, have := k.raw[f.GetName()]; !have {
			k.raw[f.GetName()] = f
			names = append(names, f.GetName())
		}
	}
	slices.Sort(names)
	for _, name := range names {
		k.add(name, "")
	}
	l := k.out
	l.types = dynamicpb.NewTypes(k.files)
	l.data, _ = proto.MarshalOptions{Deterministic: true}.Marshal(l.set)
	sum := sha256.Sum256(l.data)
	l.hash = hex.EncodeToString(sum[:])
	l.problems = limited(k.problems)
	return l
}

// add builds a file after its imports.
func (k *linker) add(name, importer string) {
	if k.state[name] == 2 {
		return
	}
	if k.state[name] == 1 || k.depth >= maxImportDepth {
		k.problem("file %s: import of %s goes in a circle or too deep", importer, name)
		return
	}
	f := k.raw[name]
	if f == nil {
		if f = bundled(name); f == nil {
			k.problem("file %s: missing dependency %s", importer, name)
			return
		}
	}
	k.state[name] = 1
	k.depth++
	for _, dep := range f.GetDependency() {
		k.add(dep, name)
	}
	k.depth--
	k.state[name] = 2
	d, err := build(f, k.files)
	if err == nil {
		err = k.files.RegisterFile(d)
	}
	if err != nil {
		k.problem("file %s: %v", name, err)
		return
	}
	k.out.set.File = append(k.out.set.File, f)
	for i := range d.Services().Len() {
		s := d.Services().Get(i)
		k.out.services[string(s.FullName())] = s
	}
}

func (k *linker) problem(format string, args ...any) {
	if len(k.problems) < maxProblems {
		k.problems = append(k.problems, fmt.Sprintf(format, args...))
	}
}

// build makes a file's descriptor, with placeholders for what is missing. The
// bytes are foreign, so a fault of the library must not end the process.
func build(f *descriptorpb.FileDescriptorProto, files *protoregistry.Files) (d protoreflect.FileDescriptor, err error) {
	defer func() {
		if r := recover(); r != nil {
			d, err = nil, fmt.Errorf("cannot be built: %v", r)
		}
	}()
	return protodesc.FileOptions{AllowUnresolvable: true}.New(f, files)
}

// bundled returns a file that servers often leave out, since every runtime has
// it.
func bundled(name string) *descriptorpb.FileDescriptorProto {
	if !strings.HasPrefix(name, "google/protobuf/") && !strings.HasPrefix(name, "google/rpc/") {
		return nil
	}
	d, err := protoregistry.GlobalFiles.FindFileByPath(name)
	if err != nil {
		return nil
	}
	return protodesc.ToFileDescriptorProto(d)
}
