package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"loom/internal/h2"
)

const (
	// farewellGap is how long there is at most between two connections that are
	// told to go, where they come back to another process at once: 50 a second
	// are nothing to it, and a few go quickly.
	farewellGap = 20 * time.Millisecond
	// farewellTick is how often the next ones are told: what is due within one
	// goes together.
	farewellTick = 10 * time.Millisecond
	// receptionLeft is how long a connection that is not HTTP/2 yet may take to
	// become it while all others are told to go: a handshake takes less, and who
	// says nothing keeps nobody waiting.
	receptionLeft = 2 * time.Second
	// lastWord is how long trailers of calls that are cut off may take to leave,
	// and the connections to close behind them.
	lastWord = time.Second
	// lastLook is how often it is looked meanwhile for calls that began late.
	lastLook = 50 * time.Millisecond
)

// haste says how a drain is to go on. The zero value waits for all calls.
type haste struct {
	// hurry ends the spreading of the farewells.
	hurry <-chan struct{}
	// cut ends the calls that are still open.
	cut <-chan struct{}
}

// drain ends the downstream connections: each hears that it is to go, those
// without calls first, spread over the time given; calls go on to their end,
// until they are cut off. New connections are no longer taken; those that were
// and have not come as far as HTTP/2 hear of it when they do.
func (s *Server) drain(spread time.Duration, h haste) {
	gone := make(chan struct{})
	go func() {
		s.conns.Wait()
		close(gone)
	}()
	for _, l := range s.now().all() {
		l.expire(time.Now().Add(receptionLeft))
	}
	s.sayFarewell(spread, h, gone)
	select {
	case <-gone:
		return
	case <-h.cut:
	}
	if n := s.relay.OpenCalls(); n > 0 {
		s.log.Warn("drain cut off", zap.Int("open_calls", n))
	}
	if s.cutOff(gone) {
		return
	}
	for _, l := range s.now().all() {
		l.cut()
	}
	<-gone
}

// sayFarewell tells all connections that they are to go.
func (s *Server) sayFarewell(spread time.Duration, h haste, gone <-chan struct{}) {
	all := s.leavers()
	start, told := time.Now(), 0
	spread = min(spread, time.Duration(len(all))*farewellGap)
	tick := time.NewTicker(farewellTick)
	defer tick.Stop()
	for {
		due := len(all)
		if past := time.Since(start); past < spread {
			due = min(due, 1+int(float64(due)*float64(past)/float64(spread)))
		}
		b := h2.NewBatch()
		for ; told < due; told++ {
			all[told].Drain(b)
		}
		b.Flush()
		if told == len(all) {
			return
		}
		select {
		case <-tick.C:
		case <-h.hurry:
			spread = 0
		case <-h.cut:
			spread = 0
		case <-gone:
			return
		}
	}
}

// leavers are the connections that speak HTTP/2, those with the fewest calls
// first.
func (s *Server) leavers() []*h2.Conn {
	type leaver struct {
		conn    *h2.Conn
		streams int
	}
	var all []leaver
	for _, l := range s.now().all() {
		for _, c := range l.conns() {
			all = append(all, leaver{c, c.Streams()})
		}
	}
	slices.SortStableFunc(all, func(a, b leaver) int { return cmp.Compare(a.streams, b.streams) })
	conns := make([]*h2.Conn, 0, len(all))
	for _, l := range all {
		conns = append(conns, l.conn)
	}
	return conns
}

// cutOff answers what is still open, and reports whether all connections went
// in the time that they have for it.
func (s *Server) cutOff(gone <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(context.Background(), lastWord)
	defer cancel()
	look := time.NewTicker(lastLook)
	defer look.Stop()
	for {
		b := h2.NewBatch()
		for _, l := range s.now().all() {
			for _, c := range l.conns() {
				c.DrainNow(b)
				s.relay.CutOff(b, c)
			}
		}
		b.Flush()
		select {
		case <-gone:
			return true
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
}
