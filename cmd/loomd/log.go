package main

import (
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"loom/internal/config"
)

// newLogger writes to w: for people on a terminal, JSON for machines elsewhere,
// with its level where the journal looks for it. The least level that it writes
// can be changed.
func newLogger(c *config.Log, w io.Writer, env lookupEnv) (*zap.Logger, zap.AtomicLevel) {
	level, err := zap.ParseAtomicLevel(c.Level)
	if err != nil {
		level = zap.NewAtomicLevel() // the configuration has been validated
	}
	console := c.Format == "console" || c.Format == "auto" && terminal(w)
	var encoder zapcore.Encoder
	if console {
		e := zap.NewDevelopmentEncoderConfig()
		e.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		e.CallerKey = ""
		encoder = zapcore.NewConsoleEncoder(e)
	} else {
		e := zap.NewProductionEncoderConfig()
		e.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		encoder = zapcore.NewJSONEncoder(e)
	}
	if journaled(w, env) {
		encoder = journalEncoder{encoder, buffer.NewPool()}
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)), level
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colourful reports whether w is a place for colours (https://no-color.org).
func colourful(w io.Writer, env lookupEnv) bool {
	if v, _ := env("NO_COLOR"); v != "" {
		return false
	}
	kind, _ := env("TERM")
	return kind != "dumb" && terminal(w)
}

// reportMemory logs one line about the process whenever it gets SIGUSR1,
// until stop is called.
func reportMemory(log *zap.Logger) (stop func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range asked {
			logMemory(log)
		}
	}()
	return func() {
		signal.Stop(asked)
		close(asked)
		<-done
	}
}

func logMemory(log *zap.Logger) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	log.Info("memory",
		zap.Int("goroutines", runtime.NumGoroutine()),
		zap.Uint64("heap_inuse", m.HeapInuse),
		zap.Uint64("heap_alloc", m.HeapAlloc),
		zap.Uint64("stack_inuse", m.StackInuse),
		zap.Uint64("sys", m.Sys),
		zap.Uint64("mallocs", m.Mallocs),
		zap.Uint32("gcs", m.NumGC),
		zap.Int("fds", len(fds)),
		zap.NamedError("fds_error", err))
}
