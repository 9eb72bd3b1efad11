//go:build loomfault && linux

package hotrestart

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// A build with the tag loomfault has points at which a test can end or stop the
// process. The environment variable LOOMFAULT names a file; while it holds
//
//	new got START KILL
//
// the first process that comes to that point removes the file and sends itself
// that signal: KILL or STOP. A point is the side, old or new, then what it does
// ("sends", before; "sent", after; "got") and the kind of the frame.
//
// LOOMFAULT_SPEAKS=2-3 has a build pretend to versions of the protocol.

// fault ends or stops the process if a test wants that at this point.
func fault(point string) {
	name := os.Getenv("LOOMFAULT")
	if name == "" {
		return
	}
	text, err := os.ReadFile(name) //nolint:gosec // of the test that built this
	if err != nil {
		return // nothing is wanted, or it has happened
	}
	signals := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP}
	wanted, ok := strings.CutPrefix(strings.TrimSpace(string(text)), point+" ")
	if signal, known := signals[wanted]; ok && known && os.Remove(name) == nil { //nolint:gosec // as above
		// Of a signal to the process, another thread might hear first.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = syscall.Tgkill(syscall.Getpid(), syscall.Gettid(), signal) // to oneself, it arrives
	}
}

// spoken returns the versions that this build speaks, or pretends to.
func spoken() versions {
	v := versions{oldest, newest}
	if text := os.Getenv("LOOMFAULT_SPEAKS"); text != "" {
		if _, err := fmt.Sscanf(text, "%d-%d", &v.min, &v.max); err != nil {
			return versions{oldest, newest}
		}
	}
	return v
}
