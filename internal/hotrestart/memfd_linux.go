package hotrestart

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// seals are what a file in memory must have so that its reader need not trust
// its writer: nobody can change or cut it any more.
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// sealedFile returns a file in memory that holds data and never changes.
func sealedFile(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("handover", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "handover")
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write a file in memory: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("seal a file in memory: %w", err)
	}
	return f, nil
}

// readSealed returns what a sealed file of that size holds.
func readSealed(f *os.File, size uint32) ([]byte, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var has int
	var sealing error
	if err := raw.Control(func(fd uintptr) { has, sealing = unix.FcntlInt(fd, unix.F_GET_SEALS, 0) }); err != nil {
		return nil, err
	}
	if sealing != nil || has&seals != seals {
		return nil, errors.New("its file is not sealed")
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != int64(size) {
		return nil, fmt.Errorf("it is cut: its file has %d of %d bytes", info.Size(), size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, int64(size)), data); err != nil {
		return nil, fmt.Errorf("read its file: %w", err)
	}
	return data, nil
}
