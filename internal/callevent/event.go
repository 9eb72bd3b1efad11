// Package callevent is what happens to a call, as plain data: the relay
// reports it, and capture, metrics and the console line make of it what they
// need. It imports nothing of loom, so that everybody may import it.
//
// Invariant: the events of one call come one after another, Start first and
// End last, exactly once each. Events of different calls come from different
// goroutines at once.
//
// Pitfall: Data belongs to the relay and is valid only while the event is
// observed; who keeps it copies it. Fields may be kept but not changed.
package callevent

import (
	"time"

	"golang.org/x/net/http2/hpack"
)

// Kind says what happened.
type Kind uint8

// The kinds, in the order in which a call knows them.
const (
	Start    Kind = iota // the request's headers came: Fields
	Attempt              // they went to an endpoint: Backend, Endpoint
	Interim              // a 1xx header block came back: Fields
	Headers              // the response's headers came: Fields
	Data                 // bytes came: Direction, Data
	Message              // the last byte of a message came: Direction, Size
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
	Kind      Kind
	Call      uint64 // counts up from 1 in each process
	At        time.Time
	Direction Direction
	Fields    []hpack.HeaderField
	Data      []byte
	Size      int // of a message, without its prefix
	Backend   string
	Endpoint  string
	Summary   *Summary
}
