package loomtest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipe is one direction of a connection: a bounded buffer with a writing and
// a reading end. Its lock is a leaf; no two pipes are ever locked at once.
type pipe struct {
	mu      sync.Mutex
	changed *sync.Cond // on mu; broadcast after every change of what follows

	// guarded by mu
	buf        []byte
	capacity   int
	budget     int64 // bytes still let through before the cut; negative: any number
	writing    bool  // a Write is at work; others wait, so that writes do not mix
	finished   bool  // the writer half-closed: EOF after buf
	writerGone bool
	readerGone bool
	broken     bool // the connection is cut
	deliver    bool // what buf held at the cut is read first
	readBy     deadline
	writeBy    deadline
}

// deadline is one of a connection's two time limits.
type deadline struct {
	expired bool
	timer   *time.Timer
	round   uint64 // tells the timer of an earlier setting from the current one
}

func newPipe(capacity int) *pipe {
	p := &pipe{capacity: capacity, budget: -1}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.readerGone:
			return 0, net.ErrClosed
		case len(b) == 0:
			return 0, nil
		case p.readBy.expired:
			return 0, os.ErrDeadlineExceeded
		case p.broken && !p.deliver:
			return 0, reset("read")
		case len(p.buf) > 0:
			return p.takeLocked(b), nil
		case p.broken:
			return 0, reset("read")
		case p.finished:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
}

func (p *pipe) takeLocked(b []byte) int {
	n := copy(b, p.buf)
	p.buf = p.buf[n:]
	if len(p.buf) == 0 {
		p.buf = nil
	}
	p.changed.Broadcast()
	return n
}

// write puts all of b into the buffer, waiting for room. It reports spent when
// the budget ran out on the way; the caller then cuts the connection.
func (p *pipe) write(b []byte) (n int, spent bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.writing {
		if err := p.writeErrLocked(); err != nil {
			return 0, false, err
		}
		p.changed.Wait()
	}
	p.writing = true
	defer func() {
		p.writing = false
		p.changed.Broadcast()
	}()
	for {
		if err := p.writeErrLocked(); err != nil {
			return n, false, err
		}
		if p.budget == 0 {
			return n, true, reset("write")
		}
		if n == len(b) {
			return n, false, nil
		}
		if room := p.roomLocked(len(b) - n); room > 0 {
			p.buf = append(p.buf, b[n:n+room]...)
			n += room
			p.changed.Broadcast()
			continue
		}
		p.changed.Wait()
	}
}

func (p *pipe) roomLocked(want int) int {
	room := min(want, p.capacity-len(p.buf))
	if p.budget >= 0 && room > 0 {
		room = int(min(int64(room), p.budget))
		p.budget -= int64(room)
	}
	return room
}

func (p *pipe) writeErrLocked() error {
	switch {
	case p.writerGone:
		return net.ErrClosed
	case p.writeBy.expired:
		return os.ErrDeadlineExceeded
	case p.broken:
		return reset("write")
	case p.finished, p.readerGone:
		return os.NewSyscallError("write", syscall.EPIPE)
	}
	return nil
}

// breakOff ends the pipe for both of its ends.
func (p *pipe) breakOff(deliver bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return
	}
	p.broken, p.deliver = true, deliver
	if !deliver {
		p.buf = nil
	}
	p.changed.Broadcast()
}

// closeReader ends the reading end and reports whether bytes were left unread.
func (p *pipe) closeReader() (unread bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	unread = len(p.buf) > 0
	p.readerGone = true
	p.buf = nil
	p.readBy.stop()
	p.changed.Broadcast()
	return unread
}

func (p *pipe) closeWriter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writerGone, p.finished = true, true
	p.writeBy.stop()
	p.changed.Broadcast()
}

// finish is the half-close: the writing end stays, but writes no more.
func (p *pipe) finish() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writerGone {
		return net.ErrClosed
	}
	p.finished = true
	p.changed.Broadcast()
	return nil
}

func (p *pipe) setCapacity(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.capacity = n
	p.changed.Broadcast()
}

func (p *pipe) setBudget(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = n
}

func (p *pipe) buffered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.buf)
}

// setDeadline puts d, one of the two deadlines of p, to at.
func (p *pipe) setDeadline(d *deadline, gone *bool, at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *gone {
		return net.ErrClosed
	}
	d.stop()
	d.expired = false
	if !at.IsZero() {
		wait := time.Until(at)
		d.expired = wait <= 0
		if !d.expired {
			round := d.round
			d.timer = time.AfterFunc(wait, func() { p.expire(d, round) })
		}
	}
	p.changed.Broadcast()
	return nil
}

func (p *pipe) expire(d *deadline, round uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.round == round {
		d.expired = true
		p.changed.Broadcast()
	}
}

// stop also makes sure that a timer that already fired changes nothing.
func (d *deadline) stop() {
	d.round++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func reset(call string) error {
	return os.NewSyscallError(call, syscall.ECONNRESET)
}
