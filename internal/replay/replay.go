// Package replay sends calls: recorded ones again, edited ones, and new ones.
//
// Invariant: messages go out and come back as the bytes they are, of any of
// the four kinds of call, and a status is an Answer whatever it is. An error
// says that nothing could be sent, or that Do stopped before the call ended.
//
// Pitfall: grpc-go sends the metadata, so the order among different names is
// not kept, and values that are not printable ASCII are refused unless their
// name ends in -bin.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	loomv1 "loom/api/loom/v1"
)

// Link is the metadata by which the record of a call names the one it repeats.
const Link = "loom-replay-of"

// ErrBusy is returned while as many calls run as Limits.Concurrent allows.
var ErrBusy = errors.New("replay: too many replays are running; wait for one to end")

// errTooLong ends a call that Limits.Time cut.
var errTooLong = errors.New("replay: the call took longer than a replay may")

// Target says which way a call goes.
type Target uint8

// The targets.
const (
	ViaRoute Target = iota // through loomd's own listener, as if a caller had made it
	Direct                 // straight to an endpoint of Request.Backend
)

// Request is one call to make. It is plain data, and Do does not change it.
type Request struct {
	ReplayOf  string // ID of the call that it repeats; empty for a new one
	Target    Target
	Backend   string // for Direct
	Path      string // as in :path
	Authority string // empty: that of the connection
	// Metadata is sent without what belongs to the transport (see Reserved)
	// and without what was redacted. A content-type gives the subtype.
	Metadata []*loomv1.Metadata
	Messages [][]byte // as on the wire, uncompressed
	// Delays are waited before each message; what is missing counts as 0.
	Delays []time.Duration
	// Deadline is what the backend is told, and holds here too; 0: none.
	Deadline time.Duration
}

// Dial returns a connection, and what gives it back after the call.
type Dial func(ctx context.Context) (grpc.ClientConnInterface, io.Closer, error)

// Options configures a Replayer. Route and Direct are required.
type Options struct {
	// Route connects to loomd's own listener.
	Route Dial
	// Direct connects to an endpoint of a backend, with its TLS.
	Direct func(ctx context.Context, backend string) (grpc.ClientConnInterface, io.Closer, error)
	// Limits holds the defaults where a field is 0.
	Limits Limits
}

// Limits bounds what replays cost.
type Limits struct {
	// Concurrent is how many calls run at once: 8, more than a person
	// starts before the first has ended. Beyond: ErrBusy.
	Concurrent int
	// AnswerBytes is how much of the messages of an answer is kept: 16 MiB,
	// more than a page shows. What comes after is counted.
	AnswerBytes int
	// MessageBytes is the largest message that an answer may have: 64 MiB,
	// because it is in memory once. A larger one ends the call with
	// RESOURCE_EXHAUSTED, as with any client of grpc-go.
	MessageBytes int
	// Time is how long a call may take, whatever its deadline: 5 minutes, so
	// that an endless stream ends though nobody looks any more.
	Time time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.Concurrent <= 0 {
		l.Concurrent = 8
	}
	if l.AnswerBytes <= 0 {
		l.AnswerBytes = 16 << 20
	}
	if l.MessageBytes <= 0 {
		l.MessageBytes = 64 << 20
	}
	if l.Time <= 0 {
		l.Time = 5 * time.Minute
	}
	return l
}

// Replayer makes calls. It is safe for concurrent use, and owns nothing that
// outlives them.
type Replayer struct {
	// Immutable.
	route  Dial
	direct func(ctx context.Context, backend string) (grpc.ClientConnInterface, io.Closer, error)
	limits Limits
	slots  chan struct{} // holds one of each call that runs

	busy atomic.Uint64
}

// New returns a Replayer.
func New(o Options) *Replayer {
	limits := o.Limits.withDefaults()
	return &Replayer{route: o.Route, direct: o.Direct, limits: limits, slots: make(chan struct{}, limits.Concurrent)}
}

// Busy counts the calls that were refused with ErrBusy.
func (r *Replayer) Busy() uint64 { return r.busy.Load() }

// Do makes the call and waits until it is over. With an error the answer holds
// what came until then: ctx ended (its cause), the call took longer than
// Limits.Time, there was no connection to be had, or the request cannot be
// sent as it is.
func (r *Replayer) Do(ctx context.Context, q Request) (Answer, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		r.busy.Add(1)
		return Answer{}, ErrBusy
	}
	md, err := q.outgoing()
	if err != nil {
		return Answer{}, err
	}
	conn, closer, err := r.dial(ctx, q)
	if err != nil {
		return Answer{}, fmt.Errorf("replay: connect: %w", err)
	}
	if closer != nil {
		defer closer.Close()
	}
	return r.call(ctx, conn, q, md)
}

func (r *Replayer) dial(ctx context.Context, q Request) (grpc.ClientConnInterface, io.Closer, error) {
	if q.Target == Direct {
		return r.direct(ctx, q.Backend)
	}
	return r.route(ctx)
}
