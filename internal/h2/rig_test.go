package h2_test

import (
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

const grace = 10 * time.Second // for what should come at once

// host is the side under test: what its connections share, and what is
// checked when they have ended.
type host struct {
	t        *testing.T
	opts     *h2.Options
	counters *h2.Counters
	budget   *h2.Budget
}

// newHost returns a host with the usual limits, changed.
func newHost(t *testing.T, change ...func(*h2.Options)) *host {
	t.Helper()
	h := &host{t: t, counters: new(h2.Counters)}
	h.budget = h2.NewBudget(64<<20, h.counters)
	h.opts = &h2.Options{Limits: h2.DefaultLimits(), Counters: h.counters, Budget: h.budget}
	for _, f := range change {
		f(h.opts)
	}
	h.budget = h.opts.Budget
	t.Cleanup(func() {
		if used := h.budget.Used(); used != 0 {
			t.Errorf("%d bytes of the budget are in use after all connections have ended", used)
		}
	})
	return h
}

// limits changes limits.
func limits(change func(*h2.Limits)) func(*h2.Options) {
	return func(o *h2.Options) { change(&o.Limits) }
}

// served is a connection under test and its owner. Its legs do nothing by
// themselves unless setup says so.
type served struct {
	*h2.Conn
	t       *testing.T
	setup   func(*leg)    // immutable; of streams that the peer opens
	legs    chan *leg     // of streams that the peer opened
	changed chan struct{} // Owner.Changed was called
	ended   chan struct{} // closed when Serve has returned
	err     error         // what it returned

	mu   sync.Mutex
	born []*leg // guarded by mu; all that there ever were
}

// keep remembers a leg for when the connection is written down.
func (s *served) keep(l *leg) {
	s.mu.Lock()
	s.born = append(s.born, l)
	s.mu.Unlock()
}

func (s *served) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) {
	l := newLeg(s.t)
	if s.setup != nil {
		s.setup(l)
	}
	s.keep(l)
	s.legs <- l
	return &l.Stream, l
}

func (s *served) Changed(*h2.Batch, *h2.Conn) {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// serve runs the connection on nc until the test ends, when its peer, which
// must have been made later, has closed it.
func (h *host) serve(nc net.Conn, server bool, setup func(*leg)) *served {
	h.t.Helper()
	s := &served{
		t: h.t, setup: setup, legs: make(chan *leg, 10000),
		changed: make(chan struct{}, 10000),
	}
	if server {
		s.Conn = h2.NewServer(nc, h.opts, s)
	} else {
		s.Conn = h2.NewClient(nc, h.opts, s)
	}
	s.run()
	h.t.Cleanup(func() { <-s.ended })
	return s
}

// run serves the connection.
func (s *served) run() {
	conn, ended := s.Conn, make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		s.err = conn.Serve()
	}()
}

// wantEnd waits until Serve has returned, and returns its error.
func (s *served) wantEnd() error {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.t.Fatal("the connection does not end")
	}
	return s.err
}

// leg waits for the next stream that the peer opens.
func (s *served) leg() *leg {
	s.t.Helper()
	select {
	case l := <-s.legs:
		return l
	case <-time.After(grace):
		s.t.Fatal("no stream was opened")
		return nil
	}
}

// open opens a stream with the usual request.
func (s *served) open(end bool, setup ...func(*leg)) (*leg, error) {
	l := newLeg(s.t)
	for _, f := range setup {
		f(l)
	}
	s.keep(l)
	b := h2.NewBatch()
	defer b.Flush()
	return l, s.Open(b, &l.Stream, l, []h2.Field(loomtest.RequestFields("/s/m")), end)
}

// mustOpen is open, which has to work.
func (s *served) mustOpen(end bool, setup ...func(*leg)) *leg {
	s.t.Helper()
	l, err := s.open(end, setup...)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// changedNow reports whether Changed was called since the last look.
func (s *served) changedNow() (called bool) {
	for {
		select {
		case <-s.changed:
			called = true
		default:
			return called
		}
	}
}

// leg is one stream under test. What comes is noted, and the bytes are
// discarded, so that their credit goes back; a hook that is set gets them
// instead, and says what becomes of the bytes.
type leg struct {
	h2.Stream
	t      *testing.T
	events chan event

	// Immutable once the stream is open.
	onHeaders func(b *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool)
	onData    func(b *h2.Batch, s *h2.Stream, p []byte, end bool)
	onEnded   func(b *h2.Batch, e h2.End)
	onExpired func(b *h2.Batch)
}

// event is one call of a Receiver.
type event struct {
	what   string // headers, data, ended, expired
	kind   h2.BlockKind
	fields loomtest.Fields
	data   []byte
	end    bool
	ended  h2.End
}

func newLeg(t *testing.T) *leg { return &leg{t: t, events: make(chan event, 64)} }

func (l *leg) Headers(b *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool) {
	l.events <- event{what: "headers", kind: kind, fields: fields, end: end}
	if l.onHeaders != nil {
		l.onHeaders(b, kind, fields, end)
	}
}

func (l *leg) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	if l.onData != nil {
		l.onData(b, s, p, end)
		return
	}
	l.events <- event{what: "data", data: slices.Clone(p), end: end}
	s.Discard(b, len(p))
}

func (l *leg) Ended(b *h2.Batch, e h2.End) {
	l.events <- event{what: "ended", ended: e}
	if l.onEnded != nil {
		l.onEnded(b, e)
	}
}

func (l *leg) Expired(b *h2.Batch) {
	l.events <- event{what: "expired"}
	if l.onExpired != nil {
		l.onExpired(b)
	}
}

// want waits for the next event, which has to be of that sort.
func (l *leg) want(what string) event {
	l.t.Helper()
	return l.wantWithin(grace, what)
}

func (l *leg) wantWithin(d time.Duration, what string) event {
	l.t.Helper()
	select {
	case e := <-l.events:
		if e.what != what {
			l.t.Fatalf("want %s on stream %d, got %+v", what, l.ID(), e)
		}
		return e
	case <-time.After(d):
		l.t.Fatalf("want %s on stream %d, got nothing within %v", what, l.ID(), d)
		return event{}
	}
}

// wantEnded waits for Ended with that cause.
func (l *leg) wantEnded(cause h2.Cause) h2.End {
	l.t.Helper()
	return l.wantEndedWithin(grace, cause)
}

func (l *leg) wantEndedWithin(d time.Duration, cause h2.Cause) h2.End {
	l.t.Helper()
	e := l.wantWithin(d, "ended").ended
	if e.Cause != cause {
		l.t.Fatalf("stream %d ended with %+v, want cause %d", l.ID(), e, cause)
	}
	return e
}

// wantNothing fails if something has come that nobody wanted.
func (l *leg) wantNothing() {
	l.t.Helper()
	select {
	case e := <-l.events:
		l.t.Fatalf("want nothing on stream %d, got %+v", l.ID(), e)
	default:
	}
}

// do runs f with a batch, and flushes it.
func do(f func(b *h2.Batch)) {
	b := h2.NewBatch()
	f(b)
	b.Flush()
}

func (l *leg) send(p []byte, end bool) { do(func(b *h2.Batch) { l.Send(b, p, end, nil) }) }

func (l *leg) headers(end bool, kv ...string) {
	do(func(b *h2.Batch) { l.SendHeaders(b, loomtest.KV(kv...), end) })
}

// respond sends the usual response headers.
func (l *leg) respond() { l.headers(false, ":status", "200", "content-type", "application/grpc") }

// downstream returns a served connection in memory and its scripted caller.
func (h *host) downstream(setup func(*leg), opts ...loomtest.Option) (*served, *loomtest.Downstream) {
	h.t.Helper()
	mine, theirs := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
	s := h.serve(theirs, true, setup)
	return s, loomtest.NewDownstream(h.t, mine, opts...)
}

// upstream returns a served connection in memory that opens streams, and the
// scripted backend on it.
func (h *host) upstream(opts ...loomtest.Option) (*served, *loomtest.Upstream) {
	h.t.Helper()
	mine, theirs := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
	s := h.serve(mine, false, nil)
	return s, loomtest.NewUpstream(h.t, theirs, opts...)
}

// relayTo makes the streams that a peer opens go on, one for one, on up.
func relayTo(up *served) func(*leg) {
	return func(l *leg) {
		out := newLeg(l.t)
		up.keep(out)
		l.onHeaders = func(b *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool) {
			if kind == h2.BlockTrailers {
				out.SendHeaders(b, fields, end)
				return
			}
			if err := up.Open(b, &out.Stream, out, fields, end); err != nil {
				l.t.Errorf("open: %v", err)
			}
		}
		l.onData = func(b *h2.Batch, s *h2.Stream, p []byte, end bool) { out.Send(b, p, end, s) }
		l.onEnded = func(b *h2.Batch, _ h2.End) { out.Reset(b, h2.CodeCancel) }
		out.onHeaders = func(b *h2.Batch, _ h2.BlockKind, fields []h2.Field, end bool) { l.SendHeaders(b, fields, end) }
		out.onData = func(b *h2.Batch, s *h2.Stream, p []byte, end bool) { l.Send(b, p, end, s) }
		out.onEnded = func(b *h2.Batch, e h2.End) { l.ResetAfter(b, e.Code) }
	}
}

// inBubble runs f under fake time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
