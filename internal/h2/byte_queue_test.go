package h2

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A queue gives out what was put in, whatever pieces it is put in and taken
// out in.
func TestByteQueue(t *testing.T) {
	for seed := range uint64(20) {
		source := rand.NewChaCha8([32]byte{byte(seed)})
		rng := rand.New(source)
		var q byteQueue
		var want, got []byte
		size := func() int {
			return []int{0, 1, smallChunk, smallChunk + 1, chunkSize, rng.IntN(3 * chunkSize), rng.IntN(100)}[rng.IntN(7)]
		}
		for range 100 {
			if rng.IntN(2) == 0 {
				p := make([]byte, size())
				_, _ = source.Read(p)
				q.add(p)
				want = append(want, p...)
				clear(p) // what was added is a copy
			} else {
				for left := min(size(), q.n); left > 0; {
					n := min(left, len(q.front()))
					got = append(got, q.front()[:n]...)
					q.drop(n)
					left -= n
				}
			}
			if q.n != len(want)-len(got) {
				t.Fatalf("seed %d: %d bytes wait, want %d", seed, q.n, len(want)-len(got))
			}
		}
		for q.n > 0 {
			p := q.front()
			got = append(got, p...)
			q.drop(len(p))
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: what came out is not what was put in", seed)
		}
		q.add([]byte("x"))
		q.clear()
		if q.n != 0 || len(q.chunks) != 0 {
			t.Error("a queue that was cleared is not empty")
		}
	}
}
