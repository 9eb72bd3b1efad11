package hotrestart

import (
	"os"
	"sync"
	"time"
)

// maxOutput is how much is kept of what a process wrote last. A panic says what
// is wrong first, and then shows all goroutines: those of a process that starts
// have room.
const maxOutput = 64 << 10

// tail keeps the last bytes that were written to it.
type tail struct {
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, data...)
	if over := len(t.last) - maxOutput; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(data), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

// output copies what a successor writes to its stderr, a pipe, to the stderr of
// this process, and keeps the end of it. From the moment that the successor
// serves it has the true stderr; see lent.
type output struct {
	tail

	// Immutable.
	reader *os.File
	to     *os.File
	done   chan struct{} // closed by copy
}

func startOutput(reader, to *os.File) *output {
	o := &output{reader: reader, to: to, done: make(chan struct{})}
	go o.copy()
	return o
}

// copy runs until the last writer has closed the pipe, or join.
func (o *output) copy() {
	defer close(o.done)
	buffer := make([]byte, 4<<10)
	for {
		n, err := o.reader.Read(buffer)
		_, _ = o.Write(buffer[:n])
		if n > 0 {
			_, _ = o.to.Write(buffer[:n]) // a stderr that fails has no reader
		}
		if err != nil {
			return
		}
	}
}

// join waits until everything is copied that was written by a process that has
// ended or has its true stderr back. One that shares the pipe with a process of
// its own, or a stderr of ours that does not take it, makes it wait for a second.
func (o *output) join() {
	const most = time.Second
	_ = o.reader.SetReadDeadline(time.Now().Add(most))
	t := time.NewTimer(2 * most)
	defer t.Stop()
	select {
	case <-o.done:
	case <-t.C:
	}
	_ = o.reader.Close()
}
