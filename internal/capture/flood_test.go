//go:build linux

package capture

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"loom/internal/callevent"
)

// floodRole makes a process of the test binary the one that is flooded.
const floodRole = "LOOM_CAPTURE_FLOOD"

const (
	floodRing  = 64 << 20
	floodSlack = 64 << 20 // what may be resident beside the ring
)

// The process is one of its own, since other tests leave memory behind.
func TestFloodOfLargeMessagesStaysInTheRing(t *testing.T) {
	if os.Getenv(floodRole) != "" {
		flood(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), floodRole+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, after, _ := strings.Cut(string(out), "peak ")
	t.Logf("peak %s", strings.SplitN(after, "\n", 2)[0])
}

// flood records 2 GB in messages of 1 MB, while somebody reads and watches.
func flood(t *testing.T) {
	s := newTestStore(t, Options{Generation: 7, Calls: 10_000, Bytes: floodRing, MessageBytes: 256 << 10})
	sub := subscribe(t, s, 0)
	var calls, watching sync.WaitGroup
	watching.Go(func() {
		for {
			if _, err := sub.Next(t.Context()); err != nil {
				return
			}
		}
	})
	data := make([]byte, 16<<10)
	for g := range uint64(8) {
		calls.Go(func() {
			for i := range uint64(125) {
				f := routed(s, g*1000+i+1, "all")
				for _, d := range []callevent.Direction{callevent.Up, callevent.Down} {
					for part := range 64 {
						f.Piece(began, callevent.Piece{Direction: d, First: part == 0, Last: part == 63, Size: 1 << 20, Data: data})
					}
				}
				end(f)
			}
		})
	}
	calls.Wait()
	sub.Close()
	watching.Wait()
	st := s.Stats()
	if st.Seen != 1000 || st.Open != 0 || st.Bytes > floodRing || st.Kept < 100 {
		t.Errorf("the figures are %+v", st)
	}
	peak := peakRSS(t)
	t.Logf("peak %d MiB resident, %d calls kept", peak>>20, st.Kept)
	if peak > floodRing+floodSlack {
		t.Errorf("%d MiB were resident, want at most %d", peak>>20, (floodRing+floodSlack)>>20)
	}
}

// peakRSS is the most that was ever resident.
func peakRSS(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("the kernel says nothing")
	return 0
}
