package loomtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/internal/loomtest"
)

// echo answers as the method says.
func echo() *loomtest.Backend {
	return &loomtest.Backend{Stream: func(method string, call loomtest.ServerCall) error {
		for {
			msg, err := call.Recv()
			if errors.Is(err, io.EOF) {
				return status.Error(codes.DataLoss, method)
			}
			if err != nil {
				return err
			}
			if err := call.Send(msg); err != nil {
				return err
			}
		}
	}}
}

// The scripted peers and grpc-go have to understand each other, in memory and
// over a socket.
func TestDownstreamTalksToGRPC(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echo().Serve(t, ln)
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	down := loomtest.NewDownstream(t, conn)
	id := down.Open("/a.B/C")
	down.Data(id, []byte("one"), false)
	down.WantHeaders(id)
	if msg := down.WantMessage(id); string(msg) != "one" {
		t.Fatalf("message %q", msg)
	}
	big := make([]byte, 1<<20)
	if err := down.Send(id, loomtest.Message(big), true); err != nil {
		t.Fatal(err)
	}
	down.WantBytes(id, 5+len(big))
	if got := down.WantStatus(id, codes.DataLoss); got.Get("grpc-message") != "/a.B/C" {
		t.Fatalf("trailers %v", got)
	}
}

func TestUpstreamTalksToGRPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := loomtest.Listen()
		ups := loomtest.ServeUpstream(t, ln)
		client := loomtest.NewClient(t, ln.DialAddr)
		request, answer := []byte("ping"), []byte(nil)
		called := make(chan error, 1)
		go func() { called <- client.Invoke(context.Background(), "/a.B/C", &request, &answer) }()

		up := ups.Accept()
		id, headers := up.WantCall()
		if headers.Get(":path") != "/a.B/C" || string(up.WantMessage(id)) != "ping" {
			t.Fatalf("call %v", headers)
		}
		up.WantEnd(id)
		up.Reply(id, []byte("pong"))
		if err := <-called; err != nil || string(answer) != "pong" {
			t.Fatalf("answer %q, error %v", answer, err)
		}
	})
}

func TestBackendUnary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := loomtest.Listen()
		backend := &loomtest.Backend{Unary: func(_ context.Context, method string, request []byte) ([]byte, error) {
			if len(request) == 0 {
				return nil, status.Error(codes.InvalidArgument, "empty")
			}
			return append([]byte(method+" "), request...), nil
		}}
		backend.Serve(t, ln)
		client := loomtest.NewClient(t, ln.DialAddr, grpc.WithUserAgent("loomtest"))
		request, answer := []byte("x"), []byte(nil)
		if err := client.Invoke(t.Context(), "/a.B/C", &request, &answer); err != nil || string(answer) != "/a.B/C x" {
			t.Fatalf("answer %q, error %v", answer, err)
		}
		request = nil
		if err := client.Invoke(t.Context(), "/a.B/C", &request, &answer); status.Code(err) != codes.InvalidArgument {
			t.Fatalf("error %v", err)
		}
	})
}
