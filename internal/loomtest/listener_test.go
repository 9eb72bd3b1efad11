package loomtest_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/loomtest"
)

func TestListenerCountsItsConnections(t *testing.T) {
	l := loomtest.Listen()
	dialed, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dialed.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := readN(t, accepted, 1); string(got) != "x" {
		t.Fatalf("accepted end read %q", got)
	}
	wantCounts(t, l, loomtest.Counts{Dialed: 1, Accepted: 1, DialersOpen: 1, AcceptedOpen: 1})
	_ = dialed.Close()
	wantCounts(t, l, loomtest.Counts{Dialed: 1, Accepted: 1, AcceptedOpen: 1})
	_, _ = accepted.Close(), l.Close()
	_, err = l.Dial(t.Context())
	wantErr(t, "dial after close", err, syscall.ECONNREFUSED)
	wantCounts(t, l, loomtest.Counts{Dialed: 1, Accepted: 1, Refused: 1})
}

func TestListenerCloseCutsWhatNobodyAccepted(t *testing.T) {
	l := loomtest.Listen()
	dialed, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = dialed.Read(make([]byte, 1))
	wantErr(t, "read", err, syscall.ECONNRESET)
	_, err = l.Accept()
	wantErr(t, "accept", err, net.ErrClosed)
	wantCounts(t, l, loomtest.Counts{Dialed: 1, DialersOpen: 1})
}

func TestListenerDialHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loomtest.Listen()
		defer func() { _ = l.Close() }()
		refused := errors.New("no route")
		l.SetDialHook(func(context.Context) error { return refused })
		_, err := l.Dial(t.Context())
		wantErr(t, "refused dial", err, refused)

		l.SetDialHook(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err = l.DialAddr(ctx, "ignored")
		wantErr(t, "hanging dial", err, context.DeadlineExceeded)
		if took := time.Since(start); took != 3*time.Second {
			t.Fatalf("hanging dial took %v", took)
		}
		wantCounts(t, l, loomtest.Counts{Refused: 2})
	})
}

func TestListenerFullBacklogHoldsDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loomtest.Listen()
		defer func() { _ = l.Close() }()
		var last error
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, last = l.Dial(ctx)
			cancel()
			if last != nil {
				break
			}
		}
		wantErr(t, "dial into a full backlog", last, context.DeadlineExceeded)
		if got := l.Counts(); got.Dialed != got.AcceptedOpen || got.Refused != 1 {
			t.Fatalf("counts %+v", got)
		}
	})
}

func wantCounts(t *testing.T, l *loomtest.Listener, want loomtest.Counts) {
	t.Helper()
	if got := l.Counts(); got != want {
		t.Fatalf("counts %+v, want %+v", got, want)
	}
}
