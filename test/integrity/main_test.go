// Package integrity runs mixed traffic through a real loomd while connections
// are cut on both sides of it, and looks for a message that is wrong, missing
// or there twice; and it counts what loomd holds after very many calls and
// connects. The flags make the runs longer, see "make soak".
package integrity

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"loom/test/daemon"
)

var (
	mixedFor = flag.Duration("mixed", 10*time.Second, "how long the mixed traffic runs, for each build of loomd")
	calls    = flag.Int("calls", 50_000, "calls after which loomd must hold what it held before")
	connects = flag.Int("connects", 2_000, "connects after which loomd must hold what it held before")
)

// The builds of loomd: one that reports data races, one that is fast.
var watched, plain *daemon.Program

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if watched, err = daemon.Build(true); err == nil {
		defer watched.Remove()
		if plain, err = daemon.Build(false); err == nil {
			defer plain.Remove()
			return m.Run()
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
