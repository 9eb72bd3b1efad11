// Package tcpproxy is the floor of the bench: a proxy that reads bytes from one
// socket and writes them to another. What a gRPC proxy costs more than this, it
// spends on HTTP/2.
package tcpproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// bufferBytes is what one read may take.
const bufferBytes = 64 << 10

// Serve joins every connection accepted from l with one of its own to backend,
// until l is closed. It returns when all connections have ended, which the end
// of ctx makes them do.
func Serve(ctx context.Context, l net.Listener, backend string) error {
	var pairs sync.WaitGroup
	defer pairs.Wait()
	for {
		down, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		pairs.Go(func() { join(ctx, down, backend) })
	}
}

func join(ctx context.Context, down net.Conn, backend string) {
	defer down.Close()
	var d net.Dialer
	up, err := d.DialContext(ctx, "tcp", backend)
	if err != nil {
		return // the downstream sees its connection closed
	}
	defer up.Close()
	defer context.AfterFunc(ctx, func() {
		down.Close()
		up.Close()
	})()
	var back sync.WaitGroup
	back.Go(func() { copyBytes(down, up) })
	copyBytes(up, down)
	back.Wait()
}

// copyBytes is not io.Copy on purpose: between two TCP sockets that is a
// splice(2), and the bytes never reach the process.
func copyBytes(dst, src net.Conn) {
	// The other direction ends too: HTTP/2 knows no half-closed connection.
	defer dst.Close()
	buf := make([]byte, bufferBytes)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
