package filter

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	loomv1 "loom/api/loom/v1"
)

// corpus is what testdata/corpus.json says of itself.
type corpus struct {
	Rows    []row `json:"rows"`
	Matches []struct {
		Filter string   `json:"filter"`
		Rows   []string `json:"rows"`
		Text   *string  `json:"text"`
	} `json:"matches"`
	Errors []struct {
		Filter  string `json:"filter"`
		Offset  int    `json:"offset"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	} `json:"errors"`
}

// row is a call with what else a filter may ask of it.
type row struct {
	Name     string              `json:"name"`
	Call     json.RawMessage     `json:"call"`
	Pinned   bool                `json:"pinned,omitempty"`
	Metadata map[string][]string `json:"metadata,omitempty"`
	Body     string              `json:"body,omitempty"`
}

func (r row) summary(t testing.TB) *loomv1.CallSummary {
	t.Helper()
	var s loomv1.CallSummary
	if err := protojson.Unmarshal(r.Call, &s); err != nil {
		t.Fatalf("row %s: %v", r.Name, err)
	}
	return &s
}

func (r row) extra(zone *time.Location) Extra {
	x := Extra{Pinned: r.Pinned, Zone: zone}
	if r.Metadata != nil {
		x.Metadata = func(name string) []string { return r.Metadata[name] }
	}
	if r.Body != "" {
		x.Body = func() string { return r.Body }
	}
	return x
}

func readCorpus(t testing.TB) corpus {
	t.Helper()
	text, err := os.ReadFile("testdata/corpus.json")
	if err != nil {
		t.Fatal(err)
	}
	var c corpus
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Matches) + len(c.Errors); n < 150 {
		t.Fatalf("the corpus has shrunk to %d cases", n)
	}
	return c
}

func TestCorpus(t *testing.T) {
	c := readCorpus(t)
	for _, want := range c.Matches {
		f, err := Parse(want.Filter)
		if err != nil {
			t.Errorf("Parse(%q): %v", want.Filter, err)
			continue
		}
		got := []string{}
		for _, r := range c.Rows {
			if f.Match(r.summary(t), r.extra(time.UTC)) {
				got = append(got, r.Name)
			}
		}
		if !slices.Equal(got, want.Rows) {
			t.Errorf("%q wants the rows %v, want %v", want.Filter, got, want.Rows)
		}
		if want.Text != nil && f.String() != *want.Text {
			t.Errorf("%q is %q, want %q", want.Filter, f, *want.Text)
		}
	}
	for _, want := range c.Errors {
		_, err := Parse(want.Filter)
		got, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("Parse(%q): %v, want an error", want.Filter, err)
		} else if got.Offset != want.Offset || got.Message != want.Message || got.Hint != want.Hint {
			t.Errorf("Parse(%q): %d: %s (%s), want %d: %s (%s)", want.Filter, got.Offset, got.Message, got.Hint, want.Offset, want.Message, want.Hint)
		}
	}
}
