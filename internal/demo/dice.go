package demo

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/status"
)

// dice is a source of chance for many goroutines, in a sequence that its seed
// decides.
type dice struct {
	mu     sync.Mutex // guards random
	random *rand.Rand
}

func newDice(seed, stream uint64) *dice {
	return &dice{random: rand.New(rand.NewPCG(seed, stream))}
}

// number returns a number from low to high, both included.
func (d *dice) number(low, high int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return low + d.random.IntN(high-low+1)
}

// bytes returns n bytes that no compression makes smaller.
func (d *dice) bytes(n int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(d.random.Uint32())
	}
	return b
}

// shuffle brings n things into any order.
func (d *dice) shuffle(n int, swap func(i, j int)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.random.Shuffle(n, swap)
}

// wait takes from low to high of time, or less and an error with the gRPC
// status of ctx if that ends first.
func (d *dice) wait(ctx context.Context, low, high time.Duration) error {
	timer := time.NewTimer(time.Duration(d.number(int(low), int(high))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
