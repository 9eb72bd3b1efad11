package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"loom/internal/config"
	"loom/internal/server"
)

// view shows a saved capture until a signal ends it.
func view(ctx context.Context, f *flags, env lookupEnv, signals <-chan os.Signal, stderr io.Writer) error {
	log, _ := newLogger(&config.Default().Log, stderr, env)
	v, err := server.NewViewer(f.open, f.inspector, server.Options{Log: log, Version: version()})
	if err != nil {
		return withFlag(err, f)
	}
	// No loomctl would tell the token of this one.
	fmt.Fprintf(stderr, "Inspector: %s\n", v.URL())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-signals:
			stop()
		case <-ctx.Done():
		}
	}()
	return v.Serve(ctx)
}
