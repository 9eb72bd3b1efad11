// Package callevent is what happens to a call, as plain data: the relay
// reports it, and capture, metrics and the console line make of it what they
// need. It imports nothing of loom, so that everybody may import it.
//
// Invariant: the events of one call come one after another, End last and
// exactly once. Those of different calls come from different goroutines at
// once.
//
// Pitfall: Data and Summary belong to the relay and are valid only while the
// event is observed; who keeps them copies them. Fields may be kept but not
// changed.
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
	Path      string
	Authority string
	Timeout   time.Duration // of grpc-timeout; 0 if it has none
	Fields    []hpack.HeaderField
}

// Follower is told what happens to one call after it began. It is called on
// the goroutines that carry the call: it must return at once, and never calls
// back.
type Follower interface {
	Observe(e Event)
}

// Kind says what happened.
type Kind uint8

// The kinds, in the order in which a call knows them.
const (
	Routed   Kind = iota // a route and a backend were picked: Route, Backend
	Attempt              // it went to an endpoint: Backend, Endpoint
	Interim              // a 1xx header block came back: Fields
	Headers              // the response's headers came: Fields
	Piece                // a message, or a part of it, came: Direction, First, Last, Compressed, Size, Data
	Trailers             // the response's trailers came, or its only block: Fields
	End                  // the call is over: Summary
)

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
	Reason    string // ErrorInfo reason, for ByLoom
}

// Event is one thing that happened to a call. Which fields are set depends
// on Kind.
type Event struct {
	Kind       Kind
	Direction  Direction
	First      bool // of a message: Data begins it
	Last       bool // Data ends it
	Compressed bool
	Size       uint32 // of the whole message, without its prefix
	At         time.Time
	Fields     []hpack.HeaderField
	Data       []byte // without the prefix; may be empty
	Route      string
	Backend    string
	Endpoint   string
	Summary    *Summary
}
