package traffic

import (
	"fmt"
	"sync"
	"testing"
)

// Faults collects what must not happen. It keeps the first ones only.
type Faults struct {
	mu    sync.Mutex
	count int
	first []string
}

// Addf notes one, formatted as by fmt.Sprintf.
func (f *Faults) Addf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if len(f.first) < 20 {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}

// Report fails the test if there was any.
func (f *Faults) Report(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count > 0 {
		t.Errorf("%d faults, the first of which are:", f.count)
	}
	for _, fault := range f.first {
		t.Error(fault)
	}
}
