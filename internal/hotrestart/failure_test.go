//go:build linux

package hotrestart

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loom/internal/loomtest"
)

// brief are limits that a test can wait for. That which a test is about is
// shorter still.
func brief(change func(*limits)) Options {
	l := defaultLimits()
	change(&l)
	return Options{limits: &l}
}

// short is a limit that is to be run into.
const short = 200 * time.Millisecond

// scratch is a file for the stderr of successors that fail.
func scratch(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func contents(t *testing.T, f *os.File) string {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// failures are the ways in which a successor comes to nothing, each with the
// step that says so and words of the reason.
var failures = []struct {
	name   string
	role   string
	change func(*limits)
	step   Step // empty: it depends on the machine
	says   string
}{
	{"ends before it greets", "ends at once", nil, StepGreet, "the successor ended: loom.yaml:3:5: no such key"},
	{"hangs before it greets", "never asks", func(l *limits) { l.greet = short }, StepGreet, "the successor said nothing within 200ms"},
	{"chooses a version of its own", "speaks later", nil, StepGreet, "the successor chose version 7"},
	{"speaks out of turn", "speaks babble", nil, StepGreet, "sent SERVING instead of WELCOME"},
	{"panics", "panics", nil, StepPrepare, "the successor ended: panic: the table is empty"},
	{"says why it cannot", "refuses", nil, StepPrepare, "prepare: listen on :80: permission denied"},
	{"is never ready", "never ready", func(l *limits) { l.ready = short }, StepPrepare, "was not ready within 200ms"},
	{"falls silent", "falls silent", func(l *limits) { l.silence = short }, StepPrepare, "gave no sign of life within 200ms"},
	{"never serves", "never serves", func(l *limits) { l.start = short }, StepStart, "did not begin to serve within 200ms"},
	{"ends when it may serve", "ends started", nil, StepStart, "the successor ended: out of memory, or nearly"},
	{"is never in time", "never ready", func(l *limits) { l.overall = 4 * time.Second }, "", "the handover did not end within 4s"},
}

// TestHandFails has every failure leave nothing behind, and the next handover
// succeed.
func TestHandFails(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			loomtest.CheckLeaks(t)
			listener, socket := listen(t, "tcp")
			change := f.change
			if change == nil {
				change = func(*limits) {}
			}
			offer := Offer{Generation: 2, Sockets: []Socket{socket}}
			options := brief(change)
			options.Stderr = scratch(t)
			before := countDescriptors(t)
			s, err := Hand(patient(t), successorCommand(t, f.role, "TAKE=tcp"), offer, options)
			if s != nil {
				t.Error("there is a successor")
			}
			failure, ok := errors.AsType[*Failure](err)
			if !ok || f.step != "" && failure.Step != f.step || !strings.Contains(err.Error(), f.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("failed with %q, want step %s and %q", err, f.step, f.says)
			}
			expectDescriptors(t, before)
			if written := contents(t, options.Stderr); written != failure.Output {
				t.Errorf("its stderr was copied as %q, and kept as %q", written, failure.Output)
			}
			s, err = Hand(patient(t), successorCommand(t, "serve", "TAKE=tcp"), offer, Options{})
			if err != nil {
				t.Fatalf("the next one: %v", err)
			}
			defer closeSuccessor(s)
			if text := ask(t, listener.Addr()); text != "generation 2" {
				t.Errorf("the successor answers %q", text)
			}
		})
	}
}

func TestTwentyFailuresThenSuccess(t *testing.T) {
	loomtest.CheckLeaks(t)
	listener, socket := listen(t, "tcp")
	stderr := scratch(t)
	before := countDescriptors(t)
	offer := Offer{Generation: 2, Sockets: []Socket{socket}, Sections: []Section{
		{Name: "large", Save: func() ([]byte, error) { return make([]byte, 1<<20), nil }},
	}}
	for i := range 20 {
		f := failures[i%len(failures)]
		change := f.change
		if change == nil {
			change = func(*limits) {}
		}
		options := brief(change)
		options.Stderr = stderr
		if _, err := Hand(patient(t), successorCommand(t, f.role, "TAKE=tcp"), offer, options); err == nil {
			t.Fatalf("%s: no error", f.name)
		}
	}
	expectDescriptors(t, before)
	s, err := Hand(patient(t), successorCommand(t, "serve", "TAKE=tcp", "SECTIONS=large"), offer, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if text := ask(t, listener.Addr()); text != "generation 2 large 0 1048576" {
		t.Errorf("the successor answers %q", text)
	}
	closeSuccessor(s)
	expectDescriptors(t, before)
}

func TestHandGivesUp(t *testing.T) {
	loomtest.CheckLeaks(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	o := Options{Progress: func(step Step, what string) {
		if step == StepPrepare && what != "" {
			cancel(errors.New("loomd was told to stop"))
		}
	}}
	_, err := Hand(ctx, successorCommand(t, "never ready"), Offer{Generation: 2}, o)
	if err == nil || !strings.Contains(err.Error(), "prepare: loomd was told to stop") {
		t.Errorf("failed with %v", err)
	}
}

func TestHandRefusesBadOffers(t *testing.T) {
	_, one := listen(t, "tcp")
	nothing := func() ([]byte, error) { return nil, nil }
	for says, o := range map[string]Offer{
		"two sockets have the key":  {Sockets: []Socket{one, one}},
		"the key of a socket has 0": {Sockets: []Socket{{Conn: one.Conn}}},
		"two sections have the":     {Sections: []Section{{Name: "a", Save: nothing}, {Name: "a", Save: nothing}}},
		"has a name of 201 bytes":   {Sections: []Section{{Name: strings.Repeat("a", 201), Save: nothing}}},
	} {
		if _, err := Hand(t.Context(), successorCommand(t, "serve"), o, Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("failed with %v, want %q", err, says)
		}
	}
}

// TestSaveThatHangs leaves out the sections for which there is no time.
func TestSaveThatHangs(t *testing.T) {
	loomtest.CheckLeaks(t)
	hang := make(chan struct{})
	defer close(hang)
	listener, socket := listen(t, "tcp")
	s, err := Hand(patient(t), successorCommand(t, "serve", "TAKE=tcp", "SECTIONS=first hangs last"), Offer{
		Generation: 2, Sockets: []Socket{socket}, Sections: []Section{
			{Name: "first", Save: func() ([]byte, error) { return []byte("1"), nil }},
			{Name: "hangs", Save: func() ([]byte, error) { <-hang; return nil, nil }},
			{Name: "last", Save: func() ([]byte, error) { return []byte("2"), nil }},
		},
	}, brief(func(l *limits) { l.state = short }))
	if err != nil {
		t.Fatal(err)
	}
	defer closeSuccessor(s)
	if text := ask(t, listener.Addr()); text != "generation 2 first 0 1" {
		t.Errorf("the successor answers %q", text)
	}
	if w := strings.Join(s.Warnings(), "\n"); len(s.Warnings()) != 2 || !strings.Contains(w, "section hangs does not cross: it was not saved within 200ms") {
		t.Errorf("warnings %q", w)
	}
}

// TestCheck asks the program first, and starts nothing when it says no.
func TestCheck(t *testing.T) {
	loomtest.CheckLeaks(t)
	script := filepath.Join(t.TempDir(), "program")
	for _, c := range []struct {
		name, text, says string
	}{
		{"refuses", "echo 'loom.yaml:3:5: no such key' >&2; echo '    more' ; exit 5", "check: SCRIPT -check: exit status 5: loom.yaml:3:5: no such key"},
		{"hangs", "sleep 60", "check: SCRIPT -check: the check did not end within 200ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			writeScript(t, script, c.text)
			command := successorCommand(t, "serve")
			command.Args, command.Check = []string{script}, []string{"-check"}
			_, err := Hand(patient(t), command, Offer{Generation: 2}, brief(func(l *limits) { l.check = short }))
			if want := strings.Replace(c.says, "SCRIPT", script, 1); err == nil || err.Error() != want {
				t.Errorf("failed with %v, want %s", err, want)
			}
		})
	}
}

func writeScript(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}
