package capture

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func newTestArena(t *testing.T, size int64) *arena {
	t.Helper()
	a, err := newArena(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestArenaKeepsBytesOfEverySize(t *testing.T) {
	a := newTestArena(t, 1<<20)
	for _, size := range []int{0, 1, blockData - 1, blockData, blockData + 1, 2 * blockData, 100_000} {
		var c chain
		p := bytes.Repeat([]byte{byte(size), 1, 2, 3, 4}, size/5+1)[:size]
		if n := a.write(&c, p); n != size || !bytes.Equal(a.appendTo(nil, &c), p) {
			t.Errorf("%d bytes: %d were written, and %d read back", size, n, len(a.appendTo(nil, &c)))
		}
		if want := int64((size+blockData-1)/blockData) * blockSize; a.bytes() != want {
			t.Errorf("%d bytes take %d, want %d", size, a.bytes(), want)
		}
		a.release(&c)
		a.release(&c) // of nothing
		if a.bytes() != 0 {
			t.Errorf("%d bytes: %d in use after all was given back", size, a.bytes())
		}
	}
}

func TestArenaThatIsFullTakesWhatFits(t *testing.T) {
	a := newTestArena(t, 3*blockSize+17)
	var c, d chain
	if n := a.write(&c, make([]byte, 1<<16)); n != 3*blockData {
		t.Errorf("%d bytes went into three blocks of %d", n, blockData)
	}
	if n := a.write(&d, []byte{1}); n != 0 || d != (chain{}) {
		t.Errorf("a full arena took %d bytes more: %+v", n, d)
	}
	a.release(&c)
	if n := a.write(&d, make([]byte, 1<<16)); n != 3*blockData {
		t.Errorf("%d bytes went in once there was room again", n)
	}
}

// Bytes written in pieces to many chains come back as they were, and what is
// in use is the sum of the chains.
func TestArenaAgreesWithModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a := newTestArena(t, 64*blockSize)
	chains, model := make([]chain, 20), make([][]byte, 20)
	for range 20_000 {
		i := rng.IntN(len(chains))
		switch rng.IntN(4) {
		case 0:
			a.release(&chains[i])
			model[i] = nil
		default:
			p := make([]byte, rng.IntN(3*blockSize))
			for j := range p {
				p[j] = byte(rng.Uint32())
			}
			model[i] = append(model[i], p[:a.write(&chains[i], p)]...)
		}
		if !bytes.Equal(a.appendTo(nil, &chains[i]), model[i]) {
			t.Fatalf("chain %d is not what was written to it", i)
		}
		used := 0
		for _, m := range model {
			used += (len(m) + blockData - 1) / blockData
		}
		if a.bytes() != int64(used)*blockSize {
			t.Fatalf("%d bytes in use, want %d blocks", a.bytes(), used)
		}
	}
}
