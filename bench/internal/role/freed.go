package role

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

// Memory is the line of JSON that a Go process of the bench, loomd too, prints
// after a SIGUSR1. Fields that it does not know are left out of account.
type Memory struct {
	Mallocs    uint64 `json:"mallocs"`    // heap objects allocated since the start
	HeapInuse  uint64 `json:"heap_inuse"` // bytes
	Goroutines int    `json:"goroutines"`
}

// reportMemory answers every SIGUSR1 until ctx is over: it gives free memory
// back to the system and writes a Memory to w.
func reportMemory(ctx context.Context, w io.Writer) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	defer signal.Stop(asked)
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		}
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		line, err := json.Marshal(Memory{Mallocs: m.Mallocs, HeapInuse: m.HeapInuse, Goroutines: runtime.NumGoroutine()})
		if err != nil {
			return // cannot be: three numbers
		}
		fmt.Fprintf(w, "%s\n", line)
	}
}
