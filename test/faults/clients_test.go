//go:build linux

package faults

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
	"loom/test/traffic"
)

const service = "loom.test.Echo"

// startBackend answers each message with one of the same number, and notes
// messages that are wrong and calls that come twice.
func startBackend(t *testing.T, found *traffic.Faults) string {
	t.Helper()
	var mu sync.Mutex
	seen := map[uint64]bool{}
	echo := func(stream grpc.ServerStream) error {
		in := &traffic.Follow{Direction: traffic.ToBackend}
		for {
			data, err := rawbytes.Receive(stream)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := in.Take(data); err != nil {
				found.Addf("backend: %v", err)
				return status.Error(codes.DataLoss, err.Error())
			}
			if in.Next == 1 {
				mu.Lock()
				if seen[in.Call] {
					found.Addf("call %x came twice", in.Call)
				}
				seen[in.Call] = true
				mu.Unlock()
			}
			reply := traffic.Message{Call: in.Call, Sequence: in.Next - 1, Total: in.Total, Direction: traffic.FromBackend}.Encode(rand.IntN(2 << 10))
			if err := stream.SendMsg(&reply); err != nil {
				return err
			}
		}
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{rawbytes.Stream("Unary", echo), rawbytes.Stream("Chat", echo)},
	}, nil)
	return daemon.Serve(t, server)
}

// clients call all the time and check every reply: some on connections that
// last, some on a new one for each call, some with streams that never end.
type clients struct {
	t       *testing.T
	address string
	faults  *traffic.Faults
	stop    context.CancelFunc
	working sync.WaitGroup

	// forgiving is set while calls may end with their connection, because a
	// process dies; forgiven is when that was over.
	forgiving atomic.Bool
	forgiven  atomic.Int64

	unary, fresh, messages, lost atomic.Int64
}

// call starts them, and returns when all of them are at work.
func call(t *testing.T, address string, found *traffic.Faults) *clients {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	c := &clients{t: t, address: address, faults: found, stop: stop}
	for range 4 {
		c.working.Go(func() {
			conn := c.dial()
			defer conn.Close()
			for ctx.Err() == nil {
				c.judge("a call", time.Now(), c.once(conn, &c.unary))
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	c.working.Go(func() {
		for ctx.Err() == nil {
			conn := c.dial()
			c.judge("a call on a new connection", time.Now(), c.once(conn, &c.fresh))
			conn.Close()
		}
	})
	for range 2 {
		c.working.Go(func() {
			for ctx.Err() == nil {
				conn := c.dial()
				began, err := c.chat(ctx, conn)
				c.judge("a stream", began, err)
				conn.Close()
			}
		})
	}
	c.awaitCalls(20, 3, 20)
	return c
}

// awaitCalls waits until so much has been called and answered.
func (c *clients) awaitCalls(unary, fresh, messages int64) {
	c.t.Helper()
	for end := time.Now().Add(patience); c.unary.Load() < unary || c.fresh.Load() < fresh || c.messages.Load() < messages; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Errorf("%d calls, %d on new connections, %d messages of streams are all in %v", c.unary.Load(), c.fresh.Load(), c.messages.Load(), patience)
			return
		}
	}
}

func (c *clients) dial() *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+c.address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: patience}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{})))
	if err != nil {
		panic(err)
	}
	return conn
}

// once makes a call of one message.
func (c *clients) once(conn *grpc.ClientConn, count *atomic.Int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, in, err := c.open(ctx, conn, "Unary")
	if err != nil {
		return err
	}
	// io.EOF says that the call is over; receiving tells how.
	if err := c.send(stream, in, 1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := c.receive(stream, in); err != nil {
		return err
	}
	if _, err := rawbytes.Receive(stream); !errors.Is(err, io.EOF) {
		return err
	}
	if err := in.Complete(); err != nil {
		c.faults.Addf("%v", err)
	}
	count.Add(1)
	return nil
}

// chat sends a message, waits for its reply, and so on until ctx ends or
// something goes wrong: when that exchange began, and what it was.
func (c *clients) chat(ctx context.Context, conn *grpc.ClientConn) (began time.Time, err error) {
	life, cancel := context.WithCancel(context.Background())
	defer cancel()
	began = time.Now()
	stream, in, err := c.open(life, conn, "Chat")
	for err == nil && ctx.Err() == nil {
		began = time.Now()
		if err = c.send(stream, in, 0); err == nil || errors.Is(err, io.EOF) {
			err = c.receive(stream, in)
		}
		c.messages.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
	return began, err
}

func (c *clients) open(ctx context.Context, conn *grpc.ClientConn, method string) (grpc.ClientStream, *traffic.Follow, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+service+"/"+method)
	return stream, &traffic.Follow{Call: rand.Uint64() | 1, Direction: traffic.FromBackend}, err
}

func (c *clients) send(stream grpc.ClientStream, in *traffic.Follow, total uint32) error {
	data := traffic.Message{Call: in.Call, Sequence: in.Next, Total: total, Direction: traffic.ToBackend}.Encode(rand.IntN(2 << 10))
	return stream.SendMsg(&data)
}

func (c *clients) receive(stream grpc.ClientStream, in *traffic.Follow) error {
	data, err := rawbytes.Receive(stream)
	if err != nil {
		return err
	}
	if err := in.Take(data); err != nil {
		c.faults.Addf("%v", err)
	}
	return nil
}

// forgive has calls that begin from now on, or have begun, end with their
// connection, until strict.
func (c *clients) forgive() { c.forgiving.Store(true) }

// strict ends that. Clients may take a while to see the end of a connection.
func (c *clients) strict() {
	if !c.forgiving.Load() {
		return
	}
	time.Sleep(300 * time.Millisecond)
	c.forgiven.Store(time.Now().UnixNano())
	c.forgiving.Store(false)
}

func (c *clients) judge(what string, began time.Time, err error) {
	forgive := c.forgiving.Load() || began.UnixNano() < c.forgiven.Load()
	switch {
	case err == nil:
		return
	case forgive && (status.Code(err) == codes.Unavailable || errors.Is(err, io.EOF)):
		c.lost.Add(1)
	default:
		c.faults.Addf("%s of %s, ended at %s: %v", what, began.Format("15:04:05.000"), time.Now().Format("15:04:05.000"), err)
	}
	time.Sleep(5 * time.Millisecond)
}

// end stops the clients once each has been answered again, and fails the test
// if anything was wrong.
func (c *clients) end() {
	c.t.Helper()
	c.awaitCalls(c.unary.Load()+20, c.fresh.Load()+3, c.messages.Load()+20)
	c.stop()
	c.working.Wait()
	c.faults.Report(c.t)
	c.t.Logf("%d calls, %d on new connections, %d messages of streams; %d forgiven", c.unary.Load(), c.fresh.Load(), c.messages.Load(), c.lost.Load())
}
