package integrity

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"testing"

	"google.golang.org/grpc"
)

// TestLargeMessageInConstantMemory sends a message of 100 MB and has it come
// back: loomd passes it on as it comes and never holds much of it.
func TestLargeMessageInConstantMemory(t *testing.T) {
	const size, most = 100e6, 8 << 20
	relay := startPlainRelay(t)
	conn := dial(t, relay.TCP)
	large := grpc.MaxCallRecvMsgSize(size + 1024)
	for range 100 { // what a loomd at work holds anyway
		if err := callOnce(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
	before := relay.Resident(t)
	forgetPeak(t, relay.PID())

	request := bytes.Repeat([]byte("0123456789"), size/10)
	sum := crc32.ChecksumIEEE(request)
	var reply []byte
	if err := conn.Invoke(t.Context(), "/loom.test.Steady/Echo", &request, &reply, large); err != nil {
		t.Fatal(err)
	}
	if len(reply) != size || crc32.ChecksumIEEE(reply) != sum {
		t.Fatalf("%d bytes came back, of another content", len(reply))
	}
	growth := relay.PeakResident(t) - before
	t.Logf("the resident memory of loomd grew by %d KiB at most", growth>>10)
	if growth > most {
		t.Errorf("the resident memory of loomd grew by %d bytes, want %d at most", growth, most)
	}
}

// forgetPeak makes the kernel begin anew with the peak of a process's memory
// (proc(5), clear_refs).
func forgetPeak(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}
