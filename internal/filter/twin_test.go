package filter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // a machine may have none

	loomv1 "loom/api/loom/v1"
)

// twinInput is what testdata/twin.mjs reads.
type twinInput struct {
	Rows    []row    `json:"rows"`
	Filters []string `json:"filters"`
	Measure bool     `json:"measure,omitempty"`
	Edits   []edit   `json:"edits,omitempty"`
	Zone    string   `json:"-"` // of the process; "": UTC
}

type edit struct {
	Text    string `json:"text"`
	Key     string `json:"key"`
	Value   string `json:"value"`
	Exclude bool   `json:"exclude"`
}

// verdict is what becomes of a filter.
type verdict struct {
	Text  string `json:"text"`
	Needs struct {
		Metadata bool `json:"metadata"`
		Body     bool `json:"body"`
	} `json:"needs"`
	Rows  string `json:"rows"`
	Error *struct {
		Offset  int    `json:"offset"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	} `json:"error"`
}

// twin runs the JavaScript in one node process.
func twin(t *testing.T, in twinInput, out any) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is not installed: install Node.js 20 or later (Debian: apt-get install nodejs), which runs the page's half of filters")
	}
	// Copied to where a package.json says that they are modules, which those
	// of the page do not need to know.
	folder := t.TempDir()
	sources, err := filepath.Glob("../inspector/static/js/filter*.js")
	if err != nil {
		t.Fatal(err)
	}
	sources = append(sources, "../inspector/static/js/codes.js", "testdata/twin.mjs")
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, filepath.Base(source)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), node, filepath.Join(folder, "twin.mjs"))
	command.Env = append(os.Environ(), "TZ="+cmp.Or(in.Zone, "UTC"))
	command.Stdin = bytes.NewReader(input)
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(output, out); err != nil {
		t.Fatalf("node answers %.200q: %v", output, err)
	}
}

type verdicts struct {
	Keys    []string  `json:"keys"`
	Filters []verdict `json:"filters"`
}

func TestTwinAgreesWithCorpus(t *testing.T) {
	c := readCorpus(t)
	in := twinInput{Rows: c.Rows}
	for _, want := range c.Matches {
		in.Filters = append(in.Filters, want.Filter)
	}
	for _, want := range c.Errors {
		in.Filters = append(in.Filters, want.Filter)
	}
	var got verdicts
	twin(t, in, &got)
	if !slices.Equal(got.Keys, keys) {
		t.Errorf("the page offers the keys %v, want %v", got.Keys, keys)
	}
	for i, want := range c.Matches {
		v := got.Filters[i]
		if v.Error != nil {
			t.Errorf("%q: %s", want.Filter, v.Error.Message)
			continue
		}
		names := []string{}
		for at, r := range c.Rows {
			if v.Rows[at] == '1' {
				names = append(names, r.Name)
			}
		}
		if !slices.Equal(names, want.Rows) || want.Text != nil && *want.Text != v.Text {
			t.Errorf("%q is %q and wants the rows %v, want %v", want.Filter, v.Text, names, want.Rows)
		}
	}
	for i, want := range c.Errors {
		v := got.Filters[len(c.Matches)+i]
		if v.Error == nil {
			t.Errorf("%q: no error, want %s", want.Filter, want.Message)
		} else if v.Error.Offset != want.Offset || v.Error.Message != want.Message || v.Error.Hint != want.Hint {
			t.Errorf("%q: %+v, want %d: %s (%s)", want.Filter, *v.Error, want.Offset, want.Message, want.Hint)
		}
	}
}

// What loomd and the page think of a filter must never differ: a page shows
// what loomd found, and the other way round.
func TestTwinAgreesWithParser(t *testing.T) {
	const filters, rows = 2000, 40
	g := newGenerator(20)
	zone, err := time.LoadLocation("Asia/Kolkata") // half past everywhere else
	if err != nil {
		t.Fatal(err)
	}
	in := twinInput{Zone: zone.String()}
	calls := make([]*loomv1.CallSummary, rows)
	for i := range rows {
		in.Rows = append(in.Rows, g.row(i))
		calls[i] = in.Rows[i].summary(t)
	}
	for range filters {
		in.Filters = append(in.Filters, g.filter())
	}
	var got verdicts
	twin(t, in, &got)
	wrong, judged, matched := 0, 0, 0
	for i, text := range in.Filters {
		want := describe(text, in.Rows, calls, zone)
		v := got.Filters[i]
		have := fmt.Sprintf("%q %v %s", v.Text, v.Needs, v.Rows)
		if v.Error != nil {
			have = fmt.Sprintf("%d: %s (%s)", v.Error.Offset, v.Error.Message, v.Error.Hint)
		} else {
			judged++
			matched += strings.Count(v.Rows, "1")
		}
		if have != want {
			t.Errorf("%q\n  Go %s\n  JS %s", text, want, have)
			if wrong++; wrong == 10 {
				t.Fatal("and so on")
			}
		}
	}
	// A generator of nonsense would agree with everything.
	if judged < filters/2 || judged == filters || matched < judged*rows/20 || matched > judged*rows*19/20 {
		t.Errorf("%d of %d filters parse, and match %d rows: too few or too many to show anything", judged, filters, matched)
	}
}

// describe says of a filter what have says of the twin's.
func describe(text string, rows []row, calls []*loomv1.CallSummary, zone *time.Location) string {
	f, err := Parse(text)
	if wrong, ok := errors.AsType[*SyntaxError](err); ok {
		return fmt.Sprintf("%d: %s (%s)", wrong.Offset, wrong.Message, wrong.Hint)
	}
	bits := make([]byte, len(rows))
	for i, r := range rows {
		bits[i] = '0'
		if f.Match(calls[i], r.extra(zone)) {
			bits[i] = '1'
		}
	}
	return fmt.Sprintf("%q %v %s", f, f.Needs(), bits)
}

// A click in the list changes the text so that it says what was clicked.
func TestTwinAddsTerms(t *testing.T) {
	cases := []struct {
		edit
		want string
	}{
		{edit{Text: "", Key: "route", Value: "a"}, "route:a"},
		{edit{Text: " x ", Key: "route", Value: "a b"}, `x route:"a b"`},
		{edit{Text: "x", Key: "route", Value: `a"*\`, Exclude: true}, `x -route:"a\"*\\"`},
		{edit{Text: "", Key: "", Value: "-x"}, `"-x"`},
		{edit{Text: "", Key: "route", Value: ""}, `route:""`},
		{edit{Text: "", Key: "peer", Value: "[::1]:5"}, "peer:[::1]:5"},
		{edit{Text: "route:a b", Key: "route", Value: "a"}, "route:a b"},
		{edit{Text: "route:a  b", Key: "route", Value: "a", Exclude: true}, "b -route:a"},
		{edit{Text: `b -route:"a"`, Key: "route", Value: "a"}, "b route:a"},
		{edit{Text: "-backend:a b", Key: "upstream", Value: "a"}, "b upstream:a"},
		{edit{Text: "status:14 b", Key: "status", Value: "UNAVAILABLE", Exclude: true}, "b -status:UNAVAILABLE"},
		{edit{Text: "a OR b", Key: "is", Value: "ok"}, "(a OR b) is:ok"},
		{edit{Text: "(route:a OR b)", Key: "route", Value: "a", Exclude: true}, "(route:a OR b) -route:a"},
		{edit{Text: "(", Key: "route", Value: "a"}, "( route:a"},
	}
	in := twinInput{}
	for _, c := range cases {
		in.Edits = append(in.Edits, c.edit)
	}
	var got []string
	twin(t, in, &got)
	for i, c := range cases {
		if got[i] != c.want {
			t.Errorf("%+v makes %q, want %q", c.edit, got[i], c.want)
		}
	}
}

// The page judges all its rows anew with each key that is typed.
func TestTwinIsQuick(t *testing.T) {
	const limit = 4 * time.Millisecond
	g := newGenerator(7)
	in := twinInput{Measure: true, Filters: []string{"status:UNAVAILABLE,INTERNAL,OK latency:>5ms -route:canary"}}
	for i := range 10_000 {
		in.Rows = append(in.Rows, g.row(i))
	}
	var got struct {
		Millis  float64 `json:"millis"`
		Matches int     `json:"matches"`
	}
	twin(t, in, &got)
	t.Logf("%q over %d rows: %.2f ms, %d match", in.Filters[0], len(in.Rows), got.Millis, got.Matches)
	if took := time.Duration(got.Millis * float64(time.Millisecond)); took > limit {
		t.Errorf("three terms over %d rows take %v, want at most %v", len(in.Rows), took, limit)
	}
}
