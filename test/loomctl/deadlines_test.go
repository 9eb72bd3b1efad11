package loomctl

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
)

// TestClientDeadlinesOpenNothing is for clients that give their calls too
// little time: what they do to themselves they must not do to others.
func TestClientDeadlinesOpenNothing(t *testing.T) {
	w := &world{folder: folder(t), listen: daemon.FreeAddress(t), up: serveSlowly(t), gone: daemon.FreeAddress(t), inspector: daemon.FreeAddress(t)}
	w.start(t, "")
	conn, err := grpc.NewClient("passthrough:///"+w.listen, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	ask := func(service string, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		return err
	}
	if err := ask("", 30*time.Second); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Breakers []struct {
			State  string `json:"state"`
			Totals struct {
				Excluded string `json:"excluded"`
				Failures string `json:"failures"`
			} `json:"totals"`
		} `json:"breakers"`
	}
	// On a busy machine a client may give up before its call has left.
	w.loomd.Await(t, "the breaker has heard of five calls with too little time", func() bool {
		if err := ask(slow, 100*time.Millisecond); status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("a call with too little time: %v", err)
		}
		code, said := w.loomctl(t, nil, "breaker", "status", "health", "-o", "json")
		if err := json.Unmarshal([]byte(said), &answer); code != 0 || err != nil {
			t.Fatalf("exit code %d, %v: %s", code, err, said)
		}
		n, err := strconv.Atoi(answer.Breakers[0].Totals.Excluded)
		return err == nil && n >= 5 || answer.Breakers[0].State != "closed"
	})
	if b := answer.Breakers[0]; b.State != "closed" || b.Totals.Failures != "0" {
		t.Errorf("the breaker is %s and has counted %s failures, want closed and 0", b.State, b.Totals.Failures)
	}
	if err := ask("", 30*time.Second); err != nil {
		t.Errorf("a call with time enough: %v", err)
	}
}

// slow is what the backend of serveSlowly takes its time for.
const slow = "slow"

// slowHealth answers at once, but for the slow service never.
type slowHealth struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (slowHealth) Check(ctx context.Context, q *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if q.GetService() == slow {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func serveSlowly(t *testing.T) string {
	t.Helper()
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, slowHealth{})
	return daemon.Serve(t, s)
}
