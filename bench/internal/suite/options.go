// Package suite runs the loads against the peers, turn by turn, and collects
// what each costs.
//
// Loads never overlap, and peers take turns within a run (forward in one run,
// backward in the next), so that a machine that slows down slows all of them.
package suite

import (
	"time"

	"loom/bench/internal/row"
)

// Options says what to run and for how long. All fields are required.
type Options struct {
	Rows           []row.Row
	Peers          []string
	Runs           int           // of each load at saturation
	Duration       time.Duration // of each load
	WarmUp         time.Duration // before each load
	LatencyRuns    int           // of each load at a fixed rate; 0 for none
	SteadyCalls    int           // calls of the steady row
	SteadyConnects int           // connections of the steady row
	MixedFor       time.Duration // of the mixed row
	Loomd          string        // executable of loomd
	Dir            string        // existing folder for files of the peers
}
