package report

import (
	"io"

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
	peer, load string
	atMost     float64
} {
	return []struct {
		peer, load string
		atMost     float64
	}{
		{peer.HAProxy, "1x100", 0.50},
		{peer.HAProxy, "20x50", 0.50},
		{peer.HAProxy, "20x1", 0.70},
		{peer.HAProxy, "64k", 0.80},
		{peer.HAProxy, "1m", 0.80},
		{peer.GRPCGo, "1x100", 0.15},
		{peer.GRPCGo, "20x50", 0.15},
		{peer.TCP, "1x100", 3.7},
		{peer.TCP, "20x50", 3.7},
	}
}

const (
	allocsAtMost        = 4
	kibPerConnAtMost    = 24
	kibPerStreamAtMost  = 2
	bytesInKiB          = 1 << 10
	smallMessage        = 100
	relativeDescription = "CPU against "
)

// Targets compares the result with the promises, as far as both loomd and the
// peer of a promise were measured.
func Targets(res suite.Result) []Target {
	var all []Target
	for _, r := range relative() {
		loomd, ok := res.Cell(r.load, peer.Loomd)
		other, there := res.Cell(r.load, r.peer)
		if ok && there {
			all = append(all, Target{relativeDescription + r.peer + ", " + r.load, suite.Ratio(loomd.CPU, other.CPU), r.atMost})
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
	return all
}

// WriteTargets writes the promises as a table.
func WriteTargets(w io.Writer, all []Target) error {
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

// WriteRatios writes CPU time per request of loomd as a multiple of each other
// peer's, for every load.
func WriteRatios(w io.Writer, res suite.Result) error {
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

