package server

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
)

var started = time.Now()

// unary is a call that went well.
func unary() *callevent.Summary {
	return &callevent.Summary{
		Started: started, Took: 6400 * time.Microsecond,
		Path: "/demo.pay.v1.Ledger/Charge", Backend: "pay", Peer: "127.0.0.1:46838", Attempts: 1,
		Up: callevent.Traffic{Messages: 1, Bytes: 25}, Down: callevent.Traffic{Messages: 12, Bytes: 3000},
		HasCode: true, Ender: callevent.ByBackend,
	}
}

// printed returns the lines that calls are given.
func printed(colour bool, calls ...*callevent.Summary) string {
	var out bytes.Buffer
	l := NewCallLines(&out, colour)
	for _, s := range calls {
		l.Ended(s)
	}
	l.Close()
	return out.String()
}

// A line tells when, how, how long, what, where, how much, who called and who
// ended it.
func TestCallLine(t *testing.T) {
	line := printed(false, unary())
	for _, want := range []string{
		started.Add(6400*time.Microsecond).Format("15:04:05.000") + " ", " OK ", " 6.4ms ", " /demo.pay.v1.Ledger/Charge ", " pay ",
		"↑1 25B", "↓12 2.9KiB", " 127.0.0.1:46838 ", " backend",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %q", want, line)
		}
	}
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		t.Errorf("%q is not one line", line)
	}
}

func TestCallLineOfOtherEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*callevent.Summary)
		want   string // a regular expression
	}{
		{"error of the backend", func(s *callevent.Summary) {
			s.Code, s.Detail = uint32(codes.NotFound), "no such order"
		}, ` NOT_FOUND .* backend .*no such order`},
		{"longest status", func(s *callevent.Summary) { s.Code = uint32(codes.FailedPrecondition) }, ` FAILED_PRECONDITION `},
		{"status of no name", func(s *callevent.Summary) { s.Code = 99 }, `^\S+ 99 +\S+ `},
		{"refused by loom", func(s *callevent.Summary) {
			s.Code, s.Ender, s.Reason, s.Backend = uint32(codes.Unimplemented), callevent.ByLoom, "NO_ROUTE", ""
			s.Detail = "no route for /x"
		}, ` UNIMPLEMENTED .* - .* loom .*NO_ROUTE.*no route for /x`},
		{"reset", func(s *callevent.Summary) {
			s.HasCode, s.Ender, s.Detail = false, callevent.ByBackendReset, "RST_STREAM INTERNAL_ERROR"
		}, ` - .* backend-reset .*RST_STREAM INTERNAL_ERROR`},
		{"cancelled", func(s *callevent.Summary) { s.Code, s.Ender = uint32(codes.Canceled), callevent.ByCancel }, ` CANCELLED .* cancel`},
		{"deadline", func(s *callevent.Summary) {
			s.Code, s.Ender = uint32(codes.DeadlineExceeded), callevent.ByDeadline
		}, ` DEADLINE_EXCEEDED .* deadline`},
		{"caller lost", func(s *callevent.Summary) { s.HasCode, s.Ender = false, callevent.ByCallerLost }, ` caller-lost`},
		{"microseconds", func(s *callevent.Summary) { s.Took = 233 * time.Microsecond }, ` 233µs `},
		{"seconds", func(s *callevent.Summary) { s.Took = 6420 * time.Millisecond }, ` 6.42s `},
		{"mebibytes", func(s *callevent.Summary) { s.Down.Bytes = 1 << 20 }, `↓12 1.0MiB`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := unary()
			tt.change(s)
			if line := printed(false, s); !regexp.MustCompile(tt.want).MatchString(line) {
				t.Errorf("line %q, want one like %s", line, tt.want)
			}
		})
	}
}

// What callers and backends say cannot move the cursor, hide text or make
// further lines, whatever it is.
func TestCallLineOfHostilePeers(t *testing.T) {
	hostile := []string{
		"\x1b[2J\x1b[H", "\x1b]0;title\a", "\r\n22:00:00.000 OK", "\u009b31m", "\u202egnp.exe", "\u2066x\u2069",
		"\u200b\u200f\ufeff", "\u2028\u2029", "\xff\xfe\x80", "\x00", "\x7f", "a\tb", "a b", strings.Repeat("\u0085", 50),
	}
	for _, text := range hostile {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			s := unary()
			s.Path, s.Code, s.Detail = "/x/"+text, uint32(codes.Internal), "it says "+text
			line := strings.TrimSuffix(printed(false, s), "\n")
			for i, r := range line {
				if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
					t.Fatalf("%q is in the line %q, at %d", r, line, i)
				}
			}
		})
	}
}

// A long path or message is cut, so that a line stays a line.
func TestCallLineIsBounded(t *testing.T) {
	for _, letter := range []string{"x", "\x1b", "ü", "\u202e"} {
		s := unary()
		s.Path = "/" + strings.Repeat(letter, 1<<16)
		s.Code, s.Detail = uint32(codes.Internal), strings.Repeat(letter, 1<<16)
		if line := printed(false, s); len(line) > 3000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

// Columns stand one below the other.
func TestCallLineColumns(t *testing.T) {
	long := unary()
	long.Code, long.Took, long.Backend = uint32(codes.InvalidArgument), 2500*time.Millisecond, "shop"
	long.Path = "/demo.shop.v1.Orders/UploadItems"
	long.Up = callevent.Traffic{Messages: 100, Bytes: 999}
	lines := strings.Split(printed(false, unary(), long), "\n")
	for _, column := range []string{"↑", "↓", "127.0.0.1", "/demo"} {
		if a, b := strings.Index(lines[0], column), strings.Index(lines[1], column); a != b {
			t.Errorf("column %s stands at %d and at %d:\n%s\n%s", column, a, b, lines[0], lines[1])
		}
	}
}

// Colour is there only where it was asked for, and goes back to none.
func TestCallLineColour(t *testing.T) {
	failed := unary()
	failed.Code = uint32(codes.Internal)
	if plain := printed(false, unary(), failed); strings.Contains(plain, "\x1b") {
		t.Errorf("colour in %q", plain)
	}
	lines := strings.Split(printed(true, unary(), failed), "\n")
	if !strings.Contains(lines[0], "\x1b[32m") || strings.Contains(lines[0], "\x1b[31m") {
		t.Errorf("a call that went well: %q", lines[0])
	}
	if !strings.Contains(lines[1], "\x1b[31m") || strings.Contains(lines[1], "\x1b[32m") {
		t.Errorf("a call that failed: %q", lines[1])
	}
	for _, line := range lines[:2] {
		if on := strings.LastIndex(line, "\x1b["); !strings.HasPrefix(line[on:], "\x1b[0m") {
			t.Errorf("the colour stays on after %q", line)
		}
	}
	if plain := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(strings.Join(lines, "\n"), ""); plain != printed(false, unary(), failed) {
		t.Errorf("colour changes the text: %q", plain)
	}
}

// gate is an output that stands still until it is opened.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	out  bytes.Buffer // guarded by mu
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.out.Write(p)
}

// While the output stands still, calls go on, and what cannot be shown is
// counted: each call is either a line or among those not shown.
func TestCallLinesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		l := NewCallLines(g, false)
		const calls = 3 * callLineQueue
		for range calls {
			l.Ended(unary())
		}
		synctest.Wait() // the printer is stuck; nobody else is
		close(g.open)
		l.Close()
		text := g.out.String()
		shown := strings.Count(text, "/demo.pay.v1.Ledger/Charge")
		missed := 0
		for _, m := range regexp.MustCompile(`\((\d+) calls not shown`).FindAllStringSubmatch(text, -1) {
			n := 0
			if _, err := fmt.Sscan(m[1], &n); err != nil {
				t.Fatal(err)
			}
			missed += n
		}
		if shown+missed != calls || shown < callLineQueue || missed == 0 {
			t.Fatalf("%d calls shown and %d said to be missing, of %d", shown, missed, calls)
		}
	})
}

// An output that stands still for ever does not keep loomd from ending.
func TestCallLinesEndWithAStuckOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		l := NewCallLines(g, false)
		l.Ended(unary())
		start := time.Now()
		l.Close()
		if took := time.Since(start); took != callLineLast {
			t.Fatalf("Close took %v", took)
		}
		close(g.open)
	})
}
