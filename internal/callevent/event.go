// Package callevent is what happens to a call, as plain data: the relay
// reports it, and capture, metrics and the console line make of it what they
// need. It imports nothing of loom, so that everybody may import it.
//
// Invariant: the events of one call come one after another, Ended last and
// exactly once. Those of different calls come from different goroutines at
// once.
//
// Pitfall: the bytes of a Piece and a Summary belong to the relay and are valid
// only during the call that brings them; who keeps them copies them. Fields may
// be kept but not changed.
package callevent

import (
	"time"

	"golang.org/x/net/http2/hpack"
)

// Call is a call that begins: the headers of its request came.
type Call struct {
	ID        uint64 // counts up from 1 in each process
	At        time.Time
	Peer      string // address of the caller
	Identity  string // of the caller, by its certificate; empty if it is not known
	Path      string
	Authority string
	Timeout   time.Duration // of grpc-timeout; 0 if it has none
	Fields    []hpack.HeaderField
}

// Follower is told what happens to one call after it began, and when. It is
// called on the goroutines that carry the call: it must return at once, and
// never calls back. Each kind of event has a method, so that its parts travel
// in registers: a call has some seven events, and they cost more than what most
// followers do with them.
type Follower interface {
	// Routed: a route and a backend were picked; empty if there is none.
	Routed(at time.Time, route, backend string)
	// Attempted: the call went to an endpoint.
	Attempted(at time.Time, backend, endpoint string)
	// Interim: a header block with a status of 1xx came back.
	Interim(at time.Time, fields []hpack.HeaderField)
	// Headers: the headers of the response came.
	Headers(at time.Time, fields []hpack.HeaderField)
	// Piece: a message came, or a part of it.
	Piece(at time.Time, p Piece)
	// Trailers: those of the response came, or its only block.
	Trailers(at time.Time, fields []hpack.HeaderField)
	// Ended: the call is over.
	Ended(at time.Time, s *Summary)
}

// Piece is a message or a part of it, as it came.
type Piece struct {
	Direction  Direction
	First      bool // Data begins the message
	Last       bool // Data ends it
	Compressed bool
	Size       uint32 // of the whole message, without its prefix
	Data       []byte // without the prefix; may be empty
}

// Direction says which way bytes go.
type Direction uint8

// The directions.
const (
	Up   Direction = iota // from downstream to upstream: the request
	Down                  // from upstream to downstream: the response
)

// Ender says who ended a call.
type Ender uint8

// The enders.
const (
	ByBackend      Ender = iota // the backend answered with a status
	ByBackendReset              // the backend reset the stream
	ByBackendLost               // the connection to the backend was lost
	ByCancel                    // the caller cancelled
	ByCallerLost                // the connection to the caller was lost
	ByDeadline                  // the caller's deadline passed
	ByLoom                      // loom refused or ended it: Summary.Reason
	ByBreaker                   // no breaker let it pass: Summary.Reason
)

// String names the ender as the console line shows it.
func (e Ender) String() string {
	switch e {
	case ByBackend:
		return "backend"
	case ByBackendReset:
		return "backend-reset"
	case ByBackendLost:
		return "backend-lost"
	case ByCancel:
		return "cancel"
	case ByCallerLost:
		return "caller-lost"
	case ByDeadline:
		return "deadline"
	case ByBreaker:
		return "breaker"
	default:
		return "loom"
	}
}

// Traffic counts what went one way.
type Traffic struct {
	Messages uint64
	Bytes    uint64 // of DATA, message prefixes included, padding not
}

// Summary is a call when it is over.
type Summary struct {
	Started   time.Time
	Took      time.Duration
	Path      string
	Authority string
	Route     string // empty if none matched
	Backend   string // empty if none was picked
	Endpoint  string // of the last attempt; empty if there was none
	Peer      string // address of the caller
	Attempts  int
	Up, Down  Traffic
	Code      uint32 // gRPC status
	HasCode   bool   // false if neither the backend nor loom gave a status
	Detail    string // grpc-message, or what went wrong
	Ender     Ender
	Reason    string // ErrorInfo reason, for ByLoom and ByBreaker
}
