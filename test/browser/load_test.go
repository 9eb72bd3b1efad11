package browser

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// ping is the method of the backend of this test: it answers with what it was
// sent.
const ping = "/load.v1.Load/Ping"

// startBackend serves ping, without Server Reflection, and returns where.
func startBackend(t *testing.T) string {
	t.Helper()
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "load.v1.Load", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Ping",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			message := new(wrapperspb.StringValue)
			err := decode(message)
			return message, err
		},
	}}}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Errorf("serve ping: %v", err)
		}
	})
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return listener.Addr().String()
}

// startRelay runs loomd in front of one backend.
func startRelay(t *testing.T, backend string) *loomd {
	t.Helper()
	return startLoomd(t, "-backend", backend)
}

// dial returns a client of what listens on the address.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	client, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return client
}

// call makes one unary call.
func call(ctx context.Context, client *grpc.ClientConn, path, text string) error {
	return client.Invoke(ctx, path, wrapperspb.String(text), new(wrapperspb.StringValue))
}

// pings makes total calls, at so many a second or, with 0, as fast as it can.
func pings(t *testing.T, client *grpc.ClientConn, total, rate int) {
	t.Helper()
	const callers = 8
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	due := make(chan int)
	failed := make(chan error, callers)
	var calling sync.WaitGroup
	for range callers {
		calling.Go(func() {
			for at := range due {
				if err := call(ctx, client, ping, fmt.Sprint("ping ", at)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	start := time.Now()
	var err error
feed:
	for at := range total {
		if rate > 0 {
			// Late calls are made up for, so that the rate holds on average.
			time.Sleep(time.Until(start.Add(time.Duration(at) * time.Second / time.Duration(rate))))
		}
		select {
		case due <- at:
		case err = <-failed:
			break feed
		}
	}
	close(due)
	calling.Wait()
	if err != nil {
		t.Fatalf("ping: %v", err)
	}
	took := time.Since(start)
	t.Logf("%d calls in %.1f s: %.0f a second", total, took.Seconds(), float64(total)/took.Seconds())
}
