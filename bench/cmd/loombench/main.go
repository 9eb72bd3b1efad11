// Command loombench measures loomd beside other proxies on this machine.
//
//	loombench                       all loads, all peers; writes RESULTS.md
//	loombench -quick -rows 1x100 -peers loomd,haproxy,tcp
//
// It listens and connects on 127.0.0.1 only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"loom/bench/internal/role"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "loombench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "serve" {
		return role.Serve(ctx, args[1:], stdout)
	}
	return bench(ctx, args, stdout, stderr)
}
