//go:build linux

package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// manager is the service manager of the machine.
const manager = "/usr/lib/systemd/systemd"

// Where a machine finds its folder on this one, and the stage.
const (
	folderOf = "LOOM_TEST_FOLDER"
	stageOf  = "LOOM_TEST_STAGE"
	staged   = "/srv/loom" // in the machine
)

// units are those of Debian's systemd that the machine has: enough for services
// and sockets to depend on as they do everywhere, and nothing that would look
// after hardware, kernel or network.
var units = []string{
	"basic.target", "emergency.target", "final.target", "local-fs.target", "multi-user.target", "network.target",
	"network-online.target", "paths.target", "rescue.target", "shutdown.target", "slices.target", "sockets.target", "sysinit.target",
	"timers.target", "umount.target", "systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket",
}

// becomeInit is the first process of the namespaces: it gives itself a root
// folder and becomes systemd.
func becomeInit(string) error {
	top := filepath.Join(os.Getenv(folderOf), "top")
	root := filepath.Join(top, "root")
	for _, step := range []func(root string) error{
		func(root string) error { return copyOfFiles(top, root) },
		kernelFolders, devices, ownUnits, journal,
		func(root string) error { return bindStage(root, os.Getenv(stageOf)) },
		changeRoot,
	} {
		if err := step(root); err != nil {
			return fmt.Errorf("prepare the machine: %w", err)
		}
	}
	return syscall.Exec(manager, []string{manager, "--unit=multi-user.target", "--log-target=journal", "--show-status=no"},
		[]string{"container=loom-test", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
}

// copyOfFiles is this machine's files, seen through a layer in memory that takes
// what is written.
func copyOfFiles(top, root string) error {
	if err := mount("tmpfs", top, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	upper, work := filepath.Join(top, "upper"), filepath.Join(top, "work")
	for _, folder := range []string{upper, work} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work)
}

// kernelFolders are views of the kernel for these namespaces. Its settings can
// only be read.
func kernelFolders(root string) error {
	settings := root + "/proc/sys"
	for _, err := range []error{
		mount("proc", root+"/proc", "proc", 0, ""),
		mount(settings, settings, "", syscall.MS_BIND, ""),
		mount("", settings, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""),
		mount("sysfs", root+"/sys", "sysfs", syscall.MS_RDONLY, ""),
		mount("cgroup2", root+"/sys/fs/cgroup", "cgroup2", 0, ""),
		mount("tmpfs", root+"/run", "tmpfs", 0, "mode=755"),
		mount("tmpfs", root+"/tmp", "tmpfs", 0, "mode=1777"),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

// devices are those without hardware.
func devices(root string) error {
	folder := root + "/dev"
	if err := mount("tmpfs", folder, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for name, number := range map[string]int{
		"null": 1<<8 | 3, "zero": 1<<8 | 5, "full": 1<<8 | 7, "random": 1<<8 | 8, "urandom": 1<<8 | 9, "tty": 5 << 8,
	} {
		path := filepath.Join(folder, name)
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, number); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	if err := os.Symlink("pts/ptmx", filepath.Join(folder, "ptmx")); err != nil {
		return err
	}
	return mount("tmpfs", filepath.Join(folder, "shm"), "tmpfs", 0, "mode=1777")
}

// ownUnits leaves the machine no units but those listed, and no generators of
// others.
func ownUnits(root string) error {
	folder := root + "/usr/lib/systemd/system"
	texts := map[string][]byte{}
	for _, unit := range units {
		text, err := os.ReadFile(filepath.Join(folder, unit))
		if err != nil {
			return err
		}
		texts[unit] = text
	}
	for _, gone := range []string{
		folder, root + "/usr/lib/systemd/system-generators", root + "/etc/systemd/system",
		root + "/usr/local/lib/systemd/system",
	} {
		if err := os.RemoveAll(gone); err != nil {
			return err
		}
		if err := os.MkdirAll(gone, 0o755); err != nil {
			return err
		}
	}
	for unit, text := range texts {
		if err := os.WriteFile(filepath.Join(folder, unit), text, 0o644); err != nil {
			return err
		}
	}
	wants := filepath.Join(folder, "sysinit.target.wants")
	if err := os.Mkdir(wants, 0o755); err != nil {
		return err
	}
	return os.Symlink("../systemd-journald.service", filepath.Join(wants, "systemd-journald.service"))
}

// journal is kept in memory and loses nothing; the machine's own id tells it
// from this machine's.
func journal(root string) error {
	for name, text := range map[string]string{
		"etc/machine-id": strings.Repeat("10", 16) + "\n", "etc/hostname": "loom-test\n",
		"etc/systemd/journald.conf": "[Journal]\nStorage=volatile\nRateLimitBurst=0\nAudit=no\nReadKMsg=no\n",
	} {
		path := filepath.Join(root, name)
		// The file below may be a link out of the machine.
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func bindStage(root, stage string) error {
	return mount(stage, filepath.Join(root, staged), "", syscall.MS_BIND, "")
}

// changeRoot leaves this machine's files behind, where nothing can reach them
// any more.
func changeRoot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	old := root + "/run/old"
	if err := os.Mkdir(old, 0o700); err != nil {
		return err
	}
	if err := syscall.PivotRoot(root, old); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := syscall.Unmount("/run/old", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	return os.Chdir("/")
}
