package suite

import (
	"loom/bench/internal/mixed"
	"loom/bench/internal/row"
	"loom/bench/internal/stats"
)

// Cell is what one load on one peer gave. The slices hold a value for each run.
type Cell struct {
	Peer     string
	Measured bool // the peer has a process whose costs are known

	PerSecond []float64 // requests
	CPU       []float64 // microseconds for each request, at saturation
	RSS       []float64 // bytes, right after the load

	FixedCPU []float64 // microseconds for each request, at the fixed rate
	P50, P99 []float64 // latency in seconds, at the fixed rate

	Allocs float64 // heap allocations for each request; NaN when unknown
}

// Load is one row of the bench with a cell for each peer.
type Load struct {
	Row       row.Row
	FixedRate float64 // requests each second; 0 when there was no such run
	Cells     []Cell
}

// Idle is what idle connections and streams cost one peer.
type Idle struct {
	Peer      string
	RSS       float64 // bytes, with all connections and streams open
	PerConn   float64 // bytes
	PerStream float64 // bytes
}

// Result is what a whole bench gave.
type Result struct {
	Loads    []Load
	IdleRow  row.Row
	Idle     []Idle
	Steady   *Steady      // nil when it was not run
	Mixed    *mixed.Tally // nil when it was not run
	Versions []Version
}

// Version says which version of a peer was measured.
type Version struct{ Peer, Text string }

// Cell finds the cell of a load and a peer.
func (r Result) Cell(load, peer string) (Cell, bool) {
	for _, l := range r.Loads {
		if l.Row.Name != load {
			continue
		}
		return l.cell(peer)
	}
	return Cell{}, false
}

func (l Load) cell(peer string) (Cell, bool) {
	for _, c := range l.Cells {
		if c.Peer == peer {
			return c, true
		}
	}
	return Cell{}, false
}

// Added is by how much the quantities of a cell exceed those of the direct
// connection: the median of the differences within each run.
func Added(cell, direct []float64) float64 {
	n := min(len(cell), len(direct))
	diff := make([]float64, n)
	for i := range n {
		diff[i] = cell[i] - direct[i]
	}
	return stats.Median(diff)
}

// Ratio is the median of the quotients within each run.
func Ratio(a, b []float64) float64 {
	n := min(len(a), len(b))
	q := make([]float64, n)
	for i := range n {
		q[i] = a[i] / b[i]
	}
	return stats.Median(q)
}
