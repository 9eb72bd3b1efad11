package breaker

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"loom/test/daemon"
)

// probes is how many a half-open breaker lets through, in every scenario.
const probes = 3

// settings open a breaker for openFor, give or take a fifth, after five failures
// in a row. Each opening lasts as long as the first, so that a scenario is short.
const (
	openFor  = 400 * time.Millisecond
	settings = `{trip: {consecutive: 5}, min_deadline: 900ms, open_for: 400ms, max_open_for: 480ms, half_open: {probes: 3, probe_timeout: 300ms}}`
)

// loomd is one with a breaker before each of its backends.
type loomd struct {
	*daemon.Process
	t       *testing.T
	address string
	metrics string
}

// startLoomd runs loomd before the backends; rest are its routes.
func startLoomd(t *testing.T, backends, routes string) *loomd {
	t.Helper()
	l := &loomd{t: t, address: daemon.FreeAddress(t), metrics: daemon.FreeAddress(t)}
	config := daemon.WriteConfig(t, fmt.Sprintf(`
listeners: [{name: plain, address: %q}]
metrics: {address: %q}
capture: {mode: "off"}
backends: %s
routes: %s
`, l.address, l.metrics, backends, routes))
	l.Process = program.Start(t, "-config", config, "-quiet")
	l.WaitListening(t, l.address)
	return l
}

// move is a change of state of a breaker, as the log has it.
type move struct {
	At      time.Time `json:"ts"`
	Logger  string    `json:"logger"`
	Backend string    `json:"backend"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Reason  string    `json:"reason"`
}

// moves are those of a backend, in order.
func (l *loomd) moves(backend string) []move {
	l.t.Helper()
	var all []move
	for line := range strings.Lines(l.Stderr()) {
		var m move
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &m) == nil && m.Logger == "breaker" && m.Backend == backend {
			all = append(all, m)
		}
	}
	return all
}

// awaitMove waits for a change to the state after that time.
func (l *loomd) awaitMove(backend, to string, after time.Time) (found move) {
	l.t.Helper()
	l.Await(l.t, "the breaker is "+to, func() bool {
		for _, m := range l.moves(backend) {
			if m.To == to && m.At.After(after) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// figure is the value of a line of the metrics; empty if there is none.
func (l *loomd) figure(name string) string {
	l.t.Helper()
	answer, err := http.Get("http://" + l.metrics + "/metrics")
	if err != nil {
		l.t.Fatalf("ask for the metrics: %v", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		l.t.Fatalf("read the metrics: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
