package hotrestart

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// Offer is what a process has for its successor.
type Offer struct {
	Generation int // of the successor
	// Sockets are those that it may take over.
	Sockets []Socket
	// Sections are the state that crosses, in this order.
	Sections []Section
	// Links are those to older processes, which the successor hears from once
	// it serves. Nobody may use them here during Hand; see Link.
	Links []*Link
}

// Socket is a listening socket that crosses.
type Socket struct {
	// Key is what the successor finds it by: all that it needs to be the same,
	// such as network, address and flags. 1 to 400 bytes, each key once.
	Key string
	// Conn has the descriptor. It stays the caller's, and open.
	Conn syscall.Conn
}

// Section is the state of one owner.
type Section struct {
	Name    string // 1 to 200 bytes, each name once
	Version uint32 // of the data, by which the receiver knows whether it understands it
	// Save returns the state, at most a gigabyte. It is called once, while
	// the process still serves, and has to return soon: all of them share ten
	// seconds. Of one that fails or is late, there is a warning, and the
	// successor starts without.
	Save func() ([]byte, error)
}

// Options are the ways in which handovers differ. The zero value is good.
type Options struct {
	// Build is what this process tells the other one that it is.
	Build string
	// Ready is how long the successor may take to get ready while it shows
	// that it lives. 60 s if zero. Everything together never takes longer than
	// 75 s.
	Ready time.Duration
	// Progress, if any, hears of each step as it begins, and what the
	// successor says that it does. It is called from Hand's goroutine.
	Progress func(step Step, what string)
	// Stderr is what the successor has as stderr; os.Stderr if nil.
	Stderr *os.File

	limits *limits // those that a test wants
}

func (o Options) complete() Options {
	l := defaultLimits()
	if o.limits != nil {
		l = *o.limits
	}
	if o.Ready > 0 {
		l.ready = o.Ready
	}
	o.limits = &l
	if o.Progress == nil {
		o.Progress = func(Step, string) {}
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	return o
}

// validate finds the mistakes of a caller before anything is started.
func (o Offer) validate() error {
	if len(o.Sockets) > maxSockets || len(o.Links) > maxLinks || len(o.Sections) > maxSections {
		return fmt.Errorf("an offer has at most %d sockets, %d links and %d sections", maxSockets, maxLinks, maxSections)
	}
	keys := make(map[string]bool, len(o.Sockets))
	for _, s := range o.Sockets {
		if err := checkKey(s.Key); err != nil {
			return err
		}
		if keys[s.Key] {
			return fmt.Errorf("two sockets have the key %q", s.Key)
		}
		keys[s.Key] = true
	}
	names := make(map[string]bool, len(o.Sections))
	for _, s := range o.Sections {
		if err := checkName(s.Name); err != nil {
			return err
		}
		if names[s.Name] {
			return fmt.Errorf("two sections have the name %q", s.Name)
		}
		names[s.Name] = true
	}
	return nil
}
