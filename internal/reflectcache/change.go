package reflectcache

import (
	"maps"
	"slices"
	"time"

	"loom/internal/decode"
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

// record compares two states of a service, method by method. A protoset and a
// backend may differ without anything having changed, so only two answers of
// the same origin are compared.
func (c *Cache) record(before, after *entry) {
	if before == nil || before.linked.hash == after.linked.hash ||
		(before.source == decode.FromFiles) != (after.source == decode.FromFiles) {
		return
	}
	var changes []Change
	paths := slices.Collect(maps.Keys(before.methods))
	paths = append(paths, slices.Collect(maps.Keys(after.methods))...)
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		old, now := before.methods[path], after.methods[path]
		var what string
		switch {
		case old == nil:
			what = "added"
		case now == nil:
			what = "removed"
		case !sameShape(old.Desc, now.Desc):
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
