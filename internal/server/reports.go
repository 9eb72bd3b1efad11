package server

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"loom/internal/capture"
	"loom/internal/hotrestart"
)

const (
	// reportEvery is how often a process that drains tells the one that serves
	// how it fares.
	reportEvery = time.Second
	// reportPatience is how long that may take: a successor that takes nothing
	// is busy or stopped, and the next report holds all of this one.
	reportPatience = time.Second
)

// The report of how a process is.
const (
	statusReport  = "status"
	statusVersion = 1
)

// report is something that a process which another one has replaced tells that
// one: each second and once at its end.
type report struct {
	name    string
	version uint32 // of what make writes; take hears of no other
	// make returns what there is to tell; nil: it is told in another way.
	make func() ([]byte, error)
	// take hears what the process of an older generation told. It may come
	// again, and some may be missing.
	take func(generation int, data []byte)
	// gone says that no more comes from that generation. It may be nil.
	gone func(generation int)
}

// reports are all of them. Who has something to tell adds a line.
func (s *Server) reports() []report {
	return []report{
		{statusReport, statusVersion, s.saveStatus, s.generations.hear, nil},
		{"figures", 1, s.ledger.Report, s.hearFigures, s.figuresEnd},
		{
			callsReport, capture.SnapshotVersion, nil,
			func(generation int, data []byte) { s.watch.carry.hear(s.watch.store, generation, data) },
			func(generation int) { s.watch.carry.gone(s.watch.store, generation) },
		},
	}
}

// reporting tells a successor how this process fares, on a goroutine of its own.
type reporting struct {
	// Immutable.
	server *Server
	link   *hotrestart.Link
	log    *zap.Logger
	all    []report

	ask  chan chan struct{} // a report now; closed when it is made
	over chan struct{}      // closed when no more are made
	stop context.CancelFunc
	done sync.WaitGroup
}

// startReports begins to tell the successor at the other end of link. It
// returns when the first reports are made.
func (s *Server) startReports(link *hotrestart.Link) *reporting {
	ctx, stop := context.WithCancel(context.Background())
	r := &reporting{server: s, link: link, log: s.log.Named("reload"), all: s.reports(), ask: make(chan chan struct{}), over: make(chan struct{}), stop: stop}
	r.done.Go(func() { r.run(ctx) })
	s.telling.Store(r)
	r.tell()
	return r
}

// shown stands between figures that were gathered and whoever asked for them.
// Once another process serves it hears of them first, for it is asked next.
func (s *Server) shown() {
	if r := s.telling.Load(); r != nil {
		r.tell()
	}
}

func (r *reporting) run(ctx context.Context) {
	defer close(r.over)
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.send(ctx)
		case asked := <-r.ask:
			r.send(ctx)
			close(asked)
		}
	}
}

// tell makes all reports now, and waits until they are made. After end it does
// nothing.
func (r *reporting) tell() {
	asked := make(chan struct{})
	select {
	case r.ask <- asked:
		<-asked
	case <-r.over:
	}
}

// end makes no more of them.
func (r *reporting) end() {
	r.server.telling.Store(nil)
	r.stop()
	r.done.Wait()
}

// send makes all reports. What cannot be sent is in the next ones, too.
func (r *reporting) send(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	for _, x := range r.all {
		if x.make == nil {
			continue
		}
		data, err := x.make()
		if err == nil {
			err = r.link.Send(ctx, hotrestart.Message{Name: x.name, Version: x.version, Data: data})
		}
		if err != nil {
			r.log.Debug("report to the process that serves", zap.String("report", x.name), zap.Error(err))
		}
	}
}
