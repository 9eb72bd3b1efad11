package relay_test

import (
	"strconv"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/backend"
)

// Calls with the same value of the metadata go to the same endpoint, those of
// other values and those without it to all.
func TestCallsOfOneKeyMeet(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		d := r.caller()
		// ends makes a call that its caller cancels, and returns where it was.
		ends := func(kv ...string) string {
			t.Helper()
			id := d.Unary(method, []byte("x"), kv...)
			synctest.Wait()
			d.Reset(id, http2.ErrCodeCancel)
			r.settle()
			all := r.observer.all()
			return all[len(all)-1].Endpoint
		}
		ends() // has both connected to
		r.ups.Accept()
		r.others["other"].ups.Accept()
		synctest.Wait()
		at := make(map[string]string)
		spread, free := make(map[string]bool), make(map[string]bool)
		for i := range 60 {
			key := strconv.Itoa(i % 20)
			e := ends("x-user", key)
			if was, ok := at[key]; ok && was != e {
				t.Fatalf("calls of key %s went to %s and to %s", key, was, e)
			}
			at[key], spread[e] = e, true
			free[ends("x-other", key)] = true
		}
		if len(spread) != 2 || len(free) != 2 {
			t.Fatalf("calls with keys went to %v, those without to %v", spread, free)
		}
	}, func(o *rigOptions) { o.targets, o.balance = []string{"upstream", "other"}, backend.RingHash })
}

// Beyond limits.concurrent calls are refused, and that is no failure.
func TestConcurrentLimit(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		d := r.caller()
		first := d.Unary(method, []byte("question"))
		up := r.ups.Accept()
		id := wantQuestion(t, up)
		wantInfo(t, d.WantStatus(d.Unary(method, []byte("question")), codes.Unavailable), "LIMIT_EXCEEDED")
		up.TrailersOnly(id, codes.OK)
		d.WantStatus(first, codes.OK)
		d.Unary(method, []byte("question"))
		wantQuestion(t, up)
	}, func(o *rigOptions) { o.concurrent = 1 })
}
