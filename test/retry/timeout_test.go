package retry

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// hang answers nothing until the call is given up.
func hang(ctx context.Context, _ grpc.ServerStream, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

// A backend that hangs: the route's time-outs end the call, loom's answer says
// which it was, and the backend is told.
func TestTimeouts(t *testing.T) {
	gone := make(chan time.Duration, 10)
	b := serve(t, func(ctx context.Context, stream grpc.ServerStream, n int) error {
		began := time.Now()
		err := hang(ctx, stream, n)
		gone <- time.Since(began)
		return err
	})
	address := start(t, fmt.Sprintf(`
backends: {b: {targets: [%q]}}
routes:
  - {name: overall, match: {metadata: [{name: x-route, value: overall}]}, backend: b, timeout: {overall: 300ms}}
  - {name: try, match: {metadata: [{name: x-route, value: try}]}, backend: b, timeout: {per_try: 300ms}}
  - {name: idle, match: {metadata: [{name: x-route, value: idle}]}, backend: b, timeout: {idle: 300ms}}
`, b.address))
	conn := dial(t, address)
	for i, want := range []struct{ route, reason string }{
		{"overall", "ROUTE_TIMEOUT"}, {"try", "PER_TRY_TIMEOUT"}, {"idle", "IDLE_TIMEOUT"},
	} {
		began := time.Now()
		_, err := get(t, conn, "x-route", want.route)
		if took := time.Since(began); took < 290*time.Millisecond || took > 5*time.Second {
			t.Errorf("%s: the call took %v, want 300 ms", want.route, took)
		}
		wantStatus(t, err, codes.DeadlineExceeded, want.reason)
		if d := <-gone; d > 5*time.Second {
			t.Errorf("%s: the backend heard of it after %v", want.route, d)
		}
		c := b.got()[i]
		if short := c.left <= 300*time.Millisecond; short != (want.route == "overall") {
			t.Errorf("%s: the backend is given %v", want.route, c.left)
		}
	}
}

// A try that hangs is followed by another within the client's deadline.
func TestHangingTryIsRetried(t *testing.T) {
	b := serve(t, func(ctx context.Context, stream grpc.ServerStream, n int) error {
		if n == 1 {
			return hang(ctx, stream, n)
		}
		return fine(ctx, stream, n)
	})
	address := start(t, fmt.Sprintf(`
backends: {b: {targets: [%q]}}
routes: [{name: all, backend: b, timeout: {per_try: 200ms, overall: 5s}, retry: {max_attempts: 2, on: [UNAVAILABLE]}}]
`, b.address))
	began := time.Now()
	if answer, err := get(t, dial(t, address)); err != nil || answer != "answer" {
		t.Fatalf("the call ended with %q, %v", answer, err)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("the call took %v, less than per_try", took)
	}
}
