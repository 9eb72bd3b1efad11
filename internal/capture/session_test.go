package capture

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/encoding/protojson"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

func sessionOptions(t *testing.T) SessionOptions {
	t.Helper()
	return SessionOptions{Dir: filepath.Join(t.TempDir(), "state", "sessions"), Name: "work", Size: 1 << 20, Files: 3, Log: zap.NewNop()}
}

// logged has the log of a session written down.
func logged(o SessionOptions) (SessionOptions, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	o.Log = zap.New(core)
	return o, logs
}

// write plays calls from to until, with bodies of size bytes.
func play(s *Store, from, until uint64, size int) {
	for i := from; i <= until; i++ {
		f := routed(s, i, "all")
		send(f, callevent.Up, bytes.Repeat([]byte{'m'}, size))
		end(f)
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func TestSessionFileHasALineForEachCallAndComesBack(t *testing.T) {
	o, logs := logged(sessionOptions(t))
	s := newTestStore(t, small())
	w := s.OpenSession(o)
	open := routed(s, 99, "all")
	play(s, 1, 20, 30)
	w.Close()
	end(open)
	got := lines(t, o.Path())
	if len(got) != 20 {
		t.Fatalf("20 calls ended, the file has %d lines", len(got))
	}
	var c loomv1.Call
	if err := protojson.Unmarshal([]byte(got[4]), &c); err != nil || c.String() != get(t, s, 5).String() {
		t.Errorf("line 5 is %v (%v)", &c, err)
	}
	for path, want := range map[string]fs.FileMode{o.Path(): 0o600, o.Dir: 0o700, filepath.Dir(o.Dir): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v", path, info.Mode(), want)
		}
	}
	later := small()
	later.Generation, later.Calls = 8, 12
	next := newTestStore(t, later)
	if n := next.LoadSession(o); n != 20 {
		t.Errorf("%d calls were read", n)
	}
	rows := next.Summaries(0)
	if len(rows) != 12 || rows[11].GetId() != "7-20" || rows[0].GetId() != "7-9" {
		t.Errorf("%d calls came back, from %s on", len(rows), rows[0].GetId())
	}
	if back, ok := next.Call(ID{7, 20}); !ok || back.String() != get(t, s, 20).String() {
		t.Errorf("the last call came back as %v", back)
	}
	if logs.Len() != 0 || w.Lost() != 0 {
		t.Errorf("%d were lost, and the log says %v", w.Lost(), logs.All())
	}
}

// Ids of an earlier process stay apart from those of this one.
func TestCallsOfAnEarlierSessionKeepTheirIDs(t *testing.T) {
	s := newTestStore(t, small())
	var logs *observer.ObservedLogs
	o := sessionOptions(t)
	o, logs = logged(o)
	write(t, o.Path(), `{"id":"6-1","path":"/old"}`+"\n"+`{"id":"7-1","path":"/clash"}`+"\n")
	if n := s.LoadSession(o); n != 1 || logs.FilterMessageSnippet("missing").Len() != 1 {
		t.Errorf("%d calls were read, log %v", n, logs.All())
	}
	play(s, 1, 1, 1)
	if c := get(t, s, 1); c.GetPath() != "/a.B/C" {
		t.Errorf("7-1 is %s", c.GetPath())
	}
	if c, ok := s.Call(ID{6, 1}); !ok || c.GetPath() != "/old" {
		t.Errorf("6-1 is %s", c.GetPath())
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSessionFilesRotateBySizeAndCount(t *testing.T) {
	o := sessionOptions(t)
	o.Size = 10_000
	s := newTestStore(t, small())
	w := s.OpenSession(o)
	play(s, 1, 90, 500)
	w.Close()
	files, err := filepath.Glob(filepath.Join(o.Dir, "work.*"))
	if err != nil || len(files) != o.Files {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.Size() > o.Size || info.Size() < o.Size/2 && name != o.Path() || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes, mode %v", name, info.Size(), info.Mode())
		}
	}
	next := newTestStore(t, Options{Generation: 8, Calls: 100, Bytes: 8 << 20})
	n := next.LoadSession(o)
	rows := next.Summaries(0)
	if n != len(rows) || n < 10 || rows[n-1].GetId() != "7-90" || rows[0].GetId() != fmt.Sprintf("7-%d", 91-n) {
		t.Errorf("%d calls came back, %s to %s", n, rows[0].GetId(), rows[n-1].GetId())
	}
	if w.Lost() != 0 {
		t.Errorf("%d were lost", w.Lost())
	}
}

func TestBrokenLinesAreSaidAndTheRestIsRead(t *testing.T) {
	good := func(i int) string { return fmt.Sprintf(`{"id":"5-%d","path":"/p"}`, i) }
	for _, tt := range []struct {
		name, text string
		read       int
		said       string
	}{
		{"half a line at the end", good(1) + "\n" + good(2)[:15], 1, "1 lines passed over; the first: line 2"},
		{"whole line without its end", good(1) + "\n" + good(2), 2, ""},
		{"garbage between", good(1) + "\n\x00\xff{{{\n" + good(2) + "\n", 2, "line 2"},
		{"a call without an id", "{}\n" + good(2) + "\n", 1, "line 1"},
		{"fields of a later version", `{"id":"5-1","later":[1]}` + "\n", 1, ""},
		{"blank lines", "\n\n" + good(1) + "\n\n", 1, ""},
		{"nothing", "", 0, ""},
		{"a line of 100 MB", good(1) + "\n" + strings.Repeat("x", 100<<20) + "\n" + good(2) + "\n", 2, "line 2: it has more than"},
		{"a line of 100 MB without its end", good(1) + "\n" + strings.Repeat("x", 100<<20), 1, "line 2: it has more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, logs := logged(sessionOptions(t))
			write(t, o.Path(), tt.text)
			s := newTestStore(t, small())
			if n := s.LoadSession(o); n != tt.read || len(s.Summaries(0)) != n {
				t.Errorf("%d calls were read, %d are there, want %d", n, len(s.Summaries(0)), tt.read)
			}
			said := fmt.Sprint(logs.All())
			if logs.Len() > 1 || (logs.Len() == 0) != (tt.said == "") || !strings.Contains(said, tt.said) {
				t.Errorf("the log says %s", said)
			}
		})
	}
}

// What was cut off by a crash costs no line that comes after it.
func TestSessionGoesOnAfterAHalfWrittenLine(t *testing.T) {
	o := sessionOptions(t)
	write(t, o.Path(), `{"id":"5-1"}`+"\n"+`{"id":"5-2","pa`)
	s := newTestStore(t, small())
	w := s.OpenSession(o)
	play(s, 1, 1, 5)
	w.Close()
	if n := newTestStore(t, Options{Generation: 8, Calls: 9, Bytes: 1 << 20}).LoadSession(o); n != 2 {
		t.Errorf("%d calls can be read, want 2", n)
	}
}

// A disk that is full is said once, and so is its recovery; calls go on.
func TestFullDiskIsSaidOnceAndRecovered(t *testing.T) {
	for _, tt := range []struct {
		name        string
		breakIt     func(o SessionOptions) error
		mend        func(o SessionOptions) error
		unwrittenIs string
	}{
		{"full disk", func(o SessionOptions) error {
			if err := os.MkdirAll(o.Dir, 0o700); err != nil {
				return fmt.Errorf("make it: %w", err)
			}
			return os.Symlink("/dev/full", o.Path())
		}, func(o SessionOptions) error { return os.Remove(o.Path()) }, "no space left"},
		{"a file where the folder should be", func(o SessionOptions) error {
			return os.WriteFile(filepath.Dir(o.Dir), nil, 0o600)
		}, func(o SessionOptions) error { return os.Remove(filepath.Dir(o.Dir)) }, "make the folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, logs := logged(sessionOptions(t))
				if err := tt.breakIt(o); err != nil {
					t.Fatal(err)
				}
				s := newTestStore(t, small())
				if n := s.LoadSession(o); n != 0 {
					t.Errorf("%d calls came from nowhere", n)
				}
				logs.TakeAll()
				w := s.OpenSession(o)
				for i := range uint64(5) {
					play(s, i*10+1, i*10+10, 900)
					waitSession(t, w, (i+1)*10)
				}
				if logs.Len() != 1 || !strings.Contains(fmt.Sprint(logs.All()), tt.unwrittenIs) {
					t.Errorf("the log says %v", logs.All())
				}
				if err := tt.mend(o); err != nil {
					t.Fatal(err)
				}
				play(s, 61, 65, 900)
				w.Close()
				if all := logs.All(); len(all) != 2 || !strings.Contains(all[1].Message, "again") {
					t.Errorf("the log says %v", all)
				}
				if got := lines(t, o.Path()); len(got) != 5 || s.Stats().Session != 50 || s.Stats().Kept != 55 {
					t.Errorf("%d lines, %+v", len(got), s.Stats())
				}
			})
		})
	}
}

// waitSession waits until so many calls count as lost.
func waitSession(t *testing.T, w *Session, lost uint64) {
	t.Helper()
	for i := 0; w.Lost() < lost; i++ {
		if i > 500 {
			t.Fatalf("%d calls count as lost, want %d", w.Lost(), lost)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestDeviceIsNotReadAsASession(t *testing.T) {
	o, logs := logged(sessionOptions(t))
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", o.Path()); err != nil {
		t.Fatal(err)
	}
	if n := newTestStore(t, small()).LoadSession(o); n != 0 || logs.Len() != 1 {
		t.Errorf("%d calls, log %v", n, logs.All())
	}
}

// A call too large for a line loses bodies, not itself.
func TestHugeCallIsWrittenSoThatItCanBeReadBack(t *testing.T) {
	o := sessionOptions(t)
	o.Size = 64 << 20
	s := newTestStore(t, Options{Generation: 7, Calls: 9, Bytes: 64 << 20, MessageBytes: 1 << 20})
	w := s.OpenSession(o)
	f := routed(s, 1, "all")
	for range 20 {
		send(f, callevent.Down, make([]byte, 1<<20))
	}
	end(f)
	w.Close()
	next := newTestStore(t, Options{Generation: 8, Calls: 9, Bytes: 64 << 20})
	if n := next.LoadSession(o); n != 1 {
		t.Fatalf("%d calls came back", n)
	}
	c, _ := next.Call(ID{7, 1})
	for i, m := range c.GetMessages() {
		if (len(m.GetData()) == 1<<20) != (i < 8) || (m.GetWithheld() == "") != (i < 8) {
			t.Errorf("message %d has %d bytes, withheld %q", i, len(m.GetData()), m.GetWithheld())
		}
	}
	if len(get(t, s, 1).GetMessages()[19].GetData()) != 1<<20 {
		t.Error("the record itself lost a message")
	}
}

// A message that is redacted in the background is in the file redacted.
func TestSessionWaitsForRedaction(t *testing.T) {
	o := sessionOptions(t)
	hold := make(chan struct{})
	s := newTestStore(t, redacting(card{hold}))
	w := s.OpenSession(o)
	f := routed(s, 1, "all")
	send(f, callevent.Up, []byte(strings.Repeat("x", 5000)+hidden))
	end(f)
	close(hold)
	settle(s)
	w.Close()
	got := lines(t, o.Path())
	var c loomv1.Call
	if err := protojson.Unmarshal([]byte(got[0]), &c); err != nil || len(got) != 1 {
		t.Fatalf("%d lines, %v", len(got), err)
	}
	if m := c.GetMessages()[0]; !m.GetRedacted() || !strings.HasSuffix(string(m.GetData()), "[redacted]") {
		t.Errorf("the message in the file is withheld: %q", m.GetWithheld())
	}
}

func FuzzLoadLines(f *testing.F) {
	for _, seed := range []string{"", "\n", `{"id":"5-1"}` + "\n" + `{"id":"5-2","messages":[{"data":"AAAA"}]}`, "{", "\x00\n{}", `{"id":"7-1"}`,
		`{"id":"5-1","start":"0001-01-01T00:00:00Z","timings":{"end":"-1s"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := newTestStore(t, Options{Generation: 7, Calls: 5, Bytes: 64 << 10})
		n, err := s.loadLines(bufio.NewReader(bytes.NewReader(text)))
		rows := s.Summaries(0)
		if len(rows) > n || n > 0 && len(rows) == 0 || n == 0 && err == nil && len(bytes.Trim(text, "\n")) > 0 {
			t.Fatalf("%d read, %d there, %v", n, len(rows), err)
		}
		for c := range s.Calls {
			if err := marshals(c); err != nil {
				t.Fatalf("a call that was read cannot be shown: %v", err)
			}
		}
		if err := audit(s); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzObserve plays what a broken relay might report.
func FuzzObserve(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0}, uint8(0))
	f.Add([]byte("\x00\x04\x00\x40\xff\xff\x04\xff\x00\x00\x05\x01"), uint8(1))
	f.Fuzz(func(t *testing.T, script []byte, mode uint8) {
		s := newTestStore(t, Options{Generation: 7, Calls: 3, Bytes: 40 << 10, MessageBytes: 4000, Mode: Mode(mode % 3),
			RouteModes: map[string]Mode{"off": Off, "full": Full}})
		sub := subscribe(t, s, 0)
		defer sub.Close()
		follower := s.Begin(callevent.Call{ID: 1, At: began, Fields: trailer})
		for ; follower != nil && len(script) >= 4; script = script[4:] {
			size := uint32(script[2]) << (script[3] % 32)
			tell(follower, script, size)
			s.Summaries(0)
		}
		if follower != nil {
			end(follower)
		}
		for c := range s.Calls {
			if err := marshals(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := audit(s); err != nil {
			t.Fatal(err)
		}
	})
}

// tell tells what the first bytes of a script say.
func tell(f callevent.Follower, script []byte, size uint32) {
	at, fields := began.Add(-1), trailer[:script[1]&1]
	switch script[0] % 6 {
	case 0:
		f.Routed(at, []string{"off", "full", "other"}[script[2]%3], "")
	case 1:
		f.Attempted(at, "", "")
	case 2:
		f.Interim(at, fields)
	case 3:
		f.Headers(at, fields)
	case 4:
		f.Piece(at, callevent.Piece{Direction: callevent.Direction(script[1] & 1), First: script[1]&2 != 0, Last: script[1]&4 != 0,
			Compressed: script[1]&8 != 0, Size: size, Data: script[:min(len(script), int(script[3]))]})
	default:
		f.Trailers(at, fields)
	}
}
