package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the processor time, user and system, that the process and its living
// descendants have used since they started, in nanoseconds of the scheduler's
// own count. /proc/PID/stat would give the same in steps of 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	pids, err := family(p.PID())
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		d, err := cpuClock(pid)
		if err != nil {
			return 0, fmt.Errorf("cpu time of %s: %w", p.name, err)
		}
		sum += d
	}
	return sum, nil
}

// cpuClock reads the CPU clock of a whole process. The clock id is built as
// clock_getcpuclockid(3) does: the inverted pid above three bits, of which 2
// asks for the scheduler's count.
func cpuClock(pid int) (time.Duration, error) {
	const sched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|sched, &ts); err != nil {
		return 0, fmt.Errorf("clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// RSS is the resident memory of the process and its living descendants, in
// bytes. Pages which they share count once for each.
func (p *Process) RSS() (int64, error) {
	pids, err := family(p.PID())
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		// The page counts in stat and statm lag behind by some pages for each
		// CPU; this file is summed up when it is read.
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, fmt.Errorf("resident memory of %s: %w", p.name, err)
		}
		n, err := parseRollup(b)
		if err != nil {
			return 0, fmt.Errorf("resident memory of %s: %w", p.name, err)
		}
		sum += n
	}
	return sum, nil
}

// FDs is the number of files and sockets that the process and its living
// descendants hold open.
func (p *Process) FDs() (int, error) {
	pids, err := family(p.PID())
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, pid := range pids {
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return 0, fmt.Errorf("open files of %s: %w", p.name, err)
		}
		sum += len(open)
	}
	return sum, nil
}

// parseRollup finds the resident bytes in the text of a smaps_rollup file.
func parseRollup(b []byte) (int64, error) {
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte("Rss:"))
		if !ok {
			continue
		}
		f := bytes.Fields(rest)
		if len(f) != 2 || string(f[1]) != "kB" {
			return 0, fmt.Errorf("parse smaps_rollup: unexpected line %q", line)
		}
		kb, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse smaps_rollup: %w", err)
		}
		return kb << 10, nil
	}
	return 0, errors.New("parse smaps_rollup: no Rss line")
}
