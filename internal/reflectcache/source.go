package reflectcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// compile reads a .proto file and all that it imports. Nobody says which folder
// the imports are relative to, so it is the nearest one above the file from
// where all of them are found.
func compile(ctx context.Context, name string) (*descriptorpb.FileDescriptorSet, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	var first error
	root := name
	for range maxSourceRoots {
		parent := filepath.Dir(root)
		if parent == root {
			break
		}
		root = parent
		set, err := compileFrom(ctx, root, name)
		if err == nil {
			return set, nil
		}
		if first == nil {
			first = err
		}
		// Only an import that is not there may be found from higher up.
		if ctx.Err() != nil || !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return nil, fmt.Errorf("file %s: %w", name, first)
}

func compileFrom(ctx context.Context, root, name string) (*descriptorpb.FileDescriptorSet, error) {
	relative, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}, Accessor: openSource}),
		MaxParallelism: 1,
	}
	compiled, err := compiler.Compile(ctx, filepath.ToSlash(relative))
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	return set, collect(set, compiled)
}

// collect adds files to a set, imports first.
func collect[F protoreflect.FileDescriptor](set *descriptorpb.FileDescriptorSet, compiled []F) error {
	have := map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if have[f.Path()] {
			return
		}
		have[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	for _, f := range compiled {
		add(f)
	}
	if len(set.GetFile()) > maxFetchFiles {
		return fmt.Errorf("over %d files", maxFetchFiles)
	}
	return nil
}

// openSource reads a source file of at most maxSourceBytes.
func openSource(name string) (io.ReadCloser, error) {
	data, err := readBounded(name, maxSourceBytes)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}
