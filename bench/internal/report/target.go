package report

import (
	"fmt"
	"io"
	"slices"

	"loom/bench/internal/peer"
	"loom/bench/internal/row"
	"loom/bench/internal/suite"
)

// Target is a promise about loomd and what was measured.
type Target struct {
	What   string
	Got    float64
	AtMost float64
}

// Met reports whether the promise is kept.
func (t Target) Met() bool { return t.Got <= t.AtMost }

// relative holds the promises about CPU time beside a peer under the same load.
func relative() []struct {
	of, peer, load string
	atMost         float64
} {
	return []struct {
		of, peer, load string
		atMost         float64
	}{
		{peer.Loomd, peer.HAProxy, "1x100", 0.50},
		{peer.Loomd, peer.HAProxy, "20x50", 0.50},
		{peer.Loomd, peer.HAProxy, "20x1", 0.70},
		{peer.Loomd, peer.HAProxy, "64k", 0.80},
		{peer.Loomd, peer.HAProxy, "1m", 0.80},
		{peer.Loomd, peer.GRPCGo, "1x100", 0.15},
		{peer.Loomd, peer.GRPCGo, "20x50", 0.15},
		{peer.Loomd, peer.TCP, "1x100", 3.7},
		{peer.Loomd, peer.TCP, "20x50", 3.7},
		{peer.Guarded, peer.Loomd, "1x100", 1.1},
		{peer.Guarded, peer.Loomd, "20x50", 1.1},
		{peer.Recording, peer.Loomd, "1x100", 1.3},
		{peer.Recording, peer.Loomd, "20x50", 1.3},
		{peer.Recording, peer.HAProxy, "1x100", 0.65},
		{peer.Recording, peer.HAProxy, "20x50", 0.65},
		{peer.SecureLoomd, peer.SecureHAProxy, "1x100", 0.80},
		{peer.SecureLoomd, peer.SecureHAProxy, "20x50", 0.80},
		{peer.Watched, peer.Loomd, "1x100", 1.6},
		{peer.Watched, peer.Loomd, "20x50", 1.6},
	}
}

const (
	allocsAtMost       = 4
	kibPerConnAtMost   = 24
	kibPerStreamAtMost = 2
	grownAtMost        = 1.05

	bytesInKiB   = 1 << 10
	smallMessage = 100
)

// Targets compares the result with the promises, as far as both loomd and the
// peer of a promise were measured.
func Targets(res suite.Result) []Target {
	var all []Target
	for _, r := range relative() {
		own, ok := res.Cell(r.load, r.of)
		other, there := res.Cell(r.load, r.peer)
		if ok && there {
			all = append(all, Target{"CPU of " + r.of + " against " + r.peer + ", " + r.load, suite.Ratio(own.CPU, other.CPU), r.atMost})
		}
	}
	for _, l := range res.Loads {
		if l.Row.Kind != row.Unary || l.Row.Body != smallMessage {
			continue
		}
		if c, ok := res.Cell(l.Row.Name, peer.Loomd); ok {
			all = append(all, Target{"allocations of loomd per request, " + l.Row.Name, c.Allocs, allocsAtMost})
		}
	}
	for _, c := range res.Idle {
		if c.Peer == peer.Loomd {
			all = append(all,
				Target{"KiB of loomd per idle connection", c.PerConn / bytesInKiB, kibPerConnAtMost},
				Target{"KiB of loomd per open idle stream", c.PerStream / bytesInKiB, kibPerStreamAtMost})
		}
	}
	if res.Steady != nil {
		all = append(all, steadyTargets(*res.Steady)...)
	}
	if res.Mixed != nil {
		all = append(all, Target{"wrong, lost or duplicated messages and failed calls, mixed", float64(res.Mixed.Faults()), 0})
	}
	return all
}

func steadyTargets(s suite.Steady) []Target {
	after := func(what string, n int, before, after suite.State) []Target {
		grown := func(of string, a, b float64) Target {
			return Target{fmt.Sprintf("%s of loomd after %d %s, of before", of, n, what), b / a, grownAtMost}
		}
		return []Target{
			grown("open files", float64(before.FDs), float64(after.FDs)),
			grown("goroutines", float64(before.Goroutines), float64(after.Goroutines)),
			grown("heap", before.Heap, after.Heap),
		}
	}
	return append(after("calls", s.Calls, s.BeforeCalls, s.AfterCalls),
		after("connections", s.Connects, s.BeforeConnects, s.AfterConnects)...)
}

// writeTargets writes the promises as a table.
func writeTargets(w io.Writer, res suite.Result) error {
	all := Targets(res)
	if len(all) == 0 {
		return nil
	}
	t := &table{words: 1, header: []string{"promise", "measured", "at most", "kept"}}
	for _, p := range all {
		kept := "yes"
		if !p.Met() {
			kept = "**no**"
		}
		t.add(p.What, number(p.Got), number(p.AtMost), kept)
	}
	return t.write(w)
}

// writeRatios writes CPU time per request of loomd as a multiple of each other
// peer's, for every load.
func writeRatios(w io.Writer, res suite.Result) error {
	if !slices.ContainsFunc(res.Loads, measuresLoomd) {
		return nil
	}
	t := &table{words: 1, header: []string{"CPU/request of loomd, as a multiple of"}}
	lines := make(map[string][]string)
	for _, l := range res.Loads {
		t.header = append(t.header, l.Row.Name)
		loomd, _ := res.Cell(l.Row.Name, peer.Loomd)
		for _, c := range l.Cells {
			lines[c.Peer] = append(lines[c.Peer], number(suite.Ratio(loomd.CPU, c.CPU)))
		}
	}
	for _, name := range peer.Names() {
		if cells, ok := lines[name]; ok && name != peer.Direct && name != peer.Loomd {
			t.add(append([]string{name}, cells...)...)
		}
	}
	return t.write(w)
}

func measuresLoomd(l suite.Load) bool {
	return slices.ContainsFunc(l.Cells, func(c suite.Cell) bool { return c.Peer == peer.Loomd })
}
