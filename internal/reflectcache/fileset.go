package reflectcache

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"loom/internal/decode"
)

// FileSet returns the files of services that are known now; no names: of all.
func (c *Cache) FileSet(backend string, services ...string) (*descriptorpb.FileDescriptorSet, error) {
	s := (*c.view.Load())[backend]
	if s == nil {
		return nil, fmt.Errorf("no descriptors of backend %s are known", backend)
	}
	if len(services) == 0 {
		services = slices.Sorted(maps.Keys(s.entries))
		services = slices.DeleteFunc(services, func(name string) bool { return s.entries[name].desc == nil })
	}
	set := &descriptorpb.FileDescriptorSet{}
	have := map[string]bool{}
	for _, name := range services {
		e := s.entries[name]
		if e == nil || e.desc == nil {
			return nil, fmt.Errorf("service %s of backend %s is not known", name, backend)
		}
		for _, f := range e.linked.set.GetFile() {
			if !have[f.GetName()] {
				have[f.GetName()] = true
				set.File = append(set.File, proto.CloneOf(f))
			}
		}
	}
	return set, nil
}

// AddFileSet makes the services of a saved set known. They are never fetched.
func (c *Cache) AddFileSet(backend string, set *descriptorpb.FileDescriptorSet, src decode.Source) error {
	l := linkSet(proto.CloneOf(set))
	if len(l.services) == 0 && len(l.problems) > 0 {
		return fmt.Errorf("linking the descriptors of backend %s: %s", backend, strings.Join(l.problems, "; "))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if !c.admits(backend) || c.bytes+l.bytes*len(l.services) > maxMemory {
		return fmt.Errorf("keeping the descriptors of backend %s: over %d backends or %d bytes", backend, maxBackends, maxMemory)
	}
	next := (*c.view.Load())[backend].clone()
	for name := range l.services {
		if !c.room(next, name) {
			return fmt.Errorf("keeping the descriptors of backend %s: over %d services", backend, maxServices)
		}
		e := c.newEntry(backend, name, found{linked: l, source: src}, nil)
		e.pinned = true
		e.dueAt.Store(int64(never))
		c.bytes += e.bytes() - next.entries[name].bytes()
		next.put(e)
	}
	c.publish(backend, next)
	return nil
}

// fromFiles looks for a service in the configured protosets.
func (c *Cache) fromFiles(backend, service string) (*linked, []string) {
	var problems []string
	for _, l := range c.protosets(backend, &problems) {
		if l.services[service] != nil {
			return l, nil
		}
	}
	return nil, problems
}

func (c *Cache) filesServices(backend string) []string {
	var names, problems []string
	for _, l := range c.protosets(backend, &problems) {
		names = append(names, slices.Collect(maps.Keys(l.services))...)
	}
	return names
}

func (c *Cache) protosets(backend string, problems *[]string) []*linked {
	if c.opt.Files == nil {
		return nil
	}
	var sets []*linked
	for _, name := range c.opt.Files(backend) {
		set, err := readProtoset(name)
		if err != nil {
			*problems = append(*problems, err.Error())
			continue
		}
		sets = append(sets, linkSet(set))
	}
	return sets
}

func readProtoset(name string) (*descriptorpb.FileDescriptorSet, error) {
	if strings.HasSuffix(name, ".proto") {
		return nil, fmt.Errorf("file %s: source files are not read; make a protoset of it with protoc -o or buf build -o", name)
	}
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

func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
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
