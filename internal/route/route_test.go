package route

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// to makes a rule that forwards to one backend of the same name.
func to(name string, m Match) Rule {
	return Rule{Name: name, Match: m, Backends: []Weighted{{Name: name, Weight: 1}}}
}

func mustCompile(tb testing.TB, rules ...Rule) *Table {
	tb.Helper()
	table, err := Compile(rules)
	if err != nil {
		tb.Fatalf("compile: %v", err)
	}
	return table
}

// found is the name of the route that a call gets, or "none".
func found(table *Table, path, authority string, fields ...hpack.HeaderField) string {
	if r := table.Find(path, authority, fields); r != nil {
		return r.Rule.Name
	}
	return "none"
}

func TestFirstMatchWins(t *testing.T) {
	table := mustCompile(t,
		to("regex", Match{PathRegex: `^/acme\.admin\.`}),
		to("path", Match{Service: "acme.Users", Method: "Get"}),
		to("gold", Match{Metadata: []MetadataMatch{{Name: "x-tier", Value: new("gold")}}}),
		to("service", Match{Service: "acme.Users"}),
		to("path again", Match{Service: "acme.Users", Method: "Get"}),
		to("method", Match{Method: "Get"}),
		to("host", Match{Authority: "acme.test"}),
		to("glob", Match{Authority: "*.acme.test"}),
		to("late", Match{Service: "acme.Late", Method: "Get", Authority: "acme.test"}),
	)
	gold := hpack.HeaderField{Name: "x-tier", Value: "gold"}
	for _, tc := range []struct {
		path, authority string
		fields          []hpack.HeaderField
		want            string
	}{
		{"/acme.admin.Users/Get", "", nil, "regex"},
		{"/acme.Users/Get", "", nil, "path"},
		{"/acme.Users/Get", "", []hpack.HeaderField{gold}, "path"},
		{"/acme.Users/List", "", []hpack.HeaderField{gold}, "gold"},
		{"/acme.Users/List", "acme.test", nil, "service"},
		{"/acme.Other/Get", "acme.test", nil, "method"},
		{"/acme.Late/Get", "acme.test", nil, "method"},
		{"/acme.Other/List", "acme.test", nil, "host"},
		{"/acme.Other/List", "a.acme.test:80", nil, "glob"},
		{"/acme.Other/List", "b.test", nil, "none"},
	} {
		if got := found(table, tc.path, tc.authority, tc.fields...); got != tc.want {
			t.Errorf("%s at %q with %v goes to %q, want %q", tc.path, tc.authority, tc.fields, got, tc.want)
		}
	}
}

func TestPaths(t *testing.T) {
	table := mustCompile(t,
		to("path", Match{Service: "s", Method: "m"}),
		to("deep", Match{PathRegex: "^/a/s/"}),
		to("service", Match{Service: "s"}),
		to("method", Match{Method: "m"}),
		to("slashless", Match{PathRegex: "^[^/]+/m$"}),
	)
	for path, want := range map[string]string{
		"/s/m": "path", "/s/": "service", "/s/M": "service", "/S/m": "method",
		"//m": "method", "/a/s/m": "deep", "/b/s/m": "method",
		"": "none", "/": "none", "//": "none", "s": "none", "/s": "none", "*": "none",
		"s/m": "slashless", "/s/m/": "none", "/s//m": "method", "/s/m?x=1": "service",
	} {
		if got := found(table, path, "h"); got != want {
			t.Errorf("%q goes to %q, want %q", path, got, want)
		}
	}
}

func TestAuthorities(t *testing.T) {
	for _, tc := range []struct{ pattern, yes, no string }{
		{"acme.test", "acme.test ACME.Test acme.test:443 acme.test. acme.test.:443 acme.test:", "a.acme.test acme.tes :443 acme.test.."},
		{"Acme.Test", "acme.test ACME.TEST:1", "acme.test.evil"},
		{"acme.test.", "acme.test acme.test.", "acme"},
		{"acme.test:443", "acme.test:443 ACME.test:443", "acme.test acme.test:44 acme.test:4430 b.test:443"},
		{"acme.test:*", "acme.test:443", "acme.test acme.test:"},
		{"acme.test:80*", "acme.test:80 acme.test:8080", "acme.test:90 acme.test"},
		{"*.acme.test", "a.acme.test A.B.ACME.TEST:80 .acme.test", "acme.test a.acme.test.evil aacme.test"},
		{"api-*.acme.*", "api-1.acme.test api-.acme.x", "api.acme.test"},
		{"*a*b*", "ab xaxbx AB", "ba"},
		{"*", "a.test a.test:80 [::1]:80 ::1", ""},
		{"*:443", "a.test:443 [::1]:443", "a.test [::1]:80"},
		{"::1", "[::1] [::1]:443 ::1", "[::2] ::11"},
		{"[::1]", "[::1] [::1]:443 ::1", "[::2]"},
		{"[FE80::a]:443", "[fe80::A]:443", "[fe80::a] [fe80::a]:80 fe80::a:443"},
		{"[fe80::*]", "[fe80::1]:80 fe80::2", "[fe81::1]"},
		{"127.0.0.1", "127.0.0.1 127.0.0.1:9999", "127.0.0.10"},
		{strings.Repeat("a", maxHost), strings.Repeat("A", maxHost) + ":1", strings.Repeat("a", maxHost+1)},
		{"a*", strings.Repeat("a", maxHost), strings.Repeat("a", maxHost+1)},
	} {
		table := mustCompile(t, to("yes", Match{Authority: tc.pattern}))
		for authority := range strings.FieldsSeq(tc.yes) {
			if found(table, "/s/m", authority) != "yes" {
				t.Errorf("%q does not match %q", tc.pattern, authority)
			}
		}
		for authority := range strings.FieldsSeq(tc.no) {
			if found(table, "/s/m", authority) != "none" {
				t.Errorf("%q matches %q", tc.pattern, authority)
			}
		}
	}
	if found(mustCompile(t, to("any", Match{Authority: "*"})), "/s/m", "") != "any" {
		t.Error("* does not match an empty authority")
	}
	if found(mustCompile(t, to("a", Match{Authority: "a"})), "/s/m", "") != "none" {
		t.Error("a matches an empty authority")
	}
}

func TestMetadata(t *testing.T) {
	table := mustCompile(t,
		to("both", Match{Metadata: []MetadataMatch{{Name: "X-Tier", Regex: "^(gold|silver)$"}, {Name: "x-debug", Present: true}}}),
		to("empty", Match{Metadata: []MetadataMatch{{Name: "x-empty", Value: new("")}}}),
		to("bin", Match{Metadata: []MetadataMatch{{Name: "x-id-bin", Value: new("AAEC")}}}),
	)
	field := func(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }
	for _, tc := range []struct {
		want   string
		fields []hpack.HeaderField
	}{
		{"none", nil},
		{"none", []hpack.HeaderField{field("x-tier", "gold")}},
		{"none", []hpack.HeaderField{field("x-tier", "golden"), field("x-debug", "1")}},
		{"both", []hpack.HeaderField{field("x-debug", ""), field("x-tier", "lead"), field("x-tier", "silver")}},
		{"empty", []hpack.HeaderField{field("x-empty", "a"), field("x-empty", "")}},
		{"none", []hpack.HeaderField{field("x-empty", "a")}},
		{"bin", []hpack.HeaderField{field("x-id-bin", "AAEC")}},
		{"none", []hpack.HeaderField{field("x-id-bin", "\x00\x01\x02")}},
	} {
		if got := found(table, "/s/m", "h", tc.fields...); got != tc.want {
			t.Errorf("%v goes to %q, want %q", tc.fields, got, tc.want)
		}
	}
}

func TestPickFollowsTheWeights(t *testing.T) {
	rule := to("w", Match{})
	rule.Backends = []Weighted{{"none", 0}, {"most", 95}, {"zero", 0}, {"few", 5}, {"last", 0}}
	r := mustCompile(t, rule).Find("/s/m", "", nil)
	random := rand.New(rand.NewPCG(1, 2))
	const picks = 100_000
	counts := make([]int, len(rule.Backends))
	for range picks {
		counts[r.Pick(random.Uint64())]++
	}
	if counts[0]+counts[2]+counts[4] != 0 {
		t.Errorf("backends of weight zero were picked: %v", counts)
	}
	if share := float64(counts[3]) / picks; math.Abs(share-0.05) > 0.005 {
		t.Errorf("the backend of 5 in 100 got %.4f of the calls", share)
	}
	if first, last := r.Pick(0), r.Pick(math.MaxUint64); first != 1 || last != 3 {
		t.Errorf("the ends of the range pick %d and %d, want 1 and 3", first, last)
	}
	deny := mustCompile(t, Rule{Deny: 7}).Find("/s/m", "", nil)
	if deny == nil || deny.Pick(1) != -1 {
		t.Error("a deny route must match and pick nothing")
	}
}

func TestCompileRefuses(t *testing.T) {
	for want, rule := range map[string]Rule{
		"a route needs a backend or deny":        {},
		"not both":                               {Deny: 7, Backends: []Weighted{{"b", 1}}},
		"deny: 17 is no gRPC status code":        {Deny: 17},
		"sum to zero":                            {Backends: []Weighted{{"b", 0}}},
		"the weight -1 is not":                   {Backends: []Weighted{{"b", -1}}},
		`service "a/b" has a slash`:              to("", Match{Service: "a/b"}),
		`method "/b" has a slash`:                to("", Match{Method: "/b"}),
		"path_regex: error parsing":              to("", Match{PathRegex: "("}),
		"the only wildcard is *":                 to("", Match{Authority: "a?.test"}),
		"has no host; write *:80":                to("", Match{Authority: ":80"}),
		"has no port after the colon":            to("", Match{Authority: "a:"}),
		"no port after":                          to("", Match{Authority: "[::1]:"}),
		`the port "http" is not a number`:        to("", Match{Authority: "a:http"}),
		"at most five digits":                    to("", Match{Authority: "a:123456"}),
		"brackets go around":                     to("", Match{Authority: "[::1"}),
		"has a host of 256 bytes":                to("", Match{Authority: strings.Repeat("a", 256)}),
		"exactly one of value":                   to("", Match{Metadata: []MetadataMatch{{Name: "a"}}}),
		"metadata a: give exactly one":           to("", Match{Metadata: []MetadataMatch{{Name: "A", Present: true, Regex: "b"}}}),
		"metadata a: regex: error parsing":       to("", Match{Metadata: []MetadataMatch{{Name: "a", Regex: "["}}}),
		"empty name":                             to("", Match{Metadata: []MetadataMatch{{Present: true}}}),
		`metadata name ":path"`:                  to("", Match{Metadata: []MetadataMatch{{Name: ":path", Present: true}}}),
		"te belongs to the protocol":             {Deny: 7, Request: Edit{Remove: []string{"TE"}}},
		"content-type belongs to the protocol":   {Deny: 7, Response: Edit{Set: []Field{{"content-type", "a"}}}},
		"a control character at byte 2":          {Deny: 7, Request: Edit{Set: []Field{{"a", "b\n"}}}},
		`route 2 ("second"): a route needs a ba`: {Name: "second"},
		"1 attempts are not between 2 and 100":   {Deny: 7, Retry: &Retry{Attempts: 1, Initial: 1, Max: 1}},
		"the waits from 2ns to 1ns":              {Deny: 7, Retry: &Retry{Attempts: 2, Initial: 2, Max: 1}},
		"the waits from 0s to 1ns":               {Deny: 7, Retry: &Retry{Attempts: 2, Max: 1}},
		"a budget of -1 percent":                 {Deny: 7, Retry: &Retry{Attempts: 2, Initial: 1, Max: 1, BudgetPercent: -1}},
		"0 is no gRPC status code of a failure":  {Deny: 7, Retry: &Retry{Attempts: 2, Initial: 1, Max: 1, On: []uint32{14, 0}}},
		"17 is no gRPC status code of a failure": {Deny: 7, Retry: &Retry{Attempts: 2, Initial: 1, Max: 1, On: []uint32{17}}},
		"mirror: 101 percent":                    {Deny: 7, Mirror: &Mirror{Percent: 101}},
		"mirror: NaN percent":                    {Deny: 7, Mirror: &Mirror{Percent: math.NaN()}},
		"a control character at byte 1":          {Deny: 7, Response: Edit{Append: []Field{{"a", "\n"}}}},
	} {
		_, err := Compile([]Rule{to("first", Match{}), rule})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("compiling %+v: got error %v, want %q", rule, err, want)
		}
	}
	_, err := Compile([]Rule{{Name: "a"}, {Name: "b", Deny: 99}})
	if err == nil || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("the mistakes of both rules must be told, got: %v", err)
	}
}

func TestTableSharesNothingWithTheRules(t *testing.T) {
	rules := []Rule{{
		Match:    Match{Metadata: []MetadataMatch{{Name: "X-A", Value: new("1")}}},
		Backends: []Weighted{{"b", 1}},
		Request:  Edit{Set: []Field{{"X-Via", "loom"}}, Append: []Field{{"X-Tag", "new"}}, Remove: []string{"X-Debug"}},
		Retry:    &Retry{Attempts: 2, On: []uint32{14}, Initial: 1, Max: 1},
		Mirror:   &Mirror{Backend: "m", Percent: 1},
	}}
	table := mustCompile(t, rules...)
	*rules[0].Match.Metadata[0].Value = "2"
	rules[0].Backends[0].Name = "c"
	rules[0].Request.Set[0].Value = "changed"
	rules[0].Request.Append[0].Value = "changed"
	rules[0].Retry.On[0] = 1
	rules[0].Mirror.Backend = "changed"
	r := table.Find("/s/m", "", []hpack.HeaderField{{Name: "x-a", Value: "1"}})
	if r == nil {
		t.Fatal("the table changed with the rules it was compiled from")
	}
	got := fmt.Sprint(r.Rule.Backends, r.Rule.Request, r.Rule.Retry.On, *r.Rule.Mirror)
	if want := "[{b 1}] {[{x-via loom}] [{x-tag new}] [x-debug]} [14] {m 1}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPickOther(t *testing.T) {
	r := mustCompile(t, Rule{Name: "r", Backends: []Weighted{
		{Name: "a", Weight: 1}, {Name: "none", Weight: 0}, {Name: "b", Weight: 2}, {Name: "c", Weight: 1},
	}}).Routes()[0]
	const steps = 300
	for _, tt := range []struct {
		skip []bool
		want map[int]int // how often each is picked, of steps
	}{
		{[]bool{false, false, false, false}, map[int]int{0: 75, 2: 150, 3: 75}},
		{[]bool{true, false, false, false}, map[int]int{2: 200, 3: 100}},
		{[]bool{true, false, true, false}, map[int]int{3: steps}},
		{[]bool{true, false, true, true}, map[int]int{-1: steps}},
		{[]bool{true, true, true, true}, map[int]int{-1: steps}},
	} {
		got := make(map[int]int)
		for i := range uint64(steps) {
			got[r.PickOther(i*(math.MaxUint64/steps)+1<<20, tt.skip)]++
		}
		if !maps.Equal(got, tt.want) {
			t.Errorf("skip %v: picks %v, want %v", tt.skip, got, tt.want)
		}
	}
}
