package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Stat is what the bench needs from /proc/PID/stat.
type Stat struct {
	PID  int
	Comm string
	PPID int
}

// ParseStat reads one line of /proc/PID/stat. The command name stands in
// parentheses and may itself hold spaces and parentheses.
func ParseStat(line []byte) (Stat, error) {
	open, shut := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || shut < open {
		return Stat{}, errors.New("parse stat: no command name in parentheses")
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line[:open])))
	if err != nil {
		return Stat{}, fmt.Errorf("parse stat: process id: %w", err)
	}
	rest := bytes.Fields(line[shut+1:])
	if len(rest) < 2 {
		return Stat{}, errors.New("parse stat: no parent process id")
	}
	ppid, err := strconv.Atoi(string(rest[1]))
	if err != nil {
		return Stat{}, fmt.Errorf("parse stat: parent process id: %w", err)
	}
	return Stat{PID: pid, Comm: string(line[open+1 : shut]), PPID: ppid}, nil
}

// family lists a process and all its living descendants, the process first.
func family(pid int) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	children := make(map[int][]int)
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil {
			continue // ended since the folder was listed
		}
		st, err := ParseStat(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		children[st.PPID] = append(children[st.PPID], st.PID)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}
