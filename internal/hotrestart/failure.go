package hotrestart

import (
	"errors"
	"strings"
)

// Step is a part of the handover, by the name that operators see.
type Step string

// The steps, in their order.
const (
	StepCheck   Step = "check"   // the new program judges the configuration
	StepSpawn   Step = "spawn"   // it is started
	StepGreet   Step = "greet"   // the two agree on a version
	StepSockets Step = "sockets" // listening sockets and links cross
	StepState   Step = "state"   // sections cross
	StepPrepare Step = "prepare" // the new process gets ready
	StepStart   Step = "start"   // it begins to accept
)

// Failure is why a handover came to nothing. The successor is dead, and all is
// as before.
type Failure struct { //nolint:errname // it is what there is of a handover, and an error besides
	Step Step
	Err  error
	// Output is the end of what the successor, or the check, wrote: at most 64 KiB.
	Output string
}

// Error returns a line: the step, what went wrong, and the line of the output
// that is most likely to tell why.
func (f *Failure) Error() string {
	text := string(f.Step) + ": " + oneLine(f.Err.Error())
	if _, whole := errors.AsType[ownError](f.Err); whole {
		return text
	}
	if line := f.telling(); line != "" {
		text += ": " + line
	}
	return text
}

// Unwrap returns what went wrong.
func (f *Failure) Unwrap() error { return f.Err }

// telling returns the line of a panic, the first line of a check, which lists
// mistakes, or else the last line: what a process says before it gives up.
func (f *Failure) telling() string {
	last := ""
	for line := range strings.Lines(f.Output) {
		line = strings.TrimSpace(line)
		for _, prefix := range []string{"panic: ", "fatal error: ", "runtime/cgo: ", "SIG"} {
			if strings.HasPrefix(line, prefix) {
				return shorten(line)
			}
		}
		if line == "" || (last != "" && f.Step == StepCheck) {
			continue
		}
		last = line
	}
	return shorten(last)
}

// ownError are what a successor says of why it cannot go on.
type ownError string

func (w ownError) Error() string { return string(w) }

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
