package retry

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A backend that fails every call: its breaker counts each try, and once it is
// open no try reaches the backend any more, whether it is a call's first or not.
func TestRetriesStopAtAnOpenBreaker(t *testing.T) {
	b := serve(t, func(context.Context, grpc.ServerStream, int) error { return status.Error(codes.Unavailable, "down") })
	address := start(t, fmt.Sprintf(`
backends:
  b:
    targets: [%q]
    breaker: {trip: {consecutive: 5}, open_for: 1m}
routes: [{name: all, backend: b, retry: {max_attempts: 3, backoff: {initial: 10ms, max: 10ms}}}]
`, b.address))
	conn := dial(t, address)
	_, err := get(t, conn) // three tries
	wantStatus(t, err, codes.Unavailable, "")
	_, err = get(t, conn) // two more
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the call ended with %v", err)
	}
	for range 20 {
		_, err = get(t, conn)
		wantStatus(t, err, codes.Unavailable, "BREAKER_OPEN")
	}
	if calls := b.got(); len(calls) != 5 {
		t.Errorf("the backend got %d calls, want the 5 that opened its breaker", len(calls))
	}
}

// Callers without patience open no breaker; those with some do.
func TestDeadlinesAndTheBreaker(t *testing.T) {
	b := serve(t, hang)
	address := start(t, fmt.Sprintf(`
backends:
  b:
    targets: [%q]
    breaker: {trip: {consecutive: 5}, min_deadline: 400ms, open_for: 1m}
routes: [{name: all, backend: b}]
`, b.address))
	conn := dial(t, address)
	within := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		question, reply := []byte("question"), []byte(nil)
		return conn.Invoke(ctx, method, &question, &reply)
	}
	for range 10 {
		wantStatus(t, within(50*time.Millisecond), codes.DeadlineExceeded, "")
	}
	for range 5 {
		wantStatus(t, within(500*time.Millisecond), codes.DeadlineExceeded, "")
	}
	eventually(t, "the breaker is open", func() bool { return status.Code(within(50*time.Millisecond)) == codes.Unavailable })
	wantStatus(t, within(time.Second), codes.Unavailable, "BREAKER_OPEN")
}
