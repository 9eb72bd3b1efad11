package server

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
)

// callLineQueue is how many calls may wait to be printed: a terminal that
// stands still costs that many lines and no call a moment.
const callLineQueue = 4096

// CallLines prints one line for each call that ends. It is a relay.Observer:
// calls never wait for it; lines that come faster than they can be written
// are dropped, and their number is printed instead.
type CallLines struct {
	// Immutable.
	queue chan *callevent.Summary // CallLines sends, Close closes
	done  sync.WaitGroup

	dropped atomic.Uint64
}

// NewCallLines begins to print to w. Close ends it.
func NewCallLines(w io.Writer) *CallLines {
	l := &CallLines{queue: make(chan *callevent.Summary, callLineQueue)}
	l.done.Go(func() { l.print(w) })
	return l
}

// Observe queues the line of a call that ended.
func (l *CallLines) Observe(e callevent.Event) {
	if e.Kind != callevent.End {
		return
	}
	select {
	case l.queue <- e.Summary:
	default:
		l.dropped.Add(1)
	}
}

// Close prints what is queued and stops. Nothing is observed any more then.
func (l *CallLines) Close() {
	close(l.queue)
	l.done.Wait()
}

func (l *CallLines) print(to io.Writer) {
	w := bufio.NewWriter(to)
	for s := range l.queue {
		writeCallLine(w, s)
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

// writeCallLine writes time, status, latency, path, backend, messages and
// bytes up and down, peer, and who ended the call.
func writeCallLine(w io.Writer, s *callevent.Summary) {
	backend := s.Backend
	if backend == "" {
		backend = "-"
	}
	fmt.Fprintf(w, "%s %-19s %8s %s %s ↑%d %s ↓%d %s %s %s",
		s.Started.Add(s.Took).Format(lineTime), statusName(s), latency(s.Took), printable(s.Path), backend,
		s.Up.Messages, size(s.Up.Bytes), s.Down.Messages, size(s.Down.Bytes), s.Peer, s.Ender)
	switch {
	case s.Reason != "":
		fmt.Fprintf(w, " %s", s.Reason)
	case s.Ender == callevent.ByBackendReset:
		fmt.Fprintf(w, " %s", s.Detail)
	}
	if s.Code != 0 && s.HasCode && s.Detail != "" {
		fmt.Fprintf(w, " %q", shorten(s.Detail, 120))
	}
	fmt.Fprintln(w)
}

func statusName(s *callevent.Summary) string {
	switch {
	case !s.HasCode:
		return "-"
	case s.Code == 0:
		return "OK"
	default:
		return upperSnake(codes.Code(s.Code).String())
	}
}

// upperSnake turns NotFound into NOT_FOUND, as the gRPC documents write it.
func upperSnake(s string) string {
	out := make([]byte, 0, len(s)+4)
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' && i > 0 && 'a' <= s[i-1] && s[i-1] <= 'z' {
			out = append(out, '_')
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		out = append(out, c)
	}
	return string(out)
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
