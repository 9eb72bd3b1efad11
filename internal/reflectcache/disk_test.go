package reflectcache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"loom/internal/decode"
)

func withDisk(dir string) func(*Options) { return func(o *Options) { o.Dir = dir } }

// learn lets one run of loom see the shop.
func learn(t testing.TB, dir string, text map[string]string) {
	t.Helper()
	b := newBackend(t)
	b.serve(t, text)
	c := cache(t, b, withDisk(dir))
	if _, err := c.Method(t.Context(), "b", get); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestYesterday(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "descriptors")
	learn(t, dir, shop)
	c := cache(t, mute(t), withDisk(dir))
	m, err := c.Method(t.Context(), "b", get)
	if err != nil || m.Source != decode.FromDisk || m.Desc.Output().Fields().Len() != 3 {
		t.Fatalf("got %+v, %v, want yesterday's", m, err)
	}
	if names, err := c.Services(t.Context(), "b"); err != nil || len(names) != 1 {
		t.Errorf("services: %v, %v", names, err)
	}
	if _, err := c.Method(t.Context(), "another", get); err == nil {
		t.Error("backends share what is on disk")
	}
}

// TestYesterdayIsReadOnce asks again and again: nothing new, so nothing is read.
func TestYesterdayIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	learn(t, dir, shop)
	synctest.Test(t, func(t *testing.T) {
		b := mute(t)
		c := cache(t, b, withDisk(dir))
		wantFields(t, c, get, 3)
		first, _ := c.Lookup("b", get)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(defaultNegativeTTL)
			c.Lookup("b", get)
			synctest.Wait()
		}
		if again, _ := c.Lookup("b", get); again != first || c.Stats().Fetches != 4 {
			t.Errorf("got %p, want %p; %+v", again, first, c.Stats())
		}
	})
}

func TestChangeSinceYesterday(t *testing.T) {
	dir := t.TempDir()
	learn(t, dir, shop)
	b := newBackend(t)
	b.serve(t, grown())
	c := cache(t, b, withDisk(dir))
	wantFields(t, c, get, 4)
	if changes := c.Changes(); len(changes) != 2 || changes[0].What != "changed" {
		t.Errorf("changes: %v, want those of two methods", changes)
	}
	c.Close()
	c = cache(t, b, withDisk(dir))
	wantFields(t, c, get, 4)
	if changes := c.Changes(); len(changes) != 0 {
		t.Errorf("told again: %v", changes)
	}
}

func TestModesOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "descriptors")
	learn(t, dir, shop)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v, want an index and a set", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
}

// TestGarbageOnDisk breaks what is on disk in every way: one warning, and the
// cache works on.
func TestGarbageOnDisk(t *testing.T) {
	setOf := func(t *testing.T, dir string) string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, "*.binpb"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		return names[0]
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"index is garbage": func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, indexName), []byte("{")) },
		"index is a folder": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, indexName)); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, indexName, "x"), nil)
		},
		"index is too large": func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, indexName), bytes.Repeat([]byte(" "), maxIndexBytes+1))
		},
		"set is gone": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(setOf(t, dir)); err != nil {
				t.Fatal(err)
			}
		},
		"set is cut short": func(t *testing.T, dir string) { t.Helper(); write(t, setOf(t, dir), []byte("\n\x03")) },
		"set is too large": func(t *testing.T, dir string) { t.Helper(); write(t, setOf(t, dir), make([]byte, maxFetchBytes+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			learn(t, dir, shop)
			spoil(t, dir)
			core, logs := observer.New(zap.WarnLevel)
			c := cache(t, mute(t), func(o *Options) { o.Dir, o.Log = dir, zap.New(core) })
			if _, err := c.Method(t.Context(), "b", get); err == nil {
				t.Error("garbage told a method")
			}
			if n := logs.Len(); n != 1 {
				t.Errorf("%d warnings, want 1: %v", n, logs.All())
			}
			c = cache(t, newBackend(t), withDisk(dir))
			wantFields(t, c, get, 3)
			c.Close()
			if name == "index is a folder" {
				return // nothing of loom's makes that good
			}
			c = cache(t, mute(t), withDisk(dir))
			wantFields(t, c, get, 3)
		})
	}
}

// TestOneBadRecord keeps the good ones.
func TestOneBadRecord(t *testing.T) {
	dir := t.TempDir()
	learn(t, dir, shop)
	name := filepath.Join(dir, indexName)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, append([]byte(`[{"backend":"b","service":"x.X","hash":"../../etc/passwd"},`), bytes.TrimPrefix(data, []byte("["))...))
	wantFields(t, cache(t, mute(t), withDisk(dir)), get, 3)
}

func TestUnwritableFolder(t *testing.T) {
	dir := write(t, filepath.Join(t.TempDir(), "file"), nil)
	core, logs := observer.New(zap.WarnLevel)
	c := cache(t, newBackend(t), func(o *Options) { o.Dir, o.Log = filepath.Join(dir, "below"), zap.New(core) })
	wantFields(t, c, get, 3)
	if logs.Len() != 1 {
		t.Errorf("warnings: %v, want one", logs.All())
	}
}

// TestPruning stores more than may be kept: the oldest go, and so do sets that
// no service has any more and files half written long ago.
func TestPruning(t *testing.T) {
	dir := t.TempDir()
	orphan := write(t, filepath.Join(dir, strings.Repeat("0", 64)+setSuffix), []byte("x"))
	half := write(t, filepath.Join(dir, newPrefix+"1"), []byte("x"))
	if err := os.Chtimes(half, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	fresh := write(t, filepath.Join(dir, newPrefix+"2"), []byte("x"))
	other := write(t, filepath.Join(dir, "notes.txt"), []byte("x"))
	d := openDisk(dir, zap.NewNop())
	for i := range 5 {
		l := &linked{data: fmt.Appendf(make([]byte, 15<<20), "%d", i), hash: fmt.Sprintf("%064d", i+1)}
		d.store("b", fmt.Sprint("s.S", i), l)
	}
	if d.hash("b", "s.S0") != "" || d.hash("b", "s.S1") == "" || d.hash("b", "s.S4") == "" {
		t.Errorf("the wrong ones are left: %v", d.index)
	}
	total := int64(0)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			total += info.Size()
		}
	}
	if total > maxDiskBytes+maxIndexBytes {
		t.Errorf("%d bytes on disk", total)
	}
	for name, stays := range map[string]bool{orphan: false, half: false, fresh: true, other: true} {
		if _, err := os.Stat(name); (err == nil) != stays {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`[{"backend":"b","hash":"../../x"}]`))
	good, err := json.Marshal([]record{{Backend: "b", Service: "s.S", Hash: strings.Repeat("0a", 32), Size: 1, At: time.Unix(0, 0)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		records, _ := parseIndex(data)
		for _, r := range records {
			if len(r.Hash) != 64 || filepath.Base(r.Hash) != r.Hash || r.Size < 0 {
				t.Errorf("record %+v let through", r)
			}
		}
	})
}
