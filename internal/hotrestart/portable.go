//go:build !linux

package hotrestart

import (
	"errors"
	"os"
)

// The rest of the package needs files in memory that can be sealed, processes
// known by descriptors, and CLONE_PARENT.

var errSystem = errors.New("a hot restart needs Linux")

func supported() error { return errSystem }

type process struct {
	pid  int
	died chan struct{}
}

func (p *process) terminate() {}
func (p *process) end() bool  { return true }
func (p *process) release()   {}

func spawn(Command, string, string, *os.File) (*spawned, error) { return nil, errSystem }

func sealedFile([]byte) (*os.File, error)         { return nil, errSystem }
func readSealed(*os.File, uint32) ([]byte, error) { return nil, errSystem }

const channelDescriptor = 3

type lent struct{}

func newLent() *lent      { return &lent{} }
func (l *lent) giveBack() {}
