package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"loom/internal/systemd"
)

// service is what systemd gives to a loomd that it started, and where it hears
// of it. What is wrong with that is logged: calls can be served all the same.
// One that takes over from another gets no sockets from it: they cross.
func service(env lookupEnv, heir bool, log *zap.Logger) (*systemd.Notifier, []systemd.Socket) {
	notifier, err := systemd.New(systemd.Env(env), heir)
	if err != nil {
		log.Warn("systemd", zap.Error(err))
	}
	if heir {
		return notifier, nil
	}
	sockets, err := systemd.Sockets(systemd.Env(env))
	if err != nil {
		log.Warn("systemd", zap.Error(err))
	}
	return notifier, sockets
}

// journaled reports whether w is the journal of systemd, which takes the level
// of a line from a number before it. It names its device and inode
// (systemd.exec(5)), because what a service writes may have been sent elsewhere.
func journaled(w io.Writer, env lookupEnv) bool {
	f, isFile := w.(*os.File)
	stream, set := env("JOURNAL_STREAM")
	if !isFile || !set {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	device, inode, _ := strings.Cut(stream, ":")
	return ok && device == strconv.FormatUint(uint64(st.Dev), 10) && inode == strconv.FormatUint(st.Ino, 10) //nolint:unconvert // Dev differs by system
}

// journalEncoder puts the level of each entry before it, as sd-daemon(3) says.
type journalEncoder struct {
	zapcore.Encoder

	lines buffer.Pool
}

// Clone is for loggers with fields of their own.
func (e journalEncoder) Clone() zapcore.Encoder { return journalEncoder{e.Encoder.Clone(), e.lines} }

// EncodeEntry writes one line.
func (e journalEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return nil, err
	}
	defer line.Free()
	marked := e.lines.Get()
	_, _ = marked.WriteString(journalLevel(entry.Level)) // it cannot fail
	_, _ = marked.Write(line.Bytes())
	return marked, nil
}

// journalLevel is the number of a level among those of syslog(3).
func journalLevel(l zapcore.Level) string {
	switch {
	case l >= zapcore.ErrorLevel:
		return "<3>"
	case l == zapcore.WarnLevel:
		return "<4>"
	case l == zapcore.DebugLevel:
		return "<7>"
	default:
		return "<6>"
	}
}
