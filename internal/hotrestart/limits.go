package hotrestart

import "time"

// limits are how long the steps may take.
type limits struct {
	check   time.Duration
	greet   time.Duration
	sockets time.Duration
	state   time.Duration
	taken   time.Duration
	ready   time.Duration
	silence time.Duration
	start   time.Duration
	overall time.Duration
}

// defaultLimits are those of a handover whose Options name no others.
func defaultLimits() limits {
	return limits{
		check:   20 * time.Second, // reads files, and asks nobody on the network
		greet:   5 * time.Second,  // a Go process says something within a tenth of a second
		sockets: 5 * time.Second,  // some messages between two processes of one machine
		state:   10 * time.Second, // a gigabyte is written, summed and read in four
		taken:   5 * time.Second,  // a frame, by a process that does nothing else
		ready:   60 * time.Second, // restart.ready_timeout
		silence: 5 * time.Second,  // five heartbeats: one may be late on a busy machine
		start:   5 * time.Second,  // everything is ready; it only has to accept
		overall: 75 * time.Second, // below the 90 s that systemd gives a reload by default
	}
}

const (
	// heartbeat is how often a process that prepares itself says so.
	heartbeat = time.Second
	// patience is how long a new process waits for the old one altogether: a
	// little more than overall, so that the old one decides while it can.
	patience = 80 * time.Second
	// dying is how long a process may take to end once it is killed.
	dying = 5 * time.Second
	// maxSockets, maxLinks and maxSections are what a new process takes at most:
	// far more than anybody has.
	maxSockets  = 65536
	maxLinks    = 1024
	maxSections = 65536
)
