package report

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine describes the computer in one line: processor, cores, memory, kernel.
func Machine() (string, error) {
	model, err := fieldOf("/proc/cpuinfo", "model name")
	if err != nil {
		return "", err
	}
	memory, err := fieldOf("/proc/meminfo", "MemTotal")
	if err != nil {
		return "", err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("describe the machine: %w", err)
	}
	return fmt.Sprintf("%s, %d cores, memory %s, %s %s %s", model, runtime.NumCPU(), memory,
		unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])), nil
}

// fieldOf finds the first 'name: value' of a file in /proc.
func fieldOf(file, name string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("describe the machine: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("describe the machine: %w", err)
	}
	return "", fmt.Errorf("describe the machine: %s has no %q", file, name)
}
