package server

import (
	"bufio"
	"bytes"
	"path"
	"strconv"
	"strings"
)

// memory returns how many bytes the process may use: what the machine has,
// or its control groups or the Go runtime (GOMEMLIMIT) allow, whichever is
// least; 1 GiB where the system does not tell. read is os.ReadFile.
func memory(read func(string) ([]byte, error), runtimeLimit int64) int64 {
	total := int64(1 << 30)
	if text, err := read("/proc/meminfo"); err == nil {
		if f := bytes.Fields(text); len(f) > 1 && string(f[0]) == "MemTotal:" {
			if kib, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
				total = kib << 10
			}
		}
	}
	for _, file := range memoryLimitFiles(read) {
		text, err := read(file)
		if err != nil {
			continue
		}
		// "max", for no limit, is no number.
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && n > 0 {
			total = min(total, n)
		}
	}
	return min(total, runtimeLimit)
}

// memoryLimitFiles names the limits of the process's control group and of
// those around it (cgroups(7)): a systemd unit's MemoryMax is in one of them.
func memoryLimitFiles(read func(string) ([]byte, error)) []string {
	const root = "/sys/fs/cgroup"
	files := []string{root + "/memory.max", root + "/memory/memory.limit_in_bytes"}
	text, err := read("/proc/self/cgroup")
	if err != nil {
		return files
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, name := root, "memory.max"
		switch {
		case parts[0] == "0":
		case strings.Contains(","+parts[1]+",", ",memory,"):
			base, name = root+"/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for p := path.Clean("/" + parts[2]); p != "/"; p = path.Dir(p) {
			files = append(files, base+p+"/"+name)
		}
	}
	return files
}
