package h2

import (
	"sync/atomic"
	"time"
)

// Rate is how many of something are borne: Burst at once, then PerSecond.
type Rate struct {
	Burst     int
	PerSecond int
}

// Limits bounds what a peer can make a connection hold or do. Sizes are
// bytes. The zero value bounds everything to nothing; start from
// [DefaultLimits].
type Limits struct {
	Preface        time.Duration // until the peer's preface, first SETTINGS and the ACK of ours
	Streams        int           // concurrent streams that a peer may open
	HeaderList     int           // decoded header list (RFC 9113, 6.5.2); 4 times that closes
	HeaderFields   int           // fields of a header list
	Continuations  int           // CONTINUATION frames of a block
	EarlyResets    Rate          // RST_STREAM soon after opening and before an answer
	OwnResets      Rate          // resets that the peer's mistakes make us send
	Noise          Rate          // frames that carry nothing
	ControlReplies int           // replies to PING and SETTINGS, and resets, not yet written
	Buffered       int           // bytes received on a connection that have not left loomd
	Outbox         int           // bytes on their way to one socket, beyond which streams queue
	StreamWindow   int           // flow-control window that a stream starts with
	MaxWindow      int           // what the window of a stream that drains well grows to
	ConnWindow     int           // flow-control window of a connection; at most Buffered
	Stall          time.Duration // a stream that takes nothing while bytes wait
	Linger         time.Duration // reading on after our last frame, so that the peer can see it
}

// DefaultLimits returns the limits of a connection as loomd has them.
func DefaultLimits() Limits {
	return Limits{
		// A peer on a slow mobile link needs two round trips; nobody needs 10 s.
		Preface: 10 * time.Second,
		// Ten times what clients assume; more share a connection badly.
		Streams: 1000,
		// Metadata of real calls stays below 8 KiB; tokens make 64 KiB generous.
		HeaderList: 64 << 10,
		// Shorter fields cost more than their bytes.
		HeaderFields: 200,
		// A full header list fits four frames of 16 KiB.
		Continuations: 16,
		// A deadline may end every open call at once, and those that follow.
		EarlyResets: Rate{Burst: 2000, PerSecond: 200},
		// Real peers make such mistakes never.
		OwnResets: Rate{Burst: 100, PerSecond: 20},
		// Keepalives, and Go's PING with each RST, stay far below.
		Noise: Rate{Burst: 1000, PerSecond: 100},
		// A peer that reads takes them at once.
		ControlReplies: 1000,
		// Sixty-four streams stuck at the first window; see Buffered in the docs of Stream.Send.
		Buffered: 4 << 20,
		// Enough to keep a socket busy while a reader parses the next batch.
		Outbox: 256 << 10,
		// What HTTP/2 starts with.
		StreamWindow: defaultWindow,
		// Fills 100 ms x 300 Mbit/s.
		MaxWindow: 4 << 20,
		// A quarter of Buffered: credit that is out counts as used.
		ConnWindow: 1 << 20,
		Stall:      5 * time.Minute,
		Linger:     time.Second,
	}
}

// Counters counts how often each limit was hit, over all the connections
// that share it. It may be read at any time.
type Counters struct {
	PrefaceTimeouts atomic.Uint64
	StreamsRefused  atomic.Uint64 // beyond Limits.Streams
	HeaderLists     atomic.Uint64 // too large or of too many fields
	HeaderFloods    atomic.Uint64 // four times too large: closed
	Continuations   atomic.Uint64
	EarlyResets     atomic.Uint64
	OwnResets       atomic.Uint64
	Noise           atomic.Uint64
	ControlReplies  atomic.Uint64
	ConnCreditHeld  atomic.Uint64 // times that Limits.Buffered held connection credit back
	BudgetRefusals  atomic.Uint64 // request bytes for which the process had no room
	BudgetResets    atomic.Uint64 // streams reset at the cap of the process
	Stalls          atomic.Uint64
	KeepaliveLost   atomic.Uint64
	ProtocolErrors  atomic.Uint64 // connections closed for any other fault of the peer
	StreamErrors    atomic.Uint64 // streams reset for a fault of the peer
}
