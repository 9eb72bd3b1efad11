package reflectcache

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	indexName = "index.json"
	setSuffix = ".binpb"
	newPrefix = ".new-"
)

// disk keeps descriptor sets by content hash, and which service has which.
type disk struct {
	// Immutable.
	dir string
	log *zap.Logger

	// Guarded by mu.
	mu     sync.Mutex
	index  map[string]record // by indexKey
	warned bool
}

// record is a line of the index.
type record struct {
	Backend string    `json:"backend"`
	Service string    `json:"service"`
	Hash    string    `json:"hash"`
	Size    int       `json:"size"`
	At      time.Time `json:"at"`
}

func openDisk(dir string, log *zap.Logger) *disk {
	d := &disk{dir: dir, log: log, index: map[string]record{}}
	data, err := readBounded(filepath.Join(dir, indexName), maxIndexBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return d
	}
	var records []record
	if err == nil {
		records, err = parseIndex(data)
	}
	if err != nil {
		d.warn(err)
	}
	for _, r := range records {
		d.index[indexKey(r.Backend, r.Service)] = r
	}
	return d
}

// parseIndex reads the index. Its hashes become file names, so nothing else
// than a hash is let through. The error may come with the records that are
// whole.
func parseIndex(data []byte) ([]record, error) {
	var records []record
	if err := json.Unmarshal(data, &records); err != nil {
		return nil, fmt.Errorf("reading the index of descriptors: %w", err)
	}
	if len(records) > maxIndexEntries {
		return nil, fmt.Errorf("reading the index of descriptors: over %d entries", maxIndexEntries)
	}
	var broken error
	records = slices.DeleteFunc(records, func(r record) bool {
		sum, err := hex.DecodeString(r.Hash)
		if err == nil && len(sum) == sha256.Size && strings.ToLower(r.Hash) == r.Hash && r.Size >= 0 && r.Size <= maxFetchBytes {
			return false
		}
		broken = fmt.Errorf("reading the index of descriptors: %.80q is no hash, or its size is wrong", r.Hash)
		return true
	})
	return records, broken
}

// warn says once that the disk is of no use; the cache works without it.
// Caller holds d.mu, or nobody else knows d.
func (d *disk) warn(err error) {
	if !d.warned {
		d.warned = true
		d.log.Warn("descriptors on disk are not usable; going on without them", zap.String("dir", d.dir), zap.Error(err))
	}
}

// load returns what the disk has of a service; nil: nothing usable.
func (d *disk) load(backend, service string) *linked {
	set, err := d.read(backend, service)
	if err != nil {
		d.mu.Lock()
		d.warn(err)
		d.mu.Unlock()
	}
	if set == nil {
		return nil
	}
	return linkSet(set)
}

func (d *disk) read(backend, service string) (*descriptorpb.FileDescriptorSet, error) {
	hash := d.hash(backend, service)
	if hash == "" {
		return nil, nil
	}
	data, err := readBounded(d.path(hash), maxFetchBytes)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, errors.Join(fmt.Errorf("%s does not hold what its name says", d.path(hash)), os.Remove(d.path(hash)))
	}
	return parseSet(data)
}

// hash returns the content hash of what the disk has of a service; "": nothing.
func (d *disk) hash(backend, service string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.index[indexKey(backend, service)].Hash
}

func indexKey(backend, service string) string { return backend + "\x00" + service }

func (d *disk) path(hash string) string { return filepath.Join(d.dir, hash+setSuffix) }

func (d *disk) services(backend string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for _, r := range d.index {
		if r.Backend == backend {
			names = append(names, r.Service)
		}
	}
	return names
}

// store writes a set and the index; an error costs a warning and nothing else.
func (d *disk) store(backend, service string, l *linked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := indexKey(backend, service)
	if d.index[key].Hash == l.hash {
		// Another loom may have swept it away, or a full disk cut it short.
		if info, err := os.Stat(d.path(l.hash)); err == nil && info.Size() == int64(len(l.data)) {
			return
		}
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		d.warn(err)
		return
	}
	if err := d.write(d.path(l.hash), l.data); err != nil {
		d.warn(err)
		return
	}
	d.index[key] = record{Backend: backend, Service: service, Hash: l.hash, Size: len(l.data), At: time.Now()}
	d.prune()
	data, err := json.Marshal(slices.Collect(maps.Values(d.index)))
	if err == nil {
		err = d.write(filepath.Join(d.dir, indexName), data)
	}
	if err != nil {
		d.warn(err)
	}
	d.sweep()
}

// write replaces a file as a whole or not at all. CreateTemp makes it 0600.
func (d *disk) write(name string, data []byte) error {
	f, err := os.CreateTemp(d.dir, newPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// prune forgets the oldest services until the sets fit. Caller holds d.mu.
func (d *disk) prune() {
	records := slices.SortedFunc(maps.Values(d.index), func(a, b record) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Hash, b.Hash))
	})
	seen := map[string]bool{}
	size := 0
	for i, r := range records {
		if !seen[r.Hash] {
			seen[r.Hash] = true
			size += r.Size
		}
		if i > 0 && (size > maxDiskBytes || len(seen) > maxDiskFiles || i >= maxIndexEntries) {
			delete(d.index, indexKey(r.Backend, r.Service))
		}
	}
}

// sweep removes sets that no service has, and files half written by a loom that
// is gone. Caller holds d.mu.
func (d *disk) sweep() {
	used := map[string]bool{}
	for _, r := range d.index {
		used[d.path(r.Hash)] = true
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.warn(err)
		return
	}
	for _, entry := range entries {
		name := filepath.Join(d.dir, entry.Name())
		old := strings.HasSuffix(name, setSuffix) && !used[name]
		if strings.HasPrefix(entry.Name(), newPrefix) {
			info, err := entry.Info()
			old = err == nil && time.Since(info.ModTime()) > time.Hour
		}
		if !old {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.warn(err)
		}
	}
}
