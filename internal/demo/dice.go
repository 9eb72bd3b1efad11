package demo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/status"
)

// dice is a source of chance for many goroutines, in a sequence that its seed
// and its name decide.
type dice struct {
	mu     sync.Mutex // guards the following
	source *rand.ChaCha8
	random *rand.Rand // draws from source
}

func newDice(seed uint64, name string) *dice {
	source := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s", seed, name)))
	return &dice{source: source, random: rand.New(source)}
}

// number returns a number from low to high, both included.
func (d *dice) number(low, high int32) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return low + d.random.Int32N(high-low+1)
}

// chance is true once in so many times.
func (d *dice) chance(oneIn int32) bool { return d.number(1, oneIn) == 1 }

// one returns any of the words.
func (d *dice) one(of ...string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return of[d.random.IntN(len(of))]
}

// bytes returns n bytes that no compression makes smaller.
func (d *dice) bytes(n int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := make([]byte, n)
	_, _ = d.source.Read(b) // never fails
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
	d.mu.Lock()
	length := low + time.Duration(d.random.Int64N(int64(high-low)+1))
	d.mu.Unlock()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
