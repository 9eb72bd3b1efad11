package mixed

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"loom/bench/internal/echo"
	"loom/bench/internal/rawcodec"
)

func serve(t *testing.T, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.Stop()
		ended.Wait()
	})
	return l.Addr().String()
}

// faulty is an echo backend whose streams do what reply says with each message.
func faulty(reply func(stream grpc.ServerStream, i int, message []byte) error) *grpc.Server {
	return grpc.NewServer(grpc.ForceServerCodecV2(rawcodec.Codec{}), grpc.UnknownServiceHandler(
		func(_ any, stream grpc.ServerStream) error {
			for i := 0; ; i++ {
				f := new(rawcodec.Frame)
				err := stream.RecvMsg(f)
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := reply(stream, i, f.Bytes()); err != nil {
					return err
				}
			}
		}))
}

func TestNothingIsWrongWithASoundBackend(t *testing.T) {
	tally := Run(t.Context(), serve(t, echo.NewServer()), 4, 4, 2*time.Second, 1)
	if tally.Faults() > 0 {
		t.Errorf("faults: %+v", tally)
	}
	if tally.Calls == 0 || tally.Messages == 0 {
		t.Errorf("nothing was done: %+v", tally)
	}
}

func TestFaultsAreFound(t *testing.T) {
	send := func(s grpc.ServerStream, b []byte) error { return s.SendMsg(rawcodec.NewFrame(b)) }
	for name, tc := range map[string]struct {
		reply func(grpc.ServerStream, int, []byte) error
		field func(*Tally) *int
	}{
		"altered": {func(s grpc.ServerStream, i int, b []byte) error {
			b[len(b)-1] ^= 1
			return send(s, b)
		}, wrong},
		"repeated": {func(s grpc.ServerStream, i int, b []byte) error {
			return errors.Join(send(s, b), send(s, b))
		}, wrong},
		"left out": {func(s grpc.ServerStream, i int, b []byte) error {
			if i == 1 {
				return nil
			}
			return send(s, b)
		}, lost},
		"failed": {func(s grpc.ServerStream, i int, b []byte) error {
			return errors.New("no")
		}, failed},
	} {
		t.Run(name, func(t *testing.T) {
			tally := Run(t.Context(), serve(t, faulty(tc.reply)), 1, 4, 300*time.Millisecond, 1)
			if *tc.field(&tally) == 0 || len(tally.Errors) == 0 {
				t.Errorf("not noticed: %+v", tally)
			}
		})
	}
}
