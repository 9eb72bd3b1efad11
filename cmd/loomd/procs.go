package main

import (
	"math"
	"runtime"
	"syscall"
	"time"
)

const (
	// procsEvery is how often the use of CPU is looked at: a burst waits at
	// most that long for another core.
	procsEvery = 100 * time.Millisecond
	// procsCalm is how many looks in a row must find a core superfluous
	// before it is given up, because the next burst may need it.
	procsCalm = 20
)

// scaleProcs lets the Go scheduler use as many cores as the load needs, and
// no more, until stop is called. A scheduler with more spreads the few
// connections that are ready over all of them: threads are woken that find
// little to do, and writes that could leave together leave one by one. With
// 20 callers in ping-pong that is a quarter of the CPU per call (measured).
func scaleProcs() (stop func()) {
	most := runtime.GOMAXPROCS(0)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(procsEvery)
		defer tick.Stop()
		s := procsScale{most: most, now: 1}
		runtime.GOMAXPROCS(1)
		last, lastAt := cpuTime(), time.Now()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			used, at := cpuTime(), time.Now()
			if n := s.next(float64(used-last) / float64(at.Sub(lastAt))); n != runtime.GOMAXPROCS(0) {
				runtime.GOMAXPROCS(n)
			}
			last, lastAt = used, at
		}
	}()
	return func() {
		close(quit)
		<-done
		runtime.GOMAXPROCS(most)
	}
}

// procsScale decides how many cores to use.
type procsScale struct {
	most int
	now  int
	calm int // looks in a row that would have done with fewer
}

// next takes how many cores were busy on average and returns how many to use:
// more at once when those in use are nearly full, fewer after a calm while.
func (s *procsScale) next(busy float64) int {
	switch {
	case busy > 0.75*float64(s.now):
		s.now = min(s.most, max(s.now+1, int(math.Ceil(busy/0.6))))
		s.calm = 0
	case busy < 0.5*float64(s.now-1):
		if s.calm++; s.calm >= procsCalm {
			s.now--
			s.calm = 0
		}
	default:
		s.calm = 0
	}
	return s.now
}

// cpuTime is the CPU time that the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
