package hotrestart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Message is what processes tell each other over a Link.
type Message struct {
	Name    string // what it is, 1 to 200 bytes
	Version uint32 // of Data
	Data    []byte // at most a gigabyte; large ones cross in a file in memory
}

// Link connects a process that drains with the one that serves, until either
// ends. Messages come whole and in order. Its methods may be called from
// several goroutines.
//
// A process that is replaced itself passes its links on in Offer.Links. It
// stops to receive, and to send, before Hand: what has not been received then
// waits in the socket for the successor. It closes them when it is sure of the
// successor; if the handover fails it goes on with them, and nothing is lost.
type Link struct {
	// Immutable.
	generation int
	pid        int
	channel    *channel
	receiving  chan struct{} // held by who receives
}

func newLink(generation, pid int, c *channel) *Link {
	return &Link{generation: generation, pid: pid, channel: c, receiving: make(chan struct{}, 1)}
}

// Generation is that of the process at the other end, as it was when the link
// was made: a successor may have been replaced since.
func (l *Link) Generation() int { return l.generation }

// PID is the process at the other end, for people to read. See Generation.
func (l *Link) PID() int { return l.pid }

// Send sends a message. It waits while the other process has not taken what
// was sent before, until ctx ends. A process that has ended gives an error.
func (l *Link) Send(ctx context.Context, m Message) error {
	if err := checkName(m.Name); err != nil {
		return err
	}
	_, err := l.channel.send(ctx, kindMessage, message{Name: m.Name, Version: m.Version}, m.Data)
	return err
}

// Receive waits for a message. It returns io.EOF when the other process has
// ended and everything that it sent has been received. When ctx ends nothing is
// lost: a message has either been returned or not been taken. A message that
// came damaged gives an error, and the next one can be received.
func (l *Link) Receive(ctx context.Context) (Message, error) {
	select {
	case l.receiving <- struct{}{}:
		defer func() { <-l.receiving }()
	case <-ctx.Done():
		return Message{}, context.Cause(ctx)
	}
	for ctx.Err() == nil {
		in, err := l.channel.receive(ctx)
		if errors.Is(err, io.EOF) {
			return Message{}, io.EOF
		}
		if err != nil {
			return Message{}, fmt.Errorf("receive from generation %d: %w", l.generation, err)
		}
		m, ok, err := openMessage(in)
		if ok || err != nil {
			return m, err
		}
	}
	return Message{}, context.Cause(ctx)
}

// openMessage returns the message in a frame, and not ok for one that is left
// over from the handover.
func openMessage(in *incoming) (Message, bool, error) {
	defer in.close()
	if in.kind != kindMessage {
		return Message{}, false, nil
	}
	head, err := read[message](in)
	if err == nil {
		err = checkName(head.Name)
	}
	if err == nil && in.damage != nil {
		err = fmt.Errorf("message %q: %w", head.Name, in.damage)
	}
	if err != nil {
		return Message{}, false, err
	}
	return Message{Name: head.Name, Version: head.Version, Data: in.body}, true, nil
}

// Close ends the link for this process. The other one sees its end unless
// another process holds this end too.
func (l *Link) Close() error { return l.channel.conn.Close() }

// end is what a successor hears of the link.
func (l *Link) end() (linkEnd, syscall.Conn) {
	return linkEnd{Generation: l.generation, PID: l.pid, Version: int(l.channel.version)}, l.channel.conn
}
