package reflectcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// files holds what the configured protosets and .proto files of the backends
// say. They are read again when they are wanted and life is over, so an edit is
// seen and a flood of questions reads nothing.
type files struct {
	// Immutable.
	names func(backend string) []string // nil: none
	life  time.Duration

	// Guarded by mu.
	mu   sync.Mutex
	read map[string]*filesRead // by backend
}

// filesRead is what the files of one backend said. Immutable.
type filesRead struct {
	at   time.Time
	sets []*linked
	// faults are files that cannot be used, a sentence each.
	faults []string
}

// of returns what the backend's files say. Whoever comes while they are read
// waits.
func (f *files) of(ctx context.Context, backend string) *filesRead {
	if f.names == nil {
		return &filesRead{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.read[backend]; r != nil && time.Since(r.at) < f.life {
		return r
	}
	r := &filesRead{}
	for _, name := range f.names(backend) {
		set, err := readFile(ctx, name)
		if err != nil {
			r.faults = append(r.faults, err.Error())
			continue
		}
		r.sets = append(r.sets, linkSet(set))
	}
	r.at = time.Now()
	if f.read == nil {
		f.read = map[string]*filesRead{}
	}
	f.read[backend] = r // the backends that can be asked for are bounded
	return r
}

// find looks for a service. If no file has it, the faults may say why.
func (f *files) find(ctx context.Context, backend, service string) (*linked, []string) {
	r := f.of(ctx, backend)
	for _, l := range r.sets {
		if l.services[service] != nil {
			return l, nil
		}
	}
	return nil, limited(r.faults)
}

func (f *files) services(ctx context.Context, backend string) []string {
	var names []string
	for _, l := range f.of(ctx, backend).sets {
		names = append(names, slices.Collect(maps.Keys(l.services))...)
	}
	return names
}

// problems returns the faults as they were when the files were last read.
func (f *files) problems(backend string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.read[backend]; r != nil {
		return slices.Clone(r.faults)
	}
	return nil
}

func readFile(ctx context.Context, name string) (*descriptorpb.FileDescriptorSet, error) {
	if strings.HasSuffix(name, ".proto") {
		return compile(ctx, name)
	}
	return readProtoset(name)
}

func readProtoset(name string) (*descriptorpb.FileDescriptorSet, error) {
	data, err := readBounded(name, maxFetchBytes)
	if err != nil {
		return nil, fmt.Errorf("reading protoset: %w", err)
	}
	set, err := parseSet(data)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	return set, nil
}

// readBounded reads a file as a whole. A pipe or a device might have no end, or
// no beginning.
func readBounded(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	f, err := os.Open(name) //nolint:gosec // the configuration names the file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is over %d bytes", name, limit)
	}
	return data, err
}

// parseSet reads a descriptor set. The bytes are foreign.
func parseSet(data []byte) (*descriptorpb.FileDescriptorSet, error) {
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		return nil, fmt.Errorf("not a descriptor set: %w", err)
	}
	if len(set.GetFile()) == 0 || len(set.GetFile()) > maxFetchFiles {
		return nil, errors.New("not a descriptor set: it has no files or too many")
	}
	return set, nil
}
