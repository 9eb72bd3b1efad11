//go:build linux

package systemd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lifetime bounds how long a machine lives, whatever a test does.
const lifetime = 8 * time.Minute

// furtherNamespaces tells the keeper what the machine does not share, as flags
// of clone(2), besides what it never shares.
const furtherNamespaces = "LOOM_TEST_NAMESPACES"

// keep is the keeper: in a mount namespace of its own it starts the machine,
// says its PID, and ends it when input does or its time is up. Input is a pipe
// that nobody writes to: it ends with the test binary, however that ends.
func keep(input io.Reader, output io.Writer) error {
	// The machine dies with the thread that started it (Pdeathsig).
	runtime.LockOSThread()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep our mounts to ourselves: %w", err)
	}
	group, err := newGroup(filepath.Join(os.Getenv(folderOf), "cgroup"))
	if err != nil {
		return err
	}
	defer group.remove()
	further, err := strconv.ParseUint(os.Getenv(furtherNamespaces), 10, 64)
	if err != nil {
		return err
	}
	machine := exec.Command(os.Args[0])
	machine.Env = append(os.Environ(), act+"=init")
	machine.Stdout, machine.Stderr = os.Stderr, os.Stderr
	machine.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP | uintptr(further),
		Pdeathsig:  syscall.SIGKILL,
	}
	// A control group namespace has its root where the process is that makes it.
	if err := group.enter(); err != nil {
		return err
	}
	if err := errors.Join(machine.Start(), group.leave()); err != nil {
		return fmt.Errorf("start the machine: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = machine.Wait() // killed, or it says what is wrong on stderr
	}()
	fmt.Fprintln(output, machine.Process.Pid)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, input)
	}()
	select {
	case <-over:
	case <-ended:
	case <-time.After(lifetime):
	}
	_ = machine.Process.Kill()
	<-ended
	return nil
}

// group is a control group for a machine.
type group struct {
	mount, path, home string
}

// newGroup makes a group in a mount of its own, wherever this machine has its
// hierarchy, and whether or not it uses version 1 beside it.
func newGroup(mount string) (*group, error) {
	if err := os.Mkdir(mount, 0o700); err != nil {
		return nil, err
	}
	if err := syscall.Mount("cgroup2", mount, "cgroup2", 0, ""); err != nil {
		return nil, fmt.Errorf("mount control groups: %w", err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	g := &group{mount: mount, path: filepath.Join(mount, "loom-test-"+strconv.Itoa(os.Getpid())), home: mount}
	for line := range strings.Lines(string(own)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			g.home = filepath.Join(mount, path)
		}
	}
	return g, os.Mkdir(g.path, 0o755)
}

func (g *group) enter() error { return join(g.path) }
func (g *group) leave() error { return join(g.home) }

// join moves this process, with all its threads.
func join(group string) error {
	return os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0o644)
}

// remove takes the group away, with those that systemd made in it. They are
// empty, as soon as the kernel has let go of what was killed.
func (g *group) remove() {
	for range 100 {
		var folders []string
		_ = filepath.WalkDir(g.path, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		for _, folder := range slices.Backward(folders) {
			_ = syscall.Rmdir(folder)
		}
		if _, err := os.Stat(g.path); errors.Is(err, fs.ErrNotExist) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = syscall.Unmount(g.mount, syscall.MNT_DETACH)
}
