//go:build unix

package capture

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A file that takes nothing keeps loomd neither from recording nor from ending.
func TestStuckSessionFileIsGivenUp(t *testing.T) {
	o, logs := logged(sessionOptions(t))
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(o.Path(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newTestStore(t, small())
	w := s.OpenSession(o)
	play(s, 1, 2*sessionQueue, 100)
	if kept := s.Stats().Kept; kept == 0 {
		t.Error("nothing is recorded while the file is stuck")
	}
	began := time.Now()
	w.Close()
	if took := time.Since(began); took > 2*sessionClose+5*time.Second {
		t.Errorf("Close took %v", took)
	}
	select {
	case <-w.ended:
	default:
		t.Error("what writes has not ended")
	}
	if w.Lost() < sessionQueue || w.Lost() != s.Stats().Session {
		t.Errorf("%d calls count as lost, of %d", w.Lost(), 2*sessionQueue)
	}
	if logs.FilterMessageSnippet("given up").Len() != 1 || !strings.Contains(logs.All()[0].ContextMap()["file"].(string), "work.ndjson") {
		t.Errorf("the log says %v", logs.All())
	}
}
