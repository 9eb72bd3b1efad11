package h2

import (
	"errors"
	"math"
	"time"
)

// longest bounds the times that are written down, but for deadlines: no
// process lives for longer.
const longest = 10 * 365 * 24 * time.Hour

// never stands for the age of what has not been.
const never time.Duration = -1

// connRecord is a connection as plain data: all that is needed to go on with
// it, but for what its owner knows. Points in time are ages or what is left of
// a time, so that they mean the same to another clock.
type connRecord struct {
	server bool
	told   toldLimits

	// What came in.
	began, settled          bool
	in                      []byte // beginning of a frame
	table                   tableRecord
	block                   openBlock
	partial                 blockRecord // of block
	earlyResets, ownResets  float64     // what is in the buckets
	noise                   float64
	lastAccepted, lastSeen  uint32
	peerTable, peerStreams  uint32 // the peer's settings
	peerWindow              int64
	goneAway, answered      bool
	recvWindow, received    int64
	held                    bool
	recent                  []recentID // the oldest first
	streams                 []streamRecord
	nextID                  uint32
	wanted, wantsRoom       bool
	draining                drainState
	greeted                 bool
	unacked, grace, control int

	// What goes out.
	out        []byte
	marks      []markRecord
	sendWindow int64
	ready      []uint32 // ids of the streams in line

	// Times. An alarm that is not set is 0.
	start, keepalive, drain, age, idle time.Duration
	lastRead, pingSent, idleSince      time.Duration // ages
	pinged, aged                       bool
}

// toldLimits are those of ours that the peer goes by, whatever is configured
// when the connection goes on.
type toldLimits struct{ streams, headerList, streamWindow, connWindow int }

// tableRecord is the peer's dynamic table.
type tableRecord struct {
	size    uint32  // what the peer bounds it to
	entries []Field // the oldest first
}

// blockRecord is what was decoded of a block that is not complete.
type blockRecord struct {
	fields      []Field
	size, count int
	rest        []byte // beginning of a field
	within      bool
}

// markRecord says that n bytes of the outbox came in on a stream of another
// connection.
type markRecord struct {
	from streamName
	n    int
}

// streamName is a stream of another connection that is written down, by the
// name that Marshal was given for it; 0 for one of none of them.
type streamName struct {
	conn uint32
	id   uint32
}

// streamRecord is a stream as plain data.
type streamRecord struct {
	id                                 uint32
	sentHead, sentEnd, gotHead, gotEnd bool
	sendWindow, recvWindow             int64
	window, consumed                   int64
	length, received                   int64
	queue                              []byte
	free                               int
	source                             streamName
	tail                               tail
	trailers                           []Field
	thenReset                          bool
	resetCode                          ErrCode
	unsent                             int           // 1 + how many bytes of the outbox come before its first; 0: the socket took that
	opened, stuck                      time.Duration // ages
	deadline, stall                    time.Duration
}

func (r *connRecord) code(x *codec) {
	flag(x, &r.server)
	r.told.code(x)
	for _, v := range []*bool{&r.began, &r.settled, &r.greeted, &r.goneAway, &r.answered, &r.held,
		&r.wanted, &r.wantsRoom, &r.pinged, &r.aged} {
		flag(x, v)
	}
	text(x, &r.in, frameHeaderLen+maxFrameSize)
	r.table.code(x)
	number(x, &r.block.id, 0, maxStreamID)
	flag(x, &r.block.end)
	flag(x, &r.block.selfish)
	number(x, &r.block.continuations, 0, math.MaxInt32)
	r.partial.code(x)
	tokens(x, &r.earlyResets)
	tokens(x, &r.ownResets)
	tokens(x, &r.noise)
	number(x, &r.lastSeen, 0, maxStreamID)
	number(x, &r.lastAccepted, 0, int64(r.lastSeen))
	number(x, &r.nextID, 1, maxStreamID+2)
	number(x, &r.peerTable, 0, math.MaxUint32)
	number(x, &r.peerStreams, 0, math.MaxUint32)
	number(x, &r.peerWindow, 0, maxWindow)
	number(x, &r.recvWindow, 0, maxWindow)
	number(x, &r.received, 0, maxWindow-r.recvWindow)
	number(x, &r.draining, 0, int64(drainLast))
	number(x, &r.unacked, 0, 1)
	number(x, &r.grace, 0, mostGrace)
	number(x, &r.control, 0, math.MaxInt32)
	list(x, &r.recent, recentCap, func(x *codec, v *recentID) {
		number(x, &v.id, 0, maxStreamID)
		flag(x, &v.reset)
	})
	list(x, &r.streams, maxStreamID, func(x *codec, s *streamRecord) { s.code(x) })
	text(x, &r.out, maxFrozen)
	list(x, &r.marks, maxFrozen, func(x *codec, m *markRecord) {
		m.from.code(x)
		number(x, &m.n, 1, math.MaxInt32)
	})
	number(x, &r.sendWindow, 0, maxWindow)
	list(x, &r.ready, maxStreamID, func(x *codec, id *uint32) { number(x, id, 1, maxStreamID) })
	for _, v := range []*time.Duration{&r.start, &r.keepalive, &r.drain, &r.age, &r.idle} {
		number(x, v, 0, math.MaxInt64)
	}
	for _, v := range []*time.Duration{&r.lastRead, &r.pingSent, &r.idleSince} {
		number(x, v, int64(never), int64(longest))
	}
}

func (t *toldLimits) code(x *codec) {
	number(x, &t.streams, 0, maxStreamID)
	number(x, &t.headerList, 0, math.MaxInt32)
	number(x, &t.streamWindow, 0, maxWindow)
	number(x, &t.connWindow, 0, maxWindow)
}

func (t *tableRecord) code(x *codec) {
	number(x, &t.size, 0, tableSize)
	list(x, &t.entries, tableSize/32, codeField)
}

func (b *blockRecord) code(x *codec) {
	list(x, &b.fields, math.MaxInt32, codeField)
	number(x, &b.size, 0, math.MaxInt32)
	number(x, &b.count, 0, math.MaxInt32)
	text(x, &b.rest, maxFrozen)
	flag(x, &b.within)
}

func codeField(x *codec, f *Field) {
	word(x, &f.Name, maxFrozen)
	word(x, &f.Value, maxFrozen)
	flag(x, &f.Sensitive)
}

func (n *streamName) code(x *codec) {
	number(x, &n.conn, 0, math.MaxUint32)
	number(x, &n.id, 0, maxStreamID)
}

func (s *streamRecord) code(x *codec) {
	number(x, &s.id, 1, maxStreamID)
	for _, v := range []*bool{&s.sentHead, &s.sentEnd, &s.gotHead, &s.gotEnd, &s.thenReset} {
		flag(x, v)
	}
	number(x, &s.sendWindow, -maxWindow, maxWindow)
	number(x, &s.recvWindow, 0, maxWindow)
	number(x, &s.window, 0, maxWindow)
	number(x, &s.consumed, 0, maxWindow-s.recvWindow)
	number(x, &s.length, -1, math.MaxInt64)
	number(x, &s.received, 0, math.MaxInt64)
	text(x, &s.queue, maxFrozen)
	number(x, &s.free, 0, int64(len(s.queue)))
	s.source.code(x)
	number(x, &s.tail, 0, int64(tailReset))
	list(x, &s.trailers, math.MaxInt32, codeField)
	number(x, &s.resetCode, 0, math.MaxUint32)
	number(x, &s.unsent, 0, maxFrozen)
	number(x, &s.opened, 0, int64(longest))
	number(x, &s.stuck, int64(never), int64(longest))
	number(x, &s.deadline, 0, math.MaxInt64)
	number(x, &s.stall, 0, math.MaxInt64)
}

// check refuses what no connection can be. What it lets pass may still be
// nonsense, as anything may be that a peer says, but does no harm.
func (r *connRecord) check() error {
	last := uint32(0)
	for i := range r.streams {
		s := &r.streams[i]
		if s.id <= last || s.id%2 == 0 {
			return errors.New("its streams are out of order")
		}
		last = s.id
		if err := s.check(r.server); err != nil {
			return err
		}
	}
	if r.server && last > r.lastAccepted || !r.server && last >= r.nextID || r.nextID%2 == 0 {
		return errors.New("a stream is open that was never opened")
	}
	if !r.began && (!r.server || r.settled) || r.settled && !r.greeted {
		return errors.New("it has got further than its beginning")
	}
	if r.began && len(r.in) >= frameHeaderLen {
		if h := parseFrameHeader(r.in); len(r.in) >= frameHeaderLen+h.length {
			return errors.New("a frame lies unread")
		}
	}
	if err := r.partial.check(r.block.id != 0 && r.settled); err != nil {
		return err
	}
	return r.table.check()
}

func (s *streamRecord) check(server bool) error {
	waits := len(s.queue) > 0
	switch {
	case server && !s.gotHead, !server && !s.sentHead, s.gotEnd && !s.gotHead:
		return errors.New("a stream without its beginning")
	case s.sentEnd && s.gotEnd:
		return errors.New("a stream is open that has ended")
	case s.sentEnd && (waits || s.tail != tailNone), s.tail != tailNone && !waits, s.thenReset && s.tail == tailNone:
		return errors.New("a stream has more to send after its end")
	case len(s.trailers) > 0 && s.tail != tailTrailers:
		return errors.New("a stream has trailers that it does not send")
	}
	return nil
}

func (b *blockRecord) check(open bool) error {
	switch {
	case !open && (b.within || len(b.fields)+len(b.rest)+b.size+b.count > 0):
		return errors.New("part of a block without a block")
	case wholeFields(b.rest) > 0:
		return errors.New("a field lies unread")
	case !b.within && len(b.fields) > 0:
		return errors.New("a block has fields before its first")
	}
	return nil
}

func (t *tableRecord) check() error {
	var size uint32
	for i := range t.entries {
		size += t.entries[i].Size()
	}
	if size > t.size {
		return errors.New("a dynamic table is larger than it may be")
	}
	return nil
}
