package relay

import (
	"testing"
	"unsafe"
)

// A call costs no more memory than it did: with 8 bytes for the collector it
// fills one of the allocator's sizes to the last byte. Ten thousand idle streams
// are as many calls.
func TestCallFitsTheAllocator(t *testing.T) {
	const most = 896 - 8
	if n := unsafe.Sizeof(Call{}); n > most {
		t.Errorf("a call takes %d bytes, want at most %d: the next size is 1,024", n, most)
	}
}
