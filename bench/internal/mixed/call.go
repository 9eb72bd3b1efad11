package mixed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	"loom/bench/internal/echo"
	"loom/bench/internal/rawcodec"
)

const (
	// callTimeout bounds a call; one that stalls so long is a fault.
	callTimeout = 15 * time.Second
	// maxMessages bounds a stream.
	maxMessages = 50
	// maxPause is how long a slow reader waits before each message.
	maxPause = 20 * time.Millisecond
)

var bothWays = grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// plan is one call.
type plan struct {
	seed     uint64 // of the messages
	messages int
	unary    bool
	slow     bool
	cancelAt int // reply before which the call is cancelled; -1 for never
}

func newPlan(rng *rand.Rand) plan {
	p := plan{seed: rng.Uint64(), messages: 1, cancelAt: -1}
	switch rng.IntN(8) {
	case 0, 1, 2:
		p.unary = true
	case 3:
		p.messages = 1 + rng.IntN(maxMessages)
		p.slow = true
	case 4:
		p.messages = 1 + rng.IntN(maxMessages)
		p.cancelAt = rng.IntN(p.messages)
	default:
		p.messages = 1 + rng.IntN(maxMessages)
	}
	return p
}

// message is the i-th message of a call: its number, then bytes that only this
// call and number give. Most are small, some take many frames.
func (p plan) message(i int) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], p.seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(i))
	source := rand.NewChaCha8(seed)
	most := uint64(300)
	switch n := source.Uint64() % 40; {
	case n == 0:
		most = 600 << 10
	case n < 4:
		most = 40 << 10
	}
	b := make([]byte, 8+source.Uint64()%most)
	binary.LittleEndian.PutUint64(b, uint64(i))
	// ChaCha8's Read never fails.
	_, _ = source.Read(b[8:])
	return b
}

func (s *session) call(ctx context.Context, rng *rand.Rand) {
	p := newPlan(rng)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if p.unary {
		s.unary(ctx, p)
		return
	}
	s.stream(ctx, cancel, p, rng)
}

func (s *session) unary(ctx context.Context, p plan) {
	reply := new(rawcodec.Frame)
	if err := s.conn.Invoke(ctx, echo.UnaryMethod, rawcodec.NewFrame(p.message(0)), reply); err != nil {
		s.ended(err)
		return
	}
	s.compare(p, 0, reply)
	s.c.add(func(t *Tally) { t.Calls++ })
}

func (s *session) stream(ctx context.Context, cancel func(), p plan, rng *rand.Rand) {
	stream, err := s.conn.NewStream(ctx, &bothWays, echo.BidiMethod)
	if err != nil {
		s.ended(err)
		return
	}
	var sender sync.WaitGroup
	defer sender.Wait()
	defer cancel() // a sender that waits for window gives up
	sender.Go(func() { send(stream, p) })
	for i := 0; ; i++ {
		if i == p.cancelAt {
			cancel()
		}
		if p.slow {
			time.Sleep(time.Duration(rng.Int64N(int64(maxPause))))
		}
		reply := new(rawcodec.Frame)
		err := stream.RecvMsg(reply)
		switch {
		case err == nil:
			s.compare(p, i, reply)
			continue
		case errors.Is(err, io.EOF):
			if i < p.messages {
				s.c.blame(p.messages-i, lost, "a stream ended well after %d of %d replies", i, p.messages)
			}
			s.c.add(func(t *Tally) { t.Calls++ })
		case p.cancelAt >= 0 && i >= p.cancelAt:
			s.c.add(func(t *Tally) { t.Cancels++ })
		default:
			s.ended(err)
		}
		return
	}
}

// send stops at the first error: the receiving side gets to know it too.
func send(stream grpc.ClientStream, p plan) {
	for i := range p.messages {
		if stream.SendMsg(rawcodec.NewFrame(p.message(i))) != nil {
			return
		}
	}
	_ = stream.CloseSend() // as above
}

// ended judges a call that ended in an error without being cancelled.
func (s *session) ended(err error) {
	if !s.cut.Load() {
		s.c.blame(1, failed, "a call on a sound connection: %v", err)
	}
}

func (s *session) compare(p plan, i int, reply *rawcodec.Frame) {
	defer reply.Free()
	if i >= p.messages || !bytes.Equal(reply.Bytes(), p.message(i)) {
		s.c.blame(1, wrong, "reply %d of %d differs", i, p.messages)
		return
	}
	s.c.add(func(t *Tally) { t.Messages++ })
}
