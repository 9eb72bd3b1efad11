package config

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// sight is what a test sees of a file that is watched.
type sight struct {
	t    *testing.T
	path string
	seen chan string // what is in the file, each time that it is another text
}

// watching watches the file at path until the test ends.
func watching(t *testing.T, path string) *sight {
	t.Helper()
	s := &sight{t: t, path: path, seen: make(chan string, 100)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	last := ""
	go func() {
		defer close(done)
		Watch(ctx, path, func() time.Duration {
			text, err := os.ReadFile(path)
			if err == nil && string(text) != last {
				last = string(text)
				s.seen <- last
			}
			return 0
		}, func(err error) { t.Error(err) })
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return s
}

// want waits for a text, for less time than a poll takes to come.
func (s *sight) want(text string) {
	s.t.Helper()
	limit := time.After(pollEvery * 3 / 4)
	for {
		select {
		case got := <-s.seen:
			if got == text {
				return
			}
		case <-limit:
			s.t.Fatalf("%q has not been seen", text)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// must fails the test if a step of it does.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever way people have to change a file is seen, twice in a row.
func TestWatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		file   string // below the folder of the test
		begin  func(t *testing.T, dir string)
		change func(t *testing.T, dir, text string)
	}{
		{name: "written in place", change: func(t *testing.T, dir, text string) { write(t, filepath.Join(dir, "loom.yaml"), text) }},
		{name: "replaced", change: func(t *testing.T, dir, text string) {
			write(t, filepath.Join(dir, ".loom.yaml.tmp"), text)
			must(t, os.Rename(filepath.Join(dir, ".loom.yaml.tmp"), filepath.Join(dir, "loom.yaml")))
		}},
		{name: "put aside and written anew, as vim does", change: func(t *testing.T, dir, text string) {
			path := filepath.Join(dir, "loom.yaml")
			must(t, os.Rename(path, path+"~"))
			write(t, path, text)
			must(t, os.Remove(path+"~"))
		}},
		{name: "gone for a moment", change: func(t *testing.T, dir, text string) {
			path := filepath.Join(dir, "loom.yaml")
			must(t, os.Remove(path))
			time.Sleep(300 * time.Millisecond)
			write(t, path, text)
		}},
		{name: "a ConfigMap", begin: func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "..1"), 0o700), os.Symlink("..1", filepath.Join(dir, "..data")),
				os.Symlink("..data/loom.yaml", filepath.Join(dir, "loom.yaml")))
			write(t, filepath.Join(dir, "..1", "loom.yaml"), "first")
		}, change: func(t *testing.T, dir, text string) {
			old, err := os.Readlink(filepath.Join(dir, "..data"))
			must(t, err, os.Mkdir(filepath.Join(dir, ".."+text), 0o700))
			write(t, filepath.Join(dir, ".."+text, "loom.yaml"), text)
			must(t, os.Symlink(".."+text, filepath.Join(dir, "..data_tmp")),
				os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")), os.RemoveAll(filepath.Join(dir, old)))
		}},
		{name: "a link to a file elsewhere", begin: func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "else"), 0o700), os.Symlink(filepath.Join("else", "real.yaml"), filepath.Join(dir, "loom.yaml")))
			write(t, filepath.Join(dir, "else", "real.yaml"), "first")
		}, change: func(t *testing.T, dir, text string) { write(t, filepath.Join(dir, "else", "real.yaml"), text) }},
		{name: "its folder is replaced", file: "conf/loom.yaml", change: func(t *testing.T, dir, text string) {
			must(t, os.Mkdir(filepath.Join(dir, "next"), 0o700))
			write(t, filepath.Join(dir, "next", "loom.yaml"), text)
			must(t, os.Rename(filepath.Join(dir, "conf"), filepath.Join(dir, "old "+text)), os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "conf")))
		}},
		{name: "its folder is removed and made anew", file: "conf/loom.yaml", change: func(t *testing.T, dir, text string) {
			must(t, os.RemoveAll(filepath.Join(dir, "conf")))
			time.Sleep(300 * time.Millisecond)
			must(t, os.Mkdir(filepath.Join(dir, "conf"), 0o700))
			write(t, filepath.Join(dir, "conf", "loom.yaml"), text)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "loom.yaml")
			if test.file != "" {
				file = filepath.Join(dir, filepath.FromSlash(test.file))
				must(t, os.MkdirAll(filepath.Dir(file), 0o700))
			}
			if test.begin != nil {
				test.begin(t, dir)
			} else {
				write(t, file, "first")
			}
			s := watching(t, file)
			s.want("first")
			for _, text := range []string{"second", "third"} {
				test.change(t, dir, text)
				s.want(text)
			}
		})
	}
}

// A file that is written again and again is looked at meanwhile.
func TestWatchBusyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loom.yaml")
	write(t, path, "first")
	s := watching(t, path)
	s.want("first")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(settleTime / 5):
				write(t, path, "busy")
			}
		}
	}()
	s.want("busy")
	close(stop)
	<-done
}

// Links that lead round in a circle are not followed for ever.
func TestWayToNowhere(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("b", filepath.Join(dir, "a")), os.Symlink("a", filepath.Join(dir, "b")))
	plain, err := filepath.EvalSymlinks(dir)
	must(t, err)
	names := wayTo(filepath.Join(dir, "a"))[plain]
	if !names["a"] || !names["b"] {
		t.Errorf("the names are %v", names)
	}
}
