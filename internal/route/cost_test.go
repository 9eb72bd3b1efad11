package route

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// sample is one call that a table of bigTable is asked for.
type sample struct {
	path, authority string
	fields          []hpack.HeaderField
}

// bigTable is n rules as a large installation has them: by method, by
// service and by tenant's host, with a few that have to be tried one by one.
// It also returns calls that hit them all, in random order.
func bigTable(tb testing.TB, n int) (*Table, []sample) {
	tb.Helper()
	fields := []hpack.HeaderField{
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
		{Name: "user-agent", Value: "grpc-go/1.85.0"}, {Name: "x-request-id", Value: "7f"},
	}
	rules := []Rule{
		{Name: "admin", Match: Match{PathRegex: `^/acme\.admin\.`}, Deny: 7},
		to("canary", Match{Metadata: []MetadataMatch{{Name: "x-canary", Present: true}}}),
	}
	var calls []sample
	for i := len(rules); i < n; i++ {
		service := fmt.Sprintf("acme.team%d.v1.Service%d", i%97, i)
		m, call := Match{Service: service}, sample{"/" + service + "/Get", "edge.acme.test:443", fields}
		switch i % 3 {
		case 0:
			m.Method = "Get"
		case 1:
			m = Match{Service: "acme.Shared", Method: "Get", Authority: fmt.Sprintf("tenant%d.acme.test", i)}
			call.path, call.authority = "/acme.Shared/Get", m.Authority+":443"
		}
		rules = append(rules, to(strconv.Itoa(i), m))
		calls = append(calls, call)
	}
	random := rand.New(rand.NewPCG(5, 6))
	random.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	return mustCompile(tb, rules...), calls
}

// examined counts the rules that Find has to look at for a call at most.
func examined(table *Table, s sample) int {
	var c call
	c.fill(s.path, s.authority)
	n := 0
	for i := range table.indexes {
		for r := table.indexes[i].first(&c); r != nil; r = r.next {
			n++
		}
	}
	return n
}

// The ratio of times is for BenchmarkFind; a test of it would fail whenever
// the machine is busy. What makes the time is the number of rules looked at.
func TestTenThousandRoutesCostNoMoreThanTen(t *testing.T) {
	worst := func(n int) int {
		table, calls := bigTable(t, n)
		most := 0
		for _, s := range calls {
			if table.Find(s.path, s.authority, s.fields) == nil {
				t.Fatalf("no route for %q at %q", s.path, s.authority)
			}
			most = max(most, examined(table, s))
		}
		return most
	}
	small, large := worst(10), worst(10_000)
	if large > small {
		t.Errorf("a call looks at %d rules of 10,000, but at %d of 10", large, small)
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	table := mustCompile(t,
		to("exact", Match{Service: "s", Method: "m", Authority: "host.test"}),
		to("glob", Match{Authority: "*.b.test:80", Metadata: []MetadataMatch{{Name: "k", Value: new("v")}}}),
	)
	fields := []hpack.HeaderField{{Name: "k", Value: "v"}}
	if n := testing.AllocsPerRun(100, func() {
		r := table.Find("/s/m", "HOST.Test:443", fields)
		if r == nil || r.Pick(1) != 0 || table.Find("/s/x", "a.b.test:80", fields) == nil {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("Find and Pick allocate %v times", n)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 100, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			table, calls := bigTable(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s := &calls[i]
				if i++; i == len(calls) {
					i = 0
				}
				if table.Find(s.path, s.authority, s.fields) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}
