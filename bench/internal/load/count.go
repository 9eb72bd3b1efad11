// Package load puts load on a proxy: as much as it takes (h2load for unary
// calls, Session.PingPong for streams), at a fixed rate with intended start
// times (Session.AtRate), or nothing but open connections and streams (Idle).
//
// Each load is bounded in time and count, and fails when a reply is missing,
// an error, or of the wrong length.
package load

import "time"

// Count is what came of a load.
type Count struct {
	Requests int           // finished rightly
	Elapsed  time.Duration // in which they were made
}

// PerSecond is the rate of requests.
func (c Count) PerSecond() float64 { return float64(c.Requests) / c.Elapsed.Seconds() }
