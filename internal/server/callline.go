package server

import (
	"bufio"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
	"loom/internal/config"
)

// callLineQueue is how many calls may wait to be printed: a terminal that
// stands still costs that many lines and no call a moment.
const callLineQueue = 4096

// CallLines prints one line for each call that ends. Calls never wait for it;
// lines that come faster than they can be written are dropped, and their number
// is printed instead.
type CallLines struct {
	// Immutable.
	colour bool
	queue  chan *callevent.Summary // CallLines sends, Close closes
	done   chan struct{}           // print closes it

	dropped atomic.Uint64
}

// NewCallLines begins to print to w, in colour or not. Close ends it.
func NewCallLines(w io.Writer, colour bool) *CallLines {
	l := &CallLines{colour: colour, queue: make(chan *callevent.Summary, callLineQueue), done: make(chan struct{})}
	go l.print(w)
	return l
}

// Ended queues the line of a call that ended.
func (l *CallLines) Ended(s *callevent.Summary) {
	own := *s
	select {
	case l.queue <- &own:
	default:
		l.dropped.Add(1)
	}
}

// callLineLast is how long the last lines may take: whoever reads may have
// stopped, and the daemon does not wait for it.
const callLineLast = 500 * time.Millisecond

// Close prints what is queued and stops; lines that nobody takes in time are
// given up. Nothing is observed any more then.
func (l *CallLines) Close() {
	close(l.queue)
	t := time.NewTimer(callLineLast)
	defer t.Stop()
	select {
	case <-l.done:
	case <-t.C:
	}
}

func (l *CallLines) print(to io.Writer) {
	defer close(l.done)
	w := bufio.NewWriter(to)
	for s := range l.queue {
		l.write(w, s)
		if n := l.dropped.Swap(0); n > 0 {
			fmt.Fprintf(w, "%s (%d calls not shown: the output is too slow)\n", time.Now().Format(lineTime), n)
		}
		if len(l.queue) == 0 {
			// Whoever reads has gone if this fails; there is nobody to tell.
			_ = w.Flush()
		}
	}
	_ = w.Flush()
}

const lineTime = "15:04:05.000"

// write writes time, status, latency, path, backend, messages and bytes up
// and down, peer, and who ended the call and why.
func (l *CallLines) write(w io.Writer, s *callevent.Summary) {
	backend := s.Backend
	if backend == "" {
		backend = "-"
	}
	status := fmt.Sprintf("%-19s", statusName(s))
	if l.colour {
		status = colourOf(s) + status + "\x1b[0m"
	}
	fmt.Fprintf(w, "%s %s %8s %-36s %-8s %s %s %-15s %s",
		s.Started.Add(s.Took).Format(lineTime), status, latency(s.Took), printable(s.Path), backend,
		traffic("↑", s.Up), traffic("↓", s.Down), s.Peer, s.Ender)
	switch {
	case s.Reason != "":
		fmt.Fprintf(w, " %s", s.Reason)
	case s.Ender == callevent.ByBackendReset:
		fmt.Fprintf(w, " %s", s.Detail)
	}
	if s.Code != 0 && s.HasCode && s.Detail != "" && s.Ender != callevent.ByCancel {
		fmt.Fprintf(w, " %q", shorten(s.Detail, 120))
	}
	fmt.Fprintln(w)
}

// colourOf is green for what went well, yellow for what the caller gave up,
// red for the rest.
func colourOf(s *callevent.Summary) string {
	switch {
	case s.HasCode && s.Code == uint32(codes.OK):
		return "\x1b[32m"
	case s.Ender == callevent.ByCancel:
		return "\x1b[33m"
	default:
		return "\x1b[31m"
	}
}

func traffic(arrow string, t callevent.Traffic) string {
	return fmt.Sprintf("%-11s", fmt.Sprintf("%s%d %s", arrow, t.Messages, size(t.Bytes)))
}

func statusName(s *callevent.Summary) string {
	if !s.HasCode {
		return "-"
	}
	return codeName(s.Code)
}

// codeName names a status as the gRPC documents write it.
func codeName(code uint32) string {
	if code == 0 {
		return "OK"
	}
	return config.Code(code).String()
}

func latency(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	default:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
}

func size(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%dB", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1fKiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20))
	}
}

// printable keeps what a caller sends from moving the cursor.
func printable(s string) string {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return fmt.Sprintf("%q", shorten(s, 200))
		}
	}
	return shorten(s, 200)
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
