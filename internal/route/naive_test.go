package route

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// naive finds the route as the documentation says it, rule after rule, with
// nothing prepared. It knows no IPv6 addresses, final dots and limits.
func naive(rules []Rule, path, authority string, fields []hpack.HeaderField) int {
	for i, rule := range rules {
		if naiveMatch(rule.Match, path, authority, fields) {
			return i
		}
	}
	return -1
}

func naiveMatch(m Match, path, authority string, fields []hpack.HeaderField) bool {
	parts := regexp.MustCompile(`(?s)^/(.*)/([^/]*)$`).FindStringSubmatch(path)
	if parts == nil {
		parts = []string{"", "\x00", "\x00"}
	}
	if m.Service != "" && m.Service != parts[1] || m.Method != "" && m.Method != parts[2] {
		return false
	}
	if m.Authority != "" {
		expr := strings.ReplaceAll(regexp.QuoteMeta(lowerString(m.Authority)), `\*`, `.*`)
		if !strings.Contains(m.Authority, ":") {
			expr += `(:[^:]*)?`
		}
		if !regexp.MustCompile(`(?s)^` + expr + `$`).MatchString(lowerString(authority)) {
			return false
		}
	}
	if m.PathRegex != "" && !regexp.MustCompile(m.PathRegex).MatchString(path) {
		return false
	}
	for _, want := range m.Metadata {
		hit := false
		for _, f := range fields {
			if !strings.EqualFold(f.Name, want.Name) {
				continue
			}
			hit = hit || want.Present || want.Value != nil && *want.Value == f.Value ||
				want.Regex != "" && regexp.MustCompile(want.Regex).MatchString(f.Value)
		}
		if !hit {
			return false
		}
	}
	return true
}

// Few words, so that rules overlap and calls hit them.
func words() (services, methods, authorities, expressions, hosts []string) {
	return []string{"", "", "a", "a.b", "b"}, []string{"", "", "Get", "List"},
		[]string{"", "", "x.test", "y.test", "*.test", "x.test:80", "*:80", "X.*:*"},
		[]string{"", "", "^/a", "Get$", "/b/L"},
		[]string{"", "x.test", "X.TEST", "y.test:80", "x.test:80", "z", "z.test:8"}
}

func pickOne(random *rand.Rand, list []string) string { return list[random.IntN(len(list))] }

func randomRules(random *rand.Rand) []Rule {
	services, methods, authorities, expressions, _ := words()
	conditions := []MetadataMatch{
		{Name: "k", Value: new("1")}, {Name: "K", Present: true}, {Name: "l", Regex: "^[12]$"},
	}
	rules := make([]Rule, random.IntN(20))
	for i := range rules {
		m := Match{
			Service: pickOne(random, services), Method: pickOne(random, methods),
			Authority: pickOne(random, authorities), PathRegex: pickOne(random, expressions),
		}
		for range random.IntN(3) {
			m.Metadata = append(m.Metadata, conditions[random.IntN(len(conditions))])
		}
		rules[i] = to("r", m)
	}
	return rules
}

func TestFindAgreesWithTheNaiveMatcher(t *testing.T) {
	services, methods, _, _, hosts := words()
	random := rand.New(rand.NewPCG(3, 4))
	hits := 0
	for range 150 {
		rules := randomRules(random)
		table := mustCompile(t, rules...)
		for range 40 {
			path := "/" + pickOne(random, services) + "/" + pickOne(random, methods)
			if random.IntN(8) == 0 {
				path = path[random.IntN(len(path)):]
			}
			authority := pickOne(random, hosts)
			var fields []hpack.HeaderField
			for range random.IntN(3) {
				fields = append(fields, hpack.HeaderField{
					Name: pickOne(random, []string{"k", "l"}), Value: pickOne(random, []string{"1", "2", "3"}),
				})
			}
			want, got := naive(rules, path, authority, fields), -1
			if r := table.Find(path, authority, fields); r != nil {
				got = r.Index
				hits++
			}
			if got != want {
				t.Fatalf("%q at %q with %v: got rule %d, want %d of %+v", path, authority, fields, got, want, rules)
			}
		}
	}
	if hits < 1000 {
		t.Errorf("only %d calls found a route: the test says too little", hits)
	}
}

func FuzzFind(f *testing.F) {
	for _, seed := range [][3]string{
		{"/a.b/Get", "x.test:80", "1"}, {"", "", ""}, {"/", "[", ""}, {"//", "[::1]:80", "2"},
		{"a/b", "::", "\xff"}, {"/a/b/c", "[x]y:", "3"}, {"/a.b/Get", "X.TEST.", "1"},
		{strings.Repeat("/", 300), strings.Repeat("X", 300), "1"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	rules := []Rule{
		to("path", Match{Service: "a.b", Method: "Get", Metadata: []MetadataMatch{{Name: "k", Value: new("1")}}}),
		to("host", Match{Service: "a.b", Authority: "x.test"}),
		to("glob", Match{Authority: "x*t:8*"}),
		to("method", Match{Method: "Get", Metadata: []MetadataMatch{{Name: "k", Regex: "^2"}}}),
		to("regex", Match{PathRegex: "^/a/.*c$"}),
	}
	table := mustCompile(f, rules...)
	f.Fuzz(func(t *testing.T, path, authority, value string) {
		fields := []hpack.HeaderField{{Name: "k", Value: value}}
		got := -1
		if r := table.Find(path, authority, fields); r != nil {
			got = r.Index
		}
		dotted := strings.HasSuffix(authority, ".") || strings.Contains(authority, ".:")
		if dotted || strings.Contains(authority, "[") || strings.Count(authority, ":") > 1 || len(authority) > maxHost {
			return // more than the naive matcher knows
		}
		if want := naive(rules, path, authority, fields); got != want {
			t.Fatalf("%q at %q with %q: got rule %d, want %d", path, authority, value, got, want)
		}
	})
}
