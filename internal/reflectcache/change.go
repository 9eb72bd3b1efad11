package reflectcache

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Change says that a backend's descriptors of a method are not what they were.
type Change struct {
	Time    time.Time // when loom saw it
	Backend string
	Service string
	Method  string // its path
	What    string // "added", "removed" or "changed"
}

// Changes returns the newest changes, oldest first; older ones are forgotten.
func (c *Cache) Changes() []Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes)
}

// record compares two states of a service, method by method.
func (c *Cache) record(before, after *entry) {
	if before == nil || before.desc == nil || after.desc == nil || before.linked.hash == after.linked.hash {
		return
	}
	var changes []Change
	paths := slices.Collect(maps.Keys(before.methods))
	paths = append(paths, slices.Collect(maps.Keys(after.methods))...)
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		old, now := before.methods[path], after.methods[path]
		what := ""
		switch {
		case old == nil:
			what = "added"
		case now == nil:
			what = "removed"
		case fingerprint(old.Desc) != fingerprint(now.Desc):
			what = "changed"
		default:
			continue
		}
		changes = append(changes, Change{Time: time.Now(), Backend: after.backend, Service: after.service, Method: path, What: what})
	}
	c.mu.Lock()
	c.changes = append(c.changes, changes...)
	c.changes = slices.Delete(c.changes, 0, max(0, len(c.changes)-maxChanges))
	c.mu.Unlock()
	if c.opt.Changed != nil {
		for _, change := range changes {
			c.opt.Changed(change)
		}
	}
}

// fingerprint is a digest of a method and of every message and enum that it
// reaches, so that a change elsewhere in a file does not count.
func fingerprint(m protoreflect.MethodDescriptor) [sha256.Size]byte {
	h := sha256.New()
	write := func(p proto.Message) {
		data, _ := proto.MarshalOptions{Deterministic: true}.Marshal(p)
		h.Write(data)
	}
	write(protodesc.ToMethodDescriptorProto(m))
	seen := map[protoreflect.FullName]bool{}
	queue := []protoreflect.MessageDescriptor{m.Input(), m.Output()}
	for len(queue) > 0 {
		d := queue[0]
		queue = queue[1:]
		if seen[d.FullName()] {
			continue
		}
		seen[d.FullName()] = true
		h.Write([]byte(d.FullName()))
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			write(protodesc.ToFieldDescriptorProto(f))
			if f.Message() != nil {
				queue = append(queue, f.Message())
			}
			if e := f.Enum(); e != nil && !e.IsPlaceholder() {
				write(protodesc.ToEnumDescriptorProto(e))
			}
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
