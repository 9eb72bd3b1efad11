package callevent_test

import (
	"testing"

	"loom/internal/callevent"
)

// People filter the lines of calls by these words.
func TestEnderNames(t *testing.T) {
	names := map[callevent.Ender]string{
		callevent.ByBackend: "backend", callevent.ByBackendReset: "backend-reset", callevent.ByBackendLost: "backend-lost",
		callevent.ByCancel: "cancel", callevent.ByCallerLost: "caller-lost", callevent.ByDeadline: "deadline", callevent.ByLoom: "loom", callevent.ByBreaker: "breaker",
	}
	seen := make(map[string]bool)
	for e := range callevent.ByBreaker + 1 {
		if got := e.String(); got != names[e] || seen[got] {
			t.Errorf("ender %d is called %q, want %q, and no other so", e, got, names[e])
		}
		seen[e.String()] = true
	}
}
