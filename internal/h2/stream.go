package h2

import "time"

// Receiver is told what comes in on one stream: on the reader goroutine of
// its connection, or on whichever goroutine ends the stream. Calls for one
// stream may come from two goroutines at once only for Ended and Expired.
type Receiver interface {
	// Headers brings a header block. The fields never change and may be
	// kept. Trailers always come with end.
	Headers(b *Batch, kind BlockKind, fields []Field, end bool)
	// Data brings bytes as they came on s, valid during the call. The
	// receiver passes them on with Stream.Send, naming s, or says s.Discard:
	// otherwise their credit is lost.
	Data(b *Batch, s *Stream, p []byte, end bool)
	// Ended says that the stream ended before both sides were through. It is
	// the last call, and comes at most once. It does not come after
	// Stream.Reset.
	Ended(b *Batch, e End)
	// Expired says that the time set by Stream.SetDeadline has come.
	Expired(b *Batch)
}

// Cause says why a stream ended early.
type Cause uint8

// The causes.
const (
	CausePeer    Cause = iota // the peer sent RST_STREAM with End.Code
	CauseRefused              // the peer certainly did not process it
	CauseLost                 // the connection was lost
	CauseFault                // the peer broke the protocol on it
	CauseStall                // it took nothing for Limits.Stall while bytes waited
	CauseBudget               // it was stuck longest when the process's budget was used up
)

// End says how a stream ended early.
type End struct {
	Cause Cause
	Code  ErrCode // of the RST_STREAM, if the peer sent one
	Err   error   // why the connection ended; nil if only the stream did
	Fault string  // for CauseFault: what the peer did
}

// tail is what follows the queued bytes of a stream.
type tail uint8

const (
	tailNone tail = iota
	tailEnd
	tailTrailers
	tailReset
)

// Stream is one stream of a connection. Its memory is given by the owner of
// the connection, so that it can lie beside what belongs to the same call.
// Its methods may be called from any goroutine, as long as it is open or was.
type Stream struct {
	// Immutable once it is open.
	id     uint32
	conn   *Conn
	recv   Receiver
	opened time.Time
	offset uint64 // of its first byte among all bytes written on the connection

	// Guarded by conn.mu.
	gone       bool // neither side will send any more
	sentHead   bool
	sentEnd    bool
	gotHead    bool
	gotEnd     bool
	ready      bool  // lies in conn.ready
	tail       tail  // what follows the queue
	sendWindow int64 // what the peer lets us send; negative after a change of its settings
	recvWindow int64 // what we let the peer send
	window     int64 // what recvWindow is filled up to
	consumed   int64 // bytes that left, for which the peer has no credit yet
	length     int64 // content-length, or -1
	received   int64
	queue      byteQueue // bytes to send
	free       int       // of the queued bytes, the first that carry no credit
	source     *Stream   // that the queued bytes came from
	trailers   []Field
	thenReset  bool // RST_STREAM follows the tail
	resetCode  ErrCode
	stuckSince time.Time // since when nothing was taken, while the queue has bytes
	deadline   alarm
	stall      alarm
}

// ID returns the stream's identifier; 0 if it was never opened.
func (s *Stream) ID() uint32 { return s.id }

// Conn returns the connection; nil if it was never opened.
func (s *Stream) Conn() *Conn { return s.conn }

// SendHeaders sends a header block, after what is queued. The fields must not
// change any more. On a stream that ended it does nothing.
func (s *Stream) SendHeaders(b *Batch, fields []Field, end bool) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.gone || s.sentEnd || s.tail != tailNone || c.dead:
	case c.out.len() > max(c.opts.Limits.Buffered, 4*c.opts.Limits.Outbox):
		c.opts.Counters.ControlReplies.Add(1)
		c.closeLocked(connError(CodeEnhanceYourCalm, "answers to it are not read"))
	case s.queued() > 0:
		s.trailers = fields
		s.tail = tailTrailers
	default:
		c.writeHeaders(s.id, fields, end)
		s.sentHead = true
		s.sentEnd = end
		c.touch(b)
		c.finish(b, s)
	}
}

// Send sends p as DATA, and END_STREAM after it if end. What the peer's
// windows or its socket do not take now is copied and queued. from is the
// stream that the bytes came in on: it gets its credit when they have left,
// so that a slow receiver slows the sender; nil if nobody is to get any.
func (s *Stream) Send(b *Batch, p []byte, end bool, from *Stream) {
	c := s.conn
	c.mu.Lock()
	if s.gone || s.sentEnd || s.tail != tailNone || c.dead {
		c.mu.Unlock()
		b.bytesLeft(from, len(p))
		return
	}
	n := 0
	if s.queued() == 0 {
		n = c.writeData(s, p, end, from)
	}
	if n < len(p) || end && !s.sentEnd {
		c.enqueue(b, s, p[n:], end, from)
	}
	c.touch(b)
	c.finish(b, s)
	c.mu.Unlock()
}

// Discard gives the sender credit for n bytes that came in on s and go nowhere.
func (s *Stream) Discard(b *Batch, n int) { b.bytesLeft(s, n) }

// Reset ends the stream at once: what is queued is dropped, RST_STREAM with
// code is sent, and the receiver hears nothing more. It does nothing on a
// stream that has ended.
func (s *Stream) Reset(b *Batch, code ErrCode) {
	c := s.conn
	c.mu.Lock()
	if !s.gone {
		c.reset(b, s, code)
	}
	c.mu.Unlock()
}

// ResetAfter is Reset after what is queued has been sent.
func (s *Stream) ResetAfter(b *Batch, code ErrCode) {
	c := s.conn
	c.mu.Lock()
	switch {
	case s.gone:
	case s.queued() > 0 && s.tail == tailNone:
		s.tail, s.resetCode = tailReset, code
	case s.queued() > 0:
		s.thenReset, s.resetCode = true, code
	default:
		c.reset(b, s, code)
	}
	c.mu.Unlock()
}

// SetDeadline has Receiver.Expired called at t, unless the stream has ended
// by then. A zero t takes the deadline back.
func (s *Stream) SetDeadline(t time.Time) {
	c := s.conn
	c.mu.Lock()
	switch {
	case s.gone:
	case t.IsZero():
		c.alarms.clear(&s.deadline)
	default:
		s.deadline.stream, s.deadline.kind = s, alarmDeadline
		c.alarms.set(&s.deadline, t, c.ring)
	}
	c.mu.Unlock()
}

// fail resets the stream and tells its receiver. It reports whether the
// stream was still open. No lock is held by the caller.
func (s *Stream) fail(b *Batch, e End) bool {
	c := s.conn
	c.mu.Lock()
	if s.gone {
		c.mu.Unlock()
		return false
	}
	c.reset(b, s, e.Code)
	c.mu.Unlock()
	s.recv.Ended(b, e)
	return true
}

// Queued returns how many bytes wait on the stream for the peer's windows or
// its socket.
func (s *Stream) Queued() int {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.queued()
}

func (s *Stream) queued() int { return s.queue.n }
