package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
)

// watchdogPeer is what is seen of the connections by which loomd looks after
// itself.
const watchdogPeer = "watchdog"

// alive reports whether calls could be served: each listener takes a
// connection of our own, in memory, on which a ping is answered. That needs
// the locks of the listeners, the relay and HTTP/2, and a scheduler that runs,
// but no backend and no place among the connections of a listener: a loomd that
// is full or whose backends are down is alive. One that is stuck may keep alive
// from returning, whatever ctx says.
func (s *Server) alive(ctx context.Context) error {
	for _, l := range s.now().listeners {
		nc, err := s.enter(l, watchdogPeer)
		if errors.Is(err, errListenerClosed) {
			continue // it has been taken away, or all of them end
		}
		if err == nil {
			err = pinged(ctx, nc)
			_ = nc.Close()
		}
		if err != nil {
			return fmt.Errorf("listener %q: %w", l.name(), err)
		}
	}
	return nil
}

// pinged returns when a ping has been answered on a new connection.
func pinged(ctx context.Context, nc net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var hello bytes.Buffer
	_, _ = hello.WriteString(http2.ClientPreface) // a buffer takes everything
	framer := http2.NewFramer(&hello, nc)
	data := [8]byte{'w', 'a', 't', 'c', 'h', 'd', 'o', 'g'}
	err := errors.Join(framer.WriteSettings(), framer.WritePing(false, data))
	if err == nil {
		_, err = nc.Write(hello.Bytes())
	}
	for err == nil {
		var f http2.Frame
		if f, err = framer.ReadFrame(); err != nil {
			break
		}
		if ping, ok := f.(*http2.PingFrame); ok && ping.IsAck() && ping.Data == data {
			return nil
		}
	}
	return fmt.Errorf("no answer to a ping: %w", errors.Join(context.Cause(ctx), err))
}
