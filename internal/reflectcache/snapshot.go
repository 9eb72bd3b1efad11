package reflectcache

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"loom/internal/decode"
)

// snapshotVersion is raised when an older loomd would misread a snapshot.
const snapshotVersion = 1

// maxSnapshotHead bounds the first part of a snapshot, without the descriptors:
// a service in it takes some hundred bytes, most of them for its name.
const maxSnapshotHead = 64 << 20

// snapshot is what the cache knows, for the next process: the length of this
// in JSON as 4 bytes, this, and the descriptor sets one after the other. It has
// no points in time.
type snapshot struct {
	Version  int           `json:"version"`
	Sets     []int         `json:"sets"` // lengths
	Backends []shelfRecord `json:"backends"`
	Misses   []missRecord  `json:"misses"`
}

// shelfRecord is what is known of a backend.
type shelfRecord struct {
	Name       string        `json:"name"`
	Identity   string        `json:"identity"`
	Entries    []entryRecord `json:"entries"`
	Refused    string        `json:"refused,omitempty"` // why reflection is not asked
	RefusedFor time.Duration `json:"refused_for,omitempty"`
	Listed     []string      `json:"listed,omitempty"`
	ListError  string        `json:"list_error,omitempty"`
	ListedFor  time.Duration `json:"listed_for,omitempty"`
}

// entryRecord is what reflection said of a service.
type entryRecord struct {
	Service  string        `json:"service"`
	Set      int           `json:"set"`
	Age      time.Duration `json:"age"`
	DueIn    time.Duration `json:"due_in"` // less than 0: it has been for a while
	Problems []string      `json:"problems,omitempty"`
}

// missRecord is a service of which nothing is known.
type missRecord struct {
	Backend  string        `json:"backend"`
	Service  string        `json:"service"`
	Error    string        `json:"error"`
	Problems []string      `json:"problems,omitempty"`
	For      time.Duration `json:"for"`
}

// Snapshot returns what backends have said of themselves, and what they could
// not be asked, for Restore in another process. What files and the disk have
// is as quickly read again.
func (c *Cache) Snapshot() ([]byte, error) {
	w := &snapshotWriter{cache: c, now: c.now(), at: make(map[string]int), out: snapshot{Version: snapshotVersion}}
	for name, s := range *c.view.Load() {
		w.shelf(name, s)
	}
	for i := range c.misses.places {
		if m := c.misses.places[i].Load(); m != nil && m.until > w.now {
			w.out.Misses = append(w.out.Misses, missRecord{m.backend, m.service, m.err.Error(), m.problems, m.until - w.now})
		}
	}
	head, err := json.Marshal(w.out)
	if err != nil {
		return nil, fmt.Errorf("write down what backends have said: %w", err)
	}
	data := binary.BigEndian.AppendUint32(nil, uint32(len(head)))
	return append(append(data, head...), bytes.Join(w.sets, nil)...), nil
}

// snapshotWriter gathers a snapshot. Sets that are the same are in it once.
type snapshotWriter struct {
	cache *Cache
	now   time.Duration
	out   snapshot
	sets  [][]byte
	at    map[string]int // of sets, by content
}

func (w *snapshotWriter) set(data []byte) int {
	i, ok := w.at[string(data)]
	if !ok {
		i = len(w.sets)
		w.at[string(data)] = i
		w.sets = append(w.sets, data)
		w.out.Sets = append(w.out.Sets, len(data))
	}
	return i
}

func (w *snapshotWriter) shelf(name string, s *shelf) {
	r := shelfRecord{Name: name, Identity: w.cache.identity(name)}
	for _, e := range s.entries {
		if e.source == decode.FromReflection && !e.pinned {
			r.Entries = append(r.Entries, w.entry(e.service, e.linked.data, e.linked.problems, e.fetched, time.Duration(e.dueAt.Load())))
		}
	}
	w.cache.heirlooms.each(func(backend, service string, h heirloom) {
		if backend == name && s.entries[service] == nil {
			r.Entries = append(r.Entries, w.entry(service, h.set, h.problems, h.fetched, h.due))
		}
	})
	if s.refused != nil && s.refusedUntil > w.now {
		r.Refused, r.RefusedFor = s.refused.Error(), s.refusedUntil-w.now
	}
	if s.listedUntil > w.now {
		r.Listed, r.ListedFor = s.listed, s.listedUntil-w.now
		if s.listErr != nil {
			r.ListError = s.listErr.Error()
		}
	}
	w.out.Backends = append(w.out.Backends, r)
}

func (w *snapshotWriter) entry(service string, set []byte, problems []string, fetched, due time.Duration) entryRecord {
	return entryRecord{service, w.set(set), min(w.now-fetched, longest), max(due-w.now, -longest), problems}
}

func (c *Cache) identity(backend string) string {
	if c.opt.Identity == nil {
		return ""
	}
	return c.opt.Identity(backend)
}

// Restore goes on from what Snapshot wrote age ago. It is for a cache that
// nobody uses yet. Descriptors are linked when they are needed, and count as
// fresh for as long as they would have there. An error changes nothing.
func (c *Cache) Restore(data []byte, age time.Duration) error {
	in, sets, err := parseSnapshot(data)
	if err != nil {
		return fmt.Errorf("read what backends have said: %w", err)
	}
	written := c.now() - min(max(0, age), longest)
	same := make(map[string]bool)
	for i := range in.Backends {
		r := &in.Backends[i]
		if r.Identity == c.identity(r.Name) && c.open(r.Name) != nil {
			same[r.Name] = true
			c.restoreShelf(r, sets, written)
		}
	}
	for _, m := range in.Misses {
		if same[m.Backend] {
			c.misses.put(&miss{m.Backend, m.Service, errors.New(m.Error), m.Problems, written + m.For})
		}
	}
	return nil
}

func (c *Cache) restoreShelf(r *shelfRecord, sets [][]byte, written time.Duration) {
	for _, e := range r.Entries {
		c.heirlooms.put(r.Name, e.Service, heirloom{sets[e.Set], e.Problems, written - e.Age, written + e.DueIn})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.shelf(r.Name).clone()
	if r.Refused != "" {
		next.refused, next.refusedUntil = errors.New(r.Refused), written+r.RefusedFor
	}
	if r.ListedFor > 0 {
		next.listed, next.listedUntil = r.Listed, written+r.ListedFor
		if r.ListError != "" {
			next.listErr = errors.New(r.ListError)
		}
	}
	c.publish(r.Name, next)
}

// longest bounds the times in a snapshot, which is foreign: so they can be added.
const longest = 365 * 24 * time.Hour

// parseSnapshot splits a snapshot, and holds it to the bounds of the cache.
func parseSnapshot(data []byte) (*snapshot, [][]byte, error) {
	if len(data) < 4 {
		return nil, nil, errors.New("it is cut off")
	}
	n := int64(binary.BigEndian.Uint32(data))
	if n > maxSnapshotHead || n > int64(len(data)-4) {
		return nil, nil, errors.New("it is cut off, or too long")
	}
	in := new(snapshot)
	if err := json.Unmarshal(data[4:4+n], in); err != nil {
		return nil, nil, err
	}
	if in.Version != snapshotVersion {
		return nil, nil, fmt.Errorf("it has version %d, want %d", in.Version, snapshotVersion)
	}
	sets, err := in.cut(data[4+n:])
	if err != nil {
		return nil, nil, err
	}
	if len(in.Backends) > maxBackends || len(in.Misses) > maxMisses {
		return nil, nil, errors.New("it has too many backends or misses")
	}
	for i := range in.Backends {
		if err := in.Backends[i].check(len(sets)); err != nil {
			return nil, nil, fmt.Errorf("backend %.200q: %w", in.Backends[i].Name, err)
		}
	}
	for i := range in.Misses {
		if m := &in.Misses[i]; !fits(m.For) || len(m.Service) > maxNameBytes {
			return nil, nil, errors.New("it has an impossible miss")
		}
	}
	return in, sets, nil
}

// cut splits what follows the first part. Each set is a copy, so that it does
// not hold all the others when it is needed no more.
func (s *snapshot) cut(rest []byte) ([][]byte, error) {
	if len(rest) > maxMemory {
		return nil, fmt.Errorf("over %d bytes of descriptors", maxMemory)
	}
	sets := make([][]byte, 0, min(len(s.Sets), len(rest)+1))
	for _, n := range s.Sets {
		if n < 1 || n > len(rest) || n > maxFetchBytes {
			return nil, errors.New("it is cut off")
		}
		sets, rest = append(sets, bytes.Clone(rest[:n])), rest[n:]
	}
	if len(rest) > 0 {
		return nil, errors.New("something follows it")
	}
	return sets, nil
}

func (r *shelfRecord) check(sets int) error {
	if len(r.Entries) > maxServices || len(r.Listed) > maxNames {
		return errors.New("it has too many services")
	}
	for _, e := range r.Entries {
		switch {
		case e.Set < 0 || e.Set >= sets:
			return errors.New("it has no such descriptors")
		case len(e.Service) > maxNameBytes || !protoreflect.FullName(e.Service).IsValid():
			return fmt.Errorf("%.200q is not the name of a service", e.Service)
		case !fits(e.Age) || !fits(e.DueIn) && !fits(-e.DueIn) || len(e.Problems) > maxProblems:
			return fmt.Errorf("service %s has an impossible record", e.Service)
		}
	}
	if !fits(r.RefusedFor) || !fits(r.ListedFor) {
		return errors.New("it has an impossible time")
	}
	return nil
}

func fits(d time.Duration) bool { return d >= 0 && d <= longest }
