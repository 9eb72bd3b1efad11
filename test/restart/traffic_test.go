//go:build linux

package restart

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// The methods of the backend.
const (
	echoMethod = "/test.Sum/Echo"
	sumMethod  = "/test.Sum/Sum"
)

// startBackend serves Echo, which answers with the message, and Sum, which
// answers each message with the checksum of all so far.
func startBackend(t *testing.T) string {
	t.Helper()
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}))
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Sum", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		rawbytes.Stream("Echo", func(s grpc.ServerStream) error {
			message, err := rawbytes.Receive(s)
			if err != nil {
				return err
			}
			return s.SendMsg(&message)
		}),
		rawbytes.Stream("Sum", sum),
	}}, struct{}{})
	return daemon.Serve(t, server)
}

// sum answers each message with the checksum of all so far.
func sum(s grpc.ServerStream) error {
	for sum := crc32.NewIEEE(); ; {
		message, err := rawbytes.Receive(s)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		_, _ = sum.Write(message) // a hash takes all
		answer := sum.Sum(nil)
		if err := s.SendMsg(&answer); err != nil {
			return err
		}
	}
}

// connect makes a client of loomd.
func connect(t *testing.T, address string, more ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return daemon.Dial(t, address, append([]grpc.DialOption{grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{}))}, more...)...)
}

// load is unary calls that go on until they are stopped. Each reply is checked.
type load struct {
	t    *testing.T
	stop context.CancelFunc
	done sync.WaitGroup
	ok   atomic.Int64
}

// startLoad calls on so many connections, one call after the other on each.
func startLoad(t *testing.T, address string, connections int, pause time.Duration) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{t: t, stop: stop}
	for c := range connections {
		conn := connect(t, address)
		l.done.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if err := echo(conn, fmt.Sprintf("%d/%d", c, n)); err != nil {
					t.Errorf("call %d on connection %d: %v", n, c, err)
					return
				}
				l.ok.Add(1)
			}
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

// echo makes a call and checks the reply.
func echo(conn *grpc.ClientConn, question string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	in, out := []byte(question), []byte(nil)
	if err := conn.Invoke(ctx, echoMethod, &in, &out); err != nil {
		return err
	}
	if string(out) != question {
		return fmt.Errorf("the reply to %q is %q", question, out)
	}
	return nil
}

// end stops the calls and returns how many succeeded; all have to.
func (l *load) end() int {
	l.stop()
	l.done.Wait()
	return int(l.ok.Load())
}

// stream is a bidi stream that is checked message by message.
type stream struct {
	t    *testing.T
	s    grpc.ClientStream
	sum  uint32
	sent int
}

func startStream(t *testing.T, address string) *stream {
	t.Helper()
	s, err := connect(t, address).NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, sumMethod)
	if err != nil {
		t.Fatal(err)
	}
	out := &stream{t: t, s: s}
	out.exchange(1)
	return out
}

// exchange sends so many messages, and wants the right answer to each.
func (s *stream) exchange(n int) {
	s.t.Helper()
	for range n {
		s.sent++
		message := []byte(strconv.Itoa(s.sent))
		s.sum = crc32.Update(s.sum, crc32.IEEETable, message)
		if err := s.s.SendMsg(&message); err != nil {
			s.t.Fatalf("message %d: %v", s.sent, err)
		}
		answer, err := rawbytes.Receive(s.s)
		want := []byte{byte(s.sum >> 24), byte(s.sum >> 16), byte(s.sum >> 8), byte(s.sum)}
		if err != nil || !slices.Equal(answer, want) {
			s.t.Fatalf("the answer to message %d is %x (%v), want %x", s.sent, answer, err, want)
		}
	}
}

// end closes the stream, which has to end well.
func (s *stream) end() {
	s.t.Helper()
	if err := s.s.CloseSend(); err != nil {
		s.t.Fatal(err)
	}
	if _, err := rawbytes.Receive(s.s); !errors.Is(err, io.EOF) {
		s.t.Fatalf("the stream ended with %v", err)
	}
}
