package retry

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A backend that fails twice: the client sees one call that succeeds, the
// backend three, each of which says how many went before and how much time is
// left.
func TestRetriesAreUnseen(t *testing.T) {
	b := serve(t, func(ctx context.Context, stream grpc.ServerStream, n int) error {
		if n < 3 {
			return status.Error(codes.Unavailable, "not yet")
		}
		return fine(ctx, stream, n)
	})
	address := start(t, fmt.Sprintf(`
backends: {b: {targets: [%q]}}
routes: [{name: all, backend: b, retry: {max_attempts: 3, backoff: {initial: 20ms, max: 100ms}}}]
`, b.address))
	if answer, err := get(t, dial(t, address)); err != nil || answer != "answer" {
		t.Fatalf("the call ended with %q, %v", answer, err)
	}
	calls := b.got()
	if len(calls) != 3 {
		t.Fatalf("the backend got %d calls, want 3", len(calls))
	}
	for i, c := range calls {
		before := strings.Join(c.metadata.Get("grpc-previous-rpc-attempts"), ",")
		if want := []string{"", "1", "2"}[i]; before != want || c.question != "question" {
			t.Errorf("try %d has %q before it and asks %q", i+1, before, c.question)
		}
		if c.left <= 0 || c.left > 10*time.Second-time.Duration(i)*16*time.Millisecond {
			t.Errorf("try %d has %v left", i+1, c.left)
		}
	}
}

// What a backend answers in earnest is not tried again.
func TestNoRetries(t *testing.T) {
	for name, answer := range map[string]func(grpc.ServerStream) error{
		"another code": func(grpc.ServerStream) error { return status.Error(codes.FailedPrecondition, "no") },
		"after headers": func(stream grpc.ServerStream) error {
			if err := stream.SendHeader(metadata.Pairs("x-begun", "1")); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "no")
		},
		"pushback": func(stream grpc.ServerStream) error {
			stream.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "-1"))
			return status.Error(codes.Unavailable, "no")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := serve(t, func(_ context.Context, stream grpc.ServerStream, _ int) error { return answer(stream) })
			address := start(t, fmt.Sprintf(`
backends: {b: {targets: [%q]}}
routes: [{name: all, backend: b, retry: {max_attempts: 3}}]
`, b.address))
			if _, err := get(t, dial(t, address)); status.Convert(err).Message() != "no" {
				t.Errorf("the call ended with %v", err)
			}
			time.Sleep(200 * time.Millisecond) // longer than the back-off
			if calls := b.got(); len(calls) != 1 {
				t.Errorf("the backend got %d calls, want 1", len(calls))
			}
		})
	}
}

// One of two endpoints is killed under traffic: with retries no client sees it.
func TestEndpointDiesUnseen(t *testing.T) {
	slow := func(ctx context.Context, stream grpc.ServerStream, n int) error {
		time.Sleep(5 * time.Millisecond)
		return fine(ctx, stream, n)
	}
	one, other := serve(t, slow), serve(t, slow)
	address := start(t, fmt.Sprintf(`
backends: {b: {targets: [%q, %q]}}
routes: [{name: all, backend: b, retry: {max_attempts: 4, backoff: {initial: 10ms, max: 50ms}, budget_percent: 100}}]
`, one.address, other.address))
	conn := dial(t, address)
	results := make(chan error)
	const callers, each = 8, 100
	for range callers {
		go func() {
			for range each {
				_, err := get(t, conn)
				results <- err
			}
		}()
	}
	for i := range callers * each {
		if err := <-results; err != nil {
			t.Errorf("call %d ended with %v", i, err)
		}
		if i == callers*each/4 {
			one.server.Stop()
		}
	}
	if len(one.got()) == 0 || len(other.got()) < callers*each/2 {
		t.Errorf("the endpoints got %d and %d calls", len(one.got()), len(other.got()))
	}
}
