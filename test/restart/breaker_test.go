//go:build linux

package restart

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
)

// breakerState is a breaker as loomctl shows it.
type breakerState struct {
	State     string    `json:"state"`
	NextProbe time.Time `json:"nextProbe"`
	Openings  int       `json:"openings"`
	LastError string    `json:"lastError"`
}

func (f *family) breaker() breakerState {
	f.t.Helper()
	var list struct{ Breakers []breakerState }
	f.ask(&list, "breaker", "status")
	if len(list.Breakers) != 1 {
		f.t.Fatalf("breakers %+v", list.Breakers)
	}
	return list.Breakers[0]
}

// guard adds a breaker to the backend of the family.
func (f *family) guard(settings string) {
	f.t.Helper()
	text, err := os.ReadFile(f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	guarded := strings.Replace(string(text), `"]}}`, `"], breaker: {`+settings+`}}}`, 1)
	if err := os.WriteFile(f.config, []byte(guarded), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// openTolerance is by how much the end of an opening may move with each reload:
// what the clock of the test and that of loomd make of one moment.
const openTolerance = 100 * time.Millisecond

// A breaker that is open stays so over reloads, and lets the first call pass at
// the moment at which it would have without them: no earlier, no later.
func TestOpenBreaker(t *testing.T) {
	reloads := max(4, *stormReloads)
	openFor := 4*time.Second + time.Duration(reloads)*time.Second // a reload takes less
	dead := daemon.FreeAddress(t)
	f := startFamily(t, dead, "restart: {drain: 1s, probation: 200ms}\n")
	f.guard(fmt.Sprintf("trip: {consecutive: 3}, open_for: %v, max_open_for: %v", openFor, openFor))
	f.reload() // with the breaker
	f.await("the breaker opens", func() bool {
		conn := connect(t, f.listen)
		defer conn.Close()
		_ = echo(conn, "hello") // nobody answers
		return f.breaker().State == "open"
	})
	before := f.breaker()
	for n := range reloads {
		f.reload()
		after := f.breaker()
		if after.State != "open" || after.Openings != before.Openings || after.LastError != before.LastError {
			t.Fatalf("after reload %d the breaker is %+v, was %+v", n+1, after, before)
		}
		if moved := after.NextProbe.Sub(before.NextProbe).Abs(); moved > openTolerance {
			t.Errorf("reload %d moved the next probe by %v", n+1, moved)
		}
	}
	conn := connect(t, f.listen)
	for {
		err := echo(conn, "hello")
		now := time.Now()
		if status.Code(err) != codes.Unavailable {
			t.Fatalf("the call ended with %v", err)
		}
		if reason(err) == "BREAKER_OPEN" && now.Before(before.NextProbe.Add(time.Second)) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if late := now.Sub(before.NextProbe); late < -openTolerance || late > 500*time.Millisecond {
			t.Errorf("the first call that was let pass, with reason %s, came %v after the next probe was due", reason(err), late)
		}
		break
	}
}

// What an operator told a breaker holds in the next process.
func TestHeldBreaker(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 1s, probation: 200ms}\n")
	f.guard("trip: {consecutive: 3}")
	f.reload()
	f.ctl("breaker", "open", "main")
	for n := range 3 {
		f.reload()
		if b := f.breaker(); b.State != "forced-open" {
			t.Errorf("after reload %d the breaker is %s", n+1, b.State)
		}
		if err := echo(connect(t, f.listen), "hello"); reason(err) != "BREAKER_OPEN" {
			t.Errorf("after reload %d a call ends with %v", n+1, err)
		}
	}
	f.ctl("breaker", "auto", "main")
	if err := echo(connect(t, f.listen), "hello"); err != nil {
		t.Error(err)
	}
}
