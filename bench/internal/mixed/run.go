// Package mixed makes calls of all sorts through a proxy, with trouble added:
// readers that are slow, calls that are cancelled, connections that are cut.
// Every reply is compared with what was sent, byte by byte and in order.
//
// A call may fail only when its own connection was cut or it was cancelled.
package mixed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"loom/bench/internal/echo"
	"loom/bench/internal/rawcodec"
)

const (
	// maxSession is the longest life of a connection.
	maxSession = 3 * time.Second
	// endTime is how long calls may take to end once no new ones are made.
	endTime = 20 * time.Second
)

// Run keeps conns connections busy, each with as many calls at once as streams
// says, for the duration. The seed decides what is done, though not when it
// meets what.
func Run(ctx context.Context, addr string, conns, streams int, d time.Duration, seed uint64) Tally {
	c := new(counter)
	ctx, cancel := context.WithTimeout(ctx, d+endTime)
	defer cancel()
	end := time.Now().Add(d)
	var slots sync.WaitGroup
	for slot := range conns {
		slots.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(slot)))
			for time.Now().Before(end) && ctx.Err() == nil {
				runSession(ctx, addr, streams, end, rng, c)
			}
		})
	}
	slots.Wait()
	return c.result()
}

// session is one connection and the calls on it.
type session struct {
	// Immutable.
	conn *grpc.ClientConn
	end  time.Time // no call is begun after it
	c    *counter

	cut atomic.Bool // the connection was cut; set before it is

	mu     sync.Mutex // guards following
	socket *net.TCPConn
}

func runSession(ctx context.Context, addr string, streams int, end time.Time, rng *rand.Rand, c *counter) {
	life := time.Duration(rng.Int64N(int64(maxSession)))
	s := &session{end: earlier(end, time.Now().Add(life)), c: c}
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawcodec.Codec{}), grpc.MaxCallRecvMsgSize(echo.MaxMessage), grpc.WaitForReady(false)),
		grpc.WithContextDialer(s.dial),
		grpc.WithDisableRetry(),
	)
	if err != nil {
		c.blame(1, failed, "connect: %v", err)
		return
	}
	s.conn = conn
	if rng.IntN(2) == 0 {
		timer := time.AfterFunc(time.Duration(rng.Int64N(int64(life)+1)), s.cutOff)
		defer timer.Stop()
	}
	var calls sync.WaitGroup
	for range streams {
		own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		calls.Go(func() {
			for time.Now().Before(s.end) && !s.cut.Load() && ctx.Err() == nil {
				s.call(ctx, own)
			}
		})
	}
	calls.Wait()
	if err := conn.Close(); err != nil {
		c.blame(1, failed, "close connection: %v", err)
	}
}

// dial remembers the socket, so that it can be cut.
func (s *session) dial(ctx context.Context, addr string) (net.Conn, error) {
	if s.cut.Load() {
		return nil, fmt.Errorf("the connection to %s was cut", addr)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.socket, _ = conn.(*net.TCPConn)
	s.mu.Unlock()
	return conn, nil
}

// cutOff closes the socket under the feet of all calls, so that the proxy gets
// a reset if bytes are under way and an unexpected end if not.
func (s *session) cutOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket == nil {
		return
	}
	s.cut.Store(true)
	s.c.add(func(t *Tally) { t.Cuts++ })
	// It may have been closed already.
	_ = s.socket.Close()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
