package integrity

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"loom/test/daemon"
	"loom/test/rawbytes"
	"loom/test/traffic"
)

// fillRing is how many calls go through before a footprint is taken: more than
// the 10,000 that loomd keeps unless told otherwise, since what it records
// grows until then, and is meant to.
const fillRing = 12_000

// TestCallsLeaveNothing makes very many calls over a fixed set of connections.
func TestCallsLeaveNothing(t *testing.T) {
	relay := startPlainRelay(t)
	var conns []*grpc.ClientConn
	for range 10 {
		conns = append(conns, dial(t, relay.TCP))
	}
	started := time.Now()
	callMany(t, conns, fillRing)
	before := relay.Footprint(t)
	callMany(t, conns, *calls)
	compare(t, relay, before)
	t.Logf("%d calls in %v", *calls, time.Since(started).Round(time.Millisecond))
}

// callMany shares the calls among ten workers for each connection.
func callMany(t *testing.T, conns []*grpc.ClientConn, many int) {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(many))
	var workers sync.WaitGroup
	for _, conn := range conns {
		for range 10 {
			workers.Go(func() {
				for left.Add(-1) >= 0 {
					if err := callOnce(t.Context(), conn); err != nil {
						t.Errorf("call: %v", err)
						return
					}
				}
			})
		}
	}
	workers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// callID is the same for all calls of callOnce, whose backend does not ask.
const callID = 1

func callOnce(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	request := traffic.Message{Call: callID, Total: 1, Direction: traffic.ToBackend}.Encode(100)
	var reply []byte
	return conn.Invoke(ctx, "/loom.test.Steady/Echo", &request, &reply)
}

// TestConnectsLeaveNothing makes very many connections that end in all ways: a
// call and a proper close, an abort after the preface, nothing at all, and
// bytes that are not HTTP/2.
func TestConnectsLeaveNothing(t *testing.T) {
	relay := startPlainRelay(t)
	callMany(t, []*grpc.ClientConn{dial(t, relay.TCP)}, fillRing)
	connectMany(t, relay.TCP, *connects/10+200)
	before := relay.Footprint(t)
	started := time.Now()
	connectMany(t, relay.TCP, *connects)
	t.Logf("%d connects in %v", *connects, time.Since(started).Round(time.Millisecond))
	compare(t, relay, before)
}

func connectMany(t *testing.T, address string, many int) {
	t.Helper()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for {
				number := next.Add(1)
				if number > int64(many) {
					return
				}
				if err := connectOnce(t.Context(), address, int(number)); err != nil {
					t.Errorf("connection %d: %v", number, err)
					return
				}
			}
		})
	}
	workers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// preface is how a client of HTTP/2 begins, with its empty SETTINGS.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

func connectOnce(ctx context.Context, address string, number int) error {
	if number%4 == 0 {
		channel, err := newChannel(address)
		if err != nil {
			return err
		}
		defer channel.Close()
		return callOnce(ctx, channel)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	switch number % 4 {
	case 1: // an abort after the preface was answered
		if _, err := io.WriteString(conn, preface); err != nil {
			return fmt.Errorf("send the preface: %w", err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 9)); err != nil {
			return fmt.Errorf("read the first frame of loomd: %w", err)
		}
		reset(conn)
	case 2: // somebody who took the wrong port; loomd may cut at any byte
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: loom\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	}
	return nil
}

// startPlainRelay runs a loomd without the race detector, whose memory is what
// loomd itself needs, before a backend that only echoes.
func startPlainRelay(t *testing.T) *daemon.Relay {
	t.Helper()
	return plain.StartRelay(t, startEcho(t))
}

// startEcho runs the backend that only echoes, and returns its address.
func startEcho(t *testing.T) string {
	t.Helper()
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}), grpc.MaxRecvMsgSize(128<<20))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: steadyService,
		HandlerType: (*any)(nil),
		Streams:     []grpc.StreamDesc{rawbytes.Stream("Echo", echoOnce)},
	}, nil)
	return daemon.Serve(t, server)
}

func echoOnce(stream grpc.ServerStream) error {
	data, err := rawbytes.Receive(stream)
	if err != nil {
		return err
	}
	return stream.SendMsg(&data)
}

// compare fails when loomd holds over 5 % more than before. Connections close a
// moment after their client has gone, so it looks more than once.
func compare(t *testing.T, relay *daemon.Relay, before daemon.Footprint) {
	t.Helper()
	var after daemon.Footprint
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		after = relay.Footprint(t)
		if len(growth(before, after)) == 0 || time.Now().After(deadline) {
			break
		}
	}
	t.Logf("before: %+v", before)
	t.Logf("after:  %+v", after)
	for _, what := range growth(before, after) {
		t.Error(what)
	}
}

// growth names what has grown by more than 5 % and by more than what one
// garbage collection or one thread of the runtime makes of difference.
func growth(before, after daemon.Footprint) []string {
	var grown []string
	for _, figure := range []struct {
		name                 string
		before, after, slack int64
	}{
		{"descriptors", int64(before.Descriptors), int64(after.Descriptors), 0},
		{"goroutines", int64(before.Goroutines), int64(after.Goroutines), 0},
		{"bytes of heap", before.HeapInuse, after.HeapInuse, 128 << 10},
		{"threads", int64(before.Threads), int64(after.Threads), 2},
		{"resident bytes", before.Resident, after.Resident, 4 << 20},
	} {
		if figure.after > figure.before+max(figure.before/20, figure.slack) {
			grown = append(grown, fmt.Sprintf("%s grew from %d to %d", figure.name, figure.before, figure.after))
		}
	}
	return grown
}
