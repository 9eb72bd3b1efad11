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
// LOOMFAULT_SPEAKS=2-3 has a build pretend to versions of the protocol, and
// LOOMFAULT_STATE=later to sections of later versions, and to one that nobody
// knows; with LOOMFAULT_STATE=garbage they hold garbage.

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

// pretended is the state that crosses, or what a test wants of it.
func pretended(sections []Section) []Section {
	how := os.Getenv("LOOMFAULT_STATE")
	if how == "" {
		return sections
	}
	garbage := func() ([]byte, error) { return []byte("\x00\xff{]garbage"), nil }
	pretended := []Section{{Name: "of later", Version: 1, Save: garbage}}
	for _, s := range sections {
		switch how {
		case "later":
			s.Version += 100
		case "garbage":
			s.Save = garbage
		}
		pretended = append(pretended, s)
	}
	return pretended
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
