package filter

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
)

func TestTimesAreLocal(t *testing.T) {
	row := &loomv1.CallSummary{At: time.Date(2026, 1, 31, 23, 30, 0, 0, time.UTC).UnixMicro()}
	east := time.FixedZone("east", 3600)
	for text, want := range map[string]struct{ utc, east bool }{
		"time:23:30": {true, false}, "time:00:30": {false, true}, "time:2026-01-31": {true, false}, "time:2026-02-01T00:30": {false, true},
	} {
		f, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(row, Extra{Zone: time.UTC}); got != want.utc {
			t.Errorf("%s matches in UTC: %t", text, got)
		}
		if got := f.Match(row, Extra{Zone: east}); got != want.east {
			t.Errorf("%s matches an hour east of it: %t", text, got)
		}
	}
}

// A server that fetches messages for each filter would be slow, and one that
// never does would find nothing.
func TestNeeds(t *testing.T) {
	for text, want := range map[string]Needs{
		"":                            {},
		"body route:md.x is:error":    {},
		"a OR -(b body:x)":            {Body: true},
		"md.x-id:*":                   {Metadata: true},
		"MD.A:b BODY:c":               {Metadata: true, Body: true},
		`"body:x" route:"md.x-id:yy"`: {},
	} {
		if f, err := Parse(text); err != nil || f.Needs() != want {
			t.Errorf("%q: %v, error %v, want %+v", text, f, err, want)
		}
	}
}

// Decoding messages takes thousands of times as long as the rest.
func TestCheapTermsComeFirst(t *testing.T) {
	row := &loomv1.CallSummary{Path: "/a/b", State: loomv1.CallState_CALL_STATE_OPEN}
	for text, want := range map[string]string{
		"body:x is:error":                "",
		"body:x md.a:b":                  "md ",
		"body:x md.a:c":                  "md body ",
		"-(body:x OR md.a:b OR is:open)": "",
		"(body:x md.a:b) OR is:open":     "",
		"-body:x -is:open":               "",
		"body:x":                         "body ",
	} {
		f, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		asked := ""
		f.Match(row, Extra{
			Metadata: func(string) []string { asked += "md "; return []string{"c"} },
			Body:     func() string { asked += "body "; return "" },
		})
		if asked != want {
			t.Errorf("%q asks for %q, want %q", text, asked, want)
		}
	}
}

func TestSyntaxError(t *testing.T) {
	_, err := Parse("is:eror")
	if got, want := err.Error(), "there is no state eror (did you mean error?)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	_, err = Parse("-")
	if got, want := err.Error(), "a term is missing after -"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// JSON cannot hold this one.
	_, err = Parse("ab\xff")
	if wrong, ok := errors.AsType[*SyntaxError](err); !ok || wrong.Offset != 2 {
		t.Errorf("Parse finds %v in what is not UTF-8, want an error at 2", err)
	}
}

// Ten thousand calls are judged with each key that is typed.
func TestMatchDoesNotAllocate(t *testing.T) {
	row := &loomv1.CallSummary{
		Path: "/acme.users.v1.Users/" + strings.Repeat("Get", 60), Route: "users", Peer: "[::1]:5", At: 1, Took: 60_000,
		State: loomv1.CallState_CALL_STATE_ENDED, Code: proto.Uint32(14),
	}
	const text = "acme*users*get (nobody OR method:get* OR service:nobody) service:users peer:::1 status:UNAVAILABLE latency:>50ms is:error -route:canary time:>1960-01-01"
	f, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	x := Extra{Zone: time.UTC}
	matches := true
	if n := testing.AllocsPerRun(100, func() { matches = matches && f.Match(row, x) }); n != 0 || !matches {
		t.Errorf("%.0f allocations; matches: %t", n, matches)
	}
}

func BenchmarkMatch(b *testing.B) {
	g := newGenerator(7)
	rows := make([]*loomv1.CallSummary, 10_000)
	for i := range rows {
		rows[i] = g.row(i).summary(b)
	}
	f, err := Parse("status:UNAVAILABLE,INTERNAL,OK latency:>5ms -route:canary")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, row := range rows {
			f.Match(row, Extra{})
		}
	}
}

func FuzzParse(f *testing.F) {
	c := readCorpus(f)
	for _, seed := range c.Matches {
		f.Add(seed.Filter)
	}
	for _, seed := range c.Errors {
		f.Add(seed.Filter)
	}
	var calls []*loomv1.CallSummary
	for _, r := range c.Rows {
		calls = append(calls, r.summary(f))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if wrong, ok := errors.AsType[*SyntaxError](err); ok {
			if wrong.Offset < 0 || wrong.Offset > len(text) || wrong.Message == "" {
				t.Fatalf("%q: the error %v is at %d", text, wrong, wrong.Offset)
			}
			return
		}
		// The canonical spelling may be longer than a filter may be.
		if len(got.String()) > maxLength {
			return
		}
		again, err := Parse(got.String())
		if err != nil || again.String() != got.String() {
			t.Fatalf("%q is %q, which is %q, error %v", text, got, again, err)
		}
		for i, r := range c.Rows {
			if got.Match(calls[i], r.extra(time.UTC)) != again.Match(calls[i], r.extra(time.UTC)) {
				t.Fatalf("%q and %q do not agree on the row %s", text, got, r.Name)
			}
		}
	})
}
