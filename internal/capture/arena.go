package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// blockSize is what message bytes are kept in. Smaller ones would spend more
// on links, larger ones more on the ends of messages.
const blockSize = 2 << 10

// blockData is what of a block is not its link.
const blockData = blockSize - 4

// chain is bytes in an arena: blocks that are linked by their first four
// bytes. The zero value is empty.
type chain struct {
	head, tail uint32 // numbers of blocks, from 1
	size       uint32
}

// arena is the memory that bytes of messages are kept in. It lies outside the
// heap: the garbage collector would otherwise let garbage grow to a multiple
// of it.
type arena struct {
	memory []byte                   // immutable: the first blocks
	more   atomic.Pointer[[][]byte] // those that follow, where it has grown; replaced under mu
	used   atomic.Uint32            // blocks; changed with mu held

	mu sync.Mutex
	// Guarded by mu.
	free  uint32 // first of the free blocks that were used before
	fresh uint32 // how many blocks were ever used
	there uint32 // blocks that there are
	most  uint32 // of them that may be used
}

func newArena(size int64) (*arena, error) {
	memory, err := mapMemory(int(max(size/blockSize, 1)) * blockSize)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes for the capture ring: %w", size, err)
	}
	a := &arena{memory: memory, there: uint32(len(memory) / blockSize)}
	a.most = a.there
	return a, nil
}

func (a *arena) close() error {
	err := unmapMemory(a.memory)
	if more := a.more.Load(); more != nil {
		for _, memory := range *more {
			err = errors.Join(err, unmapMemory(memory))
		}
	}
	return err
}

// grow makes room for size bytes, if there is less. Memory that there is stays:
// what lies in it has its place.
func (a *arena) grow(size int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	missing := max(size/blockSize, 1) - int64(a.there)
	if missing <= 0 {
		return nil
	}
	memory, err := mapMemory(int(missing) * blockSize)
	if err != nil {
		return fmt.Errorf("reserve %d bytes for a larger capture ring: %w", missing*blockSize, err)
	}
	var more [][]byte
	if old := a.more.Load(); old != nil {
		more = slices.Clone(*old)
	}
	more = append(more, memory)
	a.more.Store(&more)
	a.there += uint32(missing)
	return nil
}

// limit says how many bytes may be used.
func (a *arena) limit(size int64) {
	a.mu.Lock()
	a.most = uint32(min(max(size/blockSize, 1), int64(a.there)))
	a.mu.Unlock()
}

func (a *arena) block(n uint32) []byte {
	from, memory := int(n-1)*blockSize, a.memory
	if from >= len(memory) {
		from, memory = a.further(from)
	}
	return memory[from : from+blockSize : from+blockSize]
}

// further returns where a block lies beyond the first memory.
func (a *arena) further(from int) (int, []byte) {
	from -= len(a.memory)
	more := *a.more.Load()
	i := 0
	for from >= len(more[i]) {
		from -= len(more[i])
		i++
	}
	return from, more[i]
}

// take returns an empty block. It reports false if there is none.
func (a *arena) take() (uint32, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.free
	switch {
	case a.used.Load() >= a.most:
		return 0, false
	case n != 0:
		a.free = binary.NativeEndian.Uint32(a.block(n))
	case a.fresh < a.there:
		a.fresh++
		n = a.fresh
	default:
		return 0, false
	}
	a.used.Add(1)
	binary.NativeEndian.PutUint32(a.block(n), 0)
	return n, true
}

// bytes returns how much is in use.
func (a *arena) bytes() int64 {
	return int64(a.used.Load()) * blockSize
}

// release gives the blocks of c back, and empties it.
func (a *arena) release(c *chain) {
	if c.head == 0 {
		return
	}
	blocks := (c.size-1)/blockData + 1
	a.mu.Lock()
	binary.NativeEndian.PutUint32(a.block(c.tail), a.free)
	a.free = c.head
	a.used.Add(-blocks)
	a.mu.Unlock()
	*c = chain{}
}

// write adds p to c, as far as there are blocks, and returns how much that was.
func (a *arena) write(c *chain, p []byte) int {
	done := 0
	for done < len(p) {
		at := int(c.size) % blockData
		if at == 0 {
			n, ok := a.take()
			if !ok {
				break
			}
			if c.head == 0 {
				c.head = n
			} else {
				binary.NativeEndian.PutUint32(a.block(c.tail), n)
			}
			c.tail = n
		}
		n := copy(a.block(c.tail)[4+at:], p[done:])
		done += n
		c.size += uint32(n)
	}
	return done
}

// appendTo adds the bytes of c to out.
func (a *arena) appendTo(out []byte, c *chain) []byte {
	for n, left := c.head, int(c.size); left > 0; left -= blockData {
		b := a.block(n)
		out = append(out, b[4:4+min(left, blockData)]...)
		n = binary.NativeEndian.Uint32(b)
	}
	return out
}
