package breaker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
)

// retrying has grpc-go make up to three attempts, a hundredth of a second apart
// unless it is told otherwise.
const retrying = `{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}`

// pushbackRig is a loomd whose breaker opens after one failure.
func pushbackRig(t *testing.T, openFor string) (*backend, *loomd) {
	t.Helper()
	b := startBackend(t, daemon.FreeAddress(t), daemon.FreeAddress(t))
	l := startLoomd(t, fmt.Sprintf("{main: {targets: [%q], breaker: {trip: {consecutive: 1}, open_for: %s, max_open_for: %[2]s, half_open: {probes: 1}}}}", b.service, openFor),
		"[{name: all, backend: main}]")
	b.tell(failing)
	if err := callOnce(dial(t, l.address)); status.Code(err) != codes.Internal {
		t.Fatalf("a call to a failing backend: %v", err)
	}
	l.awaitMove("main", "open", time.Time{})
	b.tell(well)
	return b, l
}

func callOnce(cc *grpc.ClientConn, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	in, out := []byte("question"), []byte(nil)
	return cc.Invoke(ctx, echoMethod, &in, &out, opts...)
}

const rejections = `loom_breaker_rejections_total{backend="main"}`

// A client with a retry policy waits for as long as it is told, and then gets
// its answer: the second attempt is the probe.
func TestHalfOpen30ClientWithRetryPolicyObeysPushback(t *testing.T) {
	b, l := pushbackRig(t, "1s")
	cc := dial(t, l.address, grpc.WithDefaultServiceConfig(retrying))
	began := time.Now()
	if err := callOnce(cc); err != nil {
		t.Fatalf("the client saw %v", err)
	}
	took := time.Since(began)
	if refused := l.figure(rejections); refused != "1" {
		t.Errorf("%s attempts were refused, want 1", refused)
	}
	if took < 300*time.Millisecond {
		t.Errorf("the client came again after %s, before it was told to", took)
	}
	if n := len(b.tell("")); n != 2 {
		t.Errorf("%d calls came to the backend, want the one that failed and the one that was answered", n)
	}
	t.Logf("refused once, answered after %s", took.Round(time.Millisecond))
}

// Who would have to wait for long hears at once that there is no answer, and
// does not come again.
func TestHalfOpen30ClientWithRetryPolicyGivesUpWhenToldTo(t *testing.T) {
	b, l := pushbackRig(t, "30s")
	cc := dial(t, l.address, grpc.WithDefaultServiceConfig(retrying))
	var header, trailer metadata.MD
	began := time.Now()
	err := callOnce(cc, grpc.Header(&header), grpc.Trailer(&trailer))
	if status.Code(err) != codes.Unavailable || reason(err) != "BREAKER_OPEN" || len(header) > 0 {
		t.Errorf("the client saw %v with headers %v", err, header)
	}
	if back := trailer.Get("grpc-retry-pushback-ms"); len(back) != 1 || back[0] != "-1" {
		t.Errorf("the pushback is %v, want -1", back)
	}
	if refused := l.figure(rejections); refused != "1" {
		t.Errorf("%s attempts were refused, want 1", refused)
	}
	if n := len(b.tell("")); n != 1 {
		t.Errorf("%d calls came to the backend, want the one that failed", n)
	}
	t.Logf("refused once, for good, in %s", time.Since(began).Round(time.Microsecond))
}
