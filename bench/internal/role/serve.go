// Package role runs the bench's own servers, each in a process of its own so
// that its costs can be told apart: the echo backend, the byte-copying proxy
// and the grpc-go proxy. The bench starts its own executable as
// 'loombench serve ROLE'.
package role

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"loom/bench/internal/echo"
	"loom/bench/internal/grpcproxy"
	"loom/bench/internal/tcpproxy"
)

// The roles.
const (
	Echo      = "echo"
	TCPProxy  = "tcp"
	GRPCProxy = "grpc-go"
)

// Serve runs one role, as args say, until ctx is over:
// ROLE -listen ADDR [-backend ADDR] [-cert FILE -key FILE]. A SIGUSR1 makes it give free memory back
// to the system and print a Memory.
func Serve(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("serve: which role?")
	}
	flags := flag.NewFlagSet("serve "+args[0], flag.ContinueOnError)
	listen := flags.String("listen", "", "address to listen on")
	backend := flags.String("backend", "", "address of the backend")
	cert := flags.String("cert", "", "certificate of the echo backend, which then speaks TLS")
	key := flags.String("key", "", "key of -cert")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("serve %s: %w", args[0], err)
	}
	defer l.Close()

	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() { reportMemory(ctx, stdout) })

	switch args[0] {
	case Echo:
		var options []grpc.ServerOption
		if *cert != "" {
			secure, err := credentials.NewServerTLSFromFile(*cert, *key)
			if err != nil {
				return fmt.Errorf("serve %s: %w", args[0], err)
			}
			options = append(options, grpc.Creds(secure))
		}
		return serveGRPC(ctx, l, echo.NewServer(options...))
	case TCPProxy:
		defer context.AfterFunc(ctx, func() { l.Close() })()
		return tcpproxy.Serve(ctx, l, *backend)
	case GRPCProxy:
		s, closeBackend, err := grpcproxy.New(*backend)
		if err != nil {
			return err
		}
		return errors.Join(serveGRPC(ctx, l, s), closeBackend())
	}
	return fmt.Errorf("serve: there is no role %q", args[0])
}

func serveGRPC(ctx context.Context, l net.Listener, s *grpc.Server) error {
	defer context.AfterFunc(ctx, s.Stop)()
	return s.Serve(l)
}
