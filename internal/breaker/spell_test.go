package breaker

import (
	"sync"
	"testing"
	"time"
)

// What is counted with the lock and without it adds up, whatever opens and
// closes the breaker meanwhile; and a second verdict counts for nothing.
func TestTotalsAddUp(t *testing.T) {
	b, err := New(Options{Name: "users", Settings: usual()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	const callers, each = 8, 2000
	var calling sync.WaitGroup
	for caller := range callers {
		calling.Go(func() {
			for i := range each {
				ticket, _, ok := b.Allow(time.Now(), nil)
				if !ok {
					b.Reset("the test")
					continue
				}
				v := Success
				switch (i + caller) % 50 {
				case 1, 2, 3, 4, 5, 6:
					v = Failure
				case 7:
					v = Excluded
				}
				b.Done(time.Now(), &ticket, v, "the test")
				b.Done(time.Now(), &ticket, Failure, "once more")
			}
		})
	}
	calling.Wait()
	n := b.Status().Totals
	if n.Allowed+n.Rejected != callers*each {
		t.Errorf("%d were allowed and %d rejected, of %d", n.Allowed, n.Rejected, callers*each)
	}
	if n.Successes+n.Failures+n.Excluded+n.Late != n.Allowed {
		t.Errorf("the verdicts are not those of %d attempts: %+v", n.Allowed, n)
	}
	if n.Successes == 0 || n.Failures == 0 || n.Excluded == 0 {
		t.Errorf("some verdicts were never given: %+v", n)
	}
}
