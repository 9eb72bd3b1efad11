package capture

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"

	"loom/internal/callevent"
)

func settingsOf(o Options) Settings {
	return Settings{Calls: o.Calls, Bytes: o.Bytes, MessageBytes: o.MessageBytes, Mode: o.Mode, RouteModes: o.RouteModes, Redact: o.Redact}
}

// A ring grows and shrinks while it is used: what has room stays, byte by byte.
func TestRingChangesSize(t *testing.T) {
	o := Options{Generation: 1, Calls: 100, Bytes: 256 << 10, MessageBytes: 1 << 20}
	s := newTestStore(t, o)
	id := uint64(0)
	add := func(n, size int) {
		for range n {
			id++
			f := routed(s, id, "all")
			send(f, callevent.Up, bytes.Repeat([]byte{7}, size))
			end(f)
		}
	}
	kept := func() int { return s.Stats().Kept }
	add(100, 10<<10)
	small := kept()
	if small == 0 || small > 25 {
		t.Fatalf("%d calls of 10 KiB are kept in 256 KiB", small)
	}
	big := settingsOf(o)
	big.Bytes = 4 << 20
	if err := s.Prepare(big); err != nil {
		t.Fatal(err)
	}
	if kept() != small {
		t.Error("preparing has changed the list")
	}
	s.Apply(big)
	add(75, 10<<10)
	if got := kept(); got != small+75 {
		t.Errorf("%d calls are kept in 4 MiB, want %d", got, small+75)
	}
	for n := range uint64(small + 75) {
		if c := get(t, s, id-n); len(c.GetMessages()) != 1 || !bytes.Equal(c.GetMessages()[0].GetData(), bytes.Repeat([]byte{7}, 10<<10)) {
			t.Fatalf("call %d is not what it was", id-n)
		}
	}
	less := big
	less.Calls, less.Bytes = 10, 128<<10
	s.Apply(less)
	if got, size := kept(), s.Stats().Bytes; got > 10 || size > less.Bytes {
		t.Errorf("%d calls and %d bytes are kept, want 10 and 128 KiB at most", got, size)
	}
	add(50, 10<<10)
	if size := s.Stats().Bytes; size > less.Bytes {
		t.Errorf("%d bytes are kept, want 128 KiB at most", size)
	}
	if err := s.Prepare(Settings{}); err == nil {
		t.Error("a ring without room was made ready")
	}
}

// Modes and names of metadata that must not be stored change for the calls that
// come. What an operator said of the mode holds until the configuration says
// something else of it.
func TestModesAndRedactionChange(t *testing.T) {
	o := small()
	s := newTestStore(t, o)
	fields := []hpack.HeaderField{{Name: "x-key", Value: "secret"}, {Name: ":path", Value: "/a.B/C"}}
	begin := func(id uint64) callevent.Follower {
		f := s.Begin(callevent.Call{ID: id, At: began, Path: "/a.B/C", Fields: fields}) // the very slice each time
		f.Routed(began, "all", "b")
		return f
	}
	end(begin(1))
	is := settingsOf(o)
	is.Redact = []string{"X-Key"}
	s.Apply(is)
	end(begin(2))
	for id, hidden := range map[uint64]bool{1: false, 2: true} {
		if got := get(t, s, id).GetRequestHeaders()[0].GetRedacted(); got != hidden {
			t.Errorf("call %d: hidden %v, want %v", id, got, hidden)
		}
	}
	s.SetMode(Metadata)
	is.MessageBytes = 10
	s.Apply(is)
	if got := s.Mode(); got != Metadata {
		t.Errorf("the mode is %v, want what the operator said", got)
	}
	is.RouteModes = map[string]Mode{"all": Off}
	s.Apply(is)
	if s.Mode() != Full || s.modeOf("all") != Off {
		t.Errorf("the modes are %v and %v, want those of the configuration", s.Mode(), s.modeOf("all"))
	}
}
