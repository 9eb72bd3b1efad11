// Package peer starts the proxies that the bench compares, all of them before
// the same backend, and asks each for its costs.
//
// A Peer is used by one goroutine.
package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"loom/bench/internal/proc"
	"loom/bench/internal/role"
)

const (
	// startTimeout is how long a peer may take to listen.
	startTimeout = 10 * time.Second
	// answerTimeout is how long a Go process may take to answer SIGUSR1.
	answerTimeout = 10 * time.Second
	// quietTime lets connections that were just closed be closed everywhere.
	quietTime = 300 * time.Millisecond
)

// Peer is a running proxy, or the backend itself as the peer named direct.
type Peer struct {
	Name    string
	Addr    string // where it takes calls
	Version string

	reports bool          // answers SIGUSR1 with a line of JSON
	process *proc.Process // nil for direct
	watcher *watcher      // nil: nobody watches
}

// watch opens the peer's inspector.
func (p *Peer) watch(ctx context.Context) error {
	page, err := awaitPage(ctx, p.process.Lines())
	if err != nil {
		return err
	}
	p.watcher, err = watch(page)
	return err
}

// Measured reports whether the peer has a process of its own to be measured.
func (p *Peer) Measured() bool { return p.process != nil }

// CPU is the processor time that its processes have used so far.
func (p *Peer) CPU() (time.Duration, error) {
	if p.process == nil {
		return 0, nil
	}
	return p.process.CPU()
}

// RSS is the resident memory of its processes, in bytes.
func (p *Peer) RSS() (int64, error) {
	if p.process == nil {
		return 0, nil
	}
	return p.process.RSS()
}

// FDs is the number of files and sockets that its processes hold open.
func (p *Peer) FDs() (int, error) {
	if p.process == nil {
		return 0, nil
	}
	return p.process.FDs()
}

// Reports reports whether Settle tells of the peer's allocations.
func (p *Peer) Reports() bool { return p.reports }

// Settle lets the peer come to rest, and makes it give free memory back if it
// knows how to; only then the answer is not empty.
func (p *Peer) Settle(ctx context.Context) (role.Memory, error) {
	select {
	case <-ctx.Done():
		return role.Memory{}, ctx.Err()
	case <-time.After(quietTime):
	}
	if !p.reports {
		return role.Memory{}, nil
	}
	p.forgetOutput()
	if err := p.process.Signal(syscall.SIGUSR1); err != nil {
		return role.Memory{}, err
	}
	return p.awaitMemory(ctx)
}

// forgetOutput drops lines that were printed before the question was asked.
func (p *Peer) forgetOutput() {
	for {
		select {
		case _, open := <-p.process.Lines():
			if !open {
				return
			}
		default:
			return
		}
	}
}

func (p *Peer) awaitMemory(ctx context.Context) (role.Memory, error) {
	timeout := time.After(answerTimeout)
	for {
		select {
		case line, open := <-p.process.Lines():
			if !open {
				return role.Memory{}, errors.Join(errors.New("no answer to SIGUSR1"), p.process.Ended())
			}
			var m role.Memory
			// Lines of another kind are not an error: loomd logs.
			if json.Unmarshal([]byte(line), &m) == nil && m.Mallocs > 0 {
				return m, nil
			}
		case <-timeout:
			return role.Memory{}, fmt.Errorf("%s: no answer to SIGUSR1 within %v", p.Name, answerTimeout)
		case <-ctx.Done():
			return role.Memory{}, ctx.Err()
		}
	}
}

// Err tells, with its last words, that the peer has ended; nil while it runs.
func (p *Peer) Err() error {
	if p.process == nil {
		return nil
	}
	return p.process.Ended()
}

func (p *Peer) stop() error {
	if p.process == nil {
		return nil
	}
	err := p.process.Stop()
	if p.watcher != nil {
		p.watcher.stop()
	}
	return err
}
