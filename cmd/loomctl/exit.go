package main

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/internal/adminclient"
)

// Exit codes, as --help documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitDenied      = 4
	exitInvalid     = 5
	exitReplay      = 64 // and the status of the call
)

// failure is an error of a command that ran, with its exit code.
type failure struct {
	code int
	err  error // nil: there is nothing more to say
}

func (f *failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// exit ends with a code and without a word.
func exit(code int) error {
	if code == exitOK {
		return nil
	}
	return &failure{code: code}
}

// verdict says how loomctl ends: its exit code, and what to say on one line.
func verdict(ctx context.Context, err error, c *ctl) (code int, message string) {
	if err == nil {
		return exitOK, ""
	}
	if ctx.Err() != nil && c.endless {
		return exitOK, "" // the user has seen enough
	}
	if f, ok := errors.AsType[*failure](err); ok {
		if f.err == nil {
			return f.code, ""
		}
		return f.code, f.err.Error()
	}
	// What cobra finds wrong never came to a command.
	return exitUsage, err.Error() + "\nRun 'loomctl --help' for the commands and flags."
}

// explain makes a failure of the error of a call: what went wrong, and what to
// do about it.
func (c *ctl) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*adminclient.UnreachableError](err); ok {
		return &failure{exitUnreachable, err}
	}
	if _, ok := errors.AsType[*adminclient.DeniedError](err); ok {
		return &failure{exitDenied, err}
	}
	st, ok := status.FromError(err)
	if !ok {
		return &failure{exitFailed, err}
	}
	switch st.Code() {
	case codes.Unavailable:
		return &failure{exitUnreachable, fmt.Errorf("loomd at %s does not answer any more: %s", c.where(), st.Message())}
	case codes.PermissionDenied:
		return &failure{exitDenied, errors.New("permission refused: " + st.Message())}
	case codes.Unimplemented:
		return &failure{exitFailed, fmt.Errorf("loomd at %s is older than this loomctl and cannot do that: update it, or use the loomctl that came with it", c.where())}
	case codes.InvalidArgument:
		return &failure{exitUsage, errors.New(st.Message())}
	case codes.DeadlineExceeded:
		return &failure{exitFailed, fmt.Errorf("loomd at %s did not answer within %v: give it more with --timeout", c.where(), c.timeout)}
	}
	return &failure{exitFailed, errors.New(st.Message())}
}
