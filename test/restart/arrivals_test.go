//go:build linux

package restart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// arrivals is how many connections are made while loomd reloads.
const arrivals = 10_000

// While one process takes over from the next, again and again, nobody who
// connects is refused or reset: each new connection is served by somebody, or
// told in order to come again.
func TestArrivals(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 5s, probation: 200ms}\nlimits: {connections: 20000}\n")
	ctx, stop := context.WithCancel(t.Context())
	var made, told atomic.Int64
	var arriving sync.WaitGroup
	for range 8 {
		arriving.Go(func() {
			for ctx.Err() == nil && made.Add(1) <= arrivals {
				goingAway, err := arrive(f.listen)
				if err != nil {
					t.Errorf("a connection at %s: %v", time.Now().Format("15:04:05.000"), err)
					stop()
				}
				if goingAway {
					told.Add(1)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		arriving.Wait()
		close(done)
	}()
	reloads := 0
	for busy := true; busy; reloads++ {
		f.reload()
		select {
		case <-done:
			busy = false
		default:
		}
	}
	stop()
	t.Logf("%d connections during %d reloads, %d of them told to come again", arrivals, reloads, told.Load())
	if reloads < 2 {
		t.Error("there was no more than one reload meanwhile")
	}
}

// arrive makes a connection, and wants the answer to a ping on it, or GOAWAY.
func arrive(address string) (goingAway bool, err error) {
	nc, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	return greeted(nc, 20*time.Second)
}

// greeted says hello on a connection, and waits for the answer to a ping, or
// GOAWAY.
func greeted(nc net.Conn, within time.Duration) (goingAway bool, err error) {
	if err := nc.SetDeadline(time.Now().Add(within)); err != nil {
		return false, err
	}
	framer := http2.NewFramer(nc, nc)
	_, err = io.WriteString(nc, http2.ClientPreface)
	data := [8]byte{'h', 'e', 'r', 'e'}
	if err = errors.Join(err, framer.WriteSettings(), framer.WritePing(false, data)); err != nil {
		return false, fmt.Errorf("say hello: %w", err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return false, fmt.Errorf("wait for an answer: %w", err)
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			return true, nil
		case *http2.PingFrame:
			if frame.IsAck() && frame.Data == data {
				return false, nil
			}
		}
	}
}
