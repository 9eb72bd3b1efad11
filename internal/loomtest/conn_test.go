package loomtest_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"loom/internal/loomtest"
)

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

// The suite of x/net says what any net.Conn must do.
func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
		return a, b, func() { _, _ = a.Close(), b.Close() }, nil
	})
}

// A queue of bytes is all there is to know about a direction: random writes,
// reads and half-closes have to agree with it.
func TestConnAgreesWithModel(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) { agreeWithModel(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func agreeWithModel(t *testing.T, rng *rand.Rand) {
	capacity := 1 + rng.IntN(64)
	a, b := loomtest.Pipe(capacity, 0)
	defer func() { _, _ = a.Close(), b.Close() }()
	var queue []byte
	closed := false
	for range 200 {
		switch op := rng.IntN(20); {
		case op == 0:
			closed = true
			if err := a.CloseWrite(); err != nil {
				t.Fatalf("CloseWrite: %v", err)
			}
		case op < 10:
			chunk := randomBytes(rng, rng.IntN(2*capacity))
			if err := a.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := a.Write(chunk)
			want := min(len(chunk), capacity-len(queue))
			switch {
			case closed:
				want = 0
				wantErr(t, "write after CloseWrite", err, syscall.EPIPE)
			case want < len(chunk):
				wantErr(t, "write into a full buffer", err, os.ErrDeadlineExceeded)
			default:
				wantErr(t, "write", err, nil)
			}
			if n != want {
				t.Fatalf("wrote %d bytes of %d, want %d (%d of %d in use)", n, len(chunk), want, len(queue), capacity)
			}
			queue = append(queue, chunk[:n]...)
		default:
			got := make([]byte, 1+rng.IntN(2*capacity))
			if err := b.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := b.Read(got)
			want := min(len(got), len(queue))
			switch {
			case want > 0:
				wantErr(t, "read", err, nil)
			case closed:
				wantErr(t, "read after CloseWrite", err, io.EOF)
			default:
				wantErr(t, "read of nothing", err, os.ErrDeadlineExceeded)
			}
			if !bytes.Equal(got[:n], queue[:want]) {
				t.Fatalf("read %x, want %x", got[:n], queue[:want])
			}
			queue = queue[n:]
		}
		if b.Unread() != len(queue) {
			t.Fatalf("Unread() = %d, want %d", b.Unread(), len(queue))
		}
	}
}

func TestConnWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := loomtest.Pipe(4, 4)
		defer func() { _, _ = a.Close(), b.Close() }()
		wrote := make(chan int, 1)
		go func() {
			n, _ := a.Write([]byte("abcdef"))
			wrote <- n
		}()
		synctest.Wait()
		if got := b.Unread(); got != 4 {
			t.Fatalf("a full direction of 4 bytes holds %d", got)
		}
		select {
		case <-wrote:
			t.Fatal("write returned while the direction was full")
		default:
		}
		if got := readN(t, b, 6); string(got) != "abcdef" {
			t.Fatalf("read %q", got)
		}
		if n := <-wrote; n != 6 {
			t.Fatalf("write returned %d", n)
		}
	})
}

func TestConnStalledDirectionOpensWithCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := loomtest.Pipe(0, 0)
		defer func() { _, _ = a.Close(), b.Close() }()
		go func() { _, _ = a.Write([]byte("xy")) }()
		synctest.Wait()
		if b.Unread() != 0 {
			t.Fatal("a direction without capacity took bytes")
		}
		a.SetWriteCapacity(1)
		if got := readN(t, b, 2); string(got) != "xy" {
			t.Fatalf("read %q", got)
		}
	})
}

func TestConnConcurrentWritesDoNotMix(t *testing.T) {
	a, b := loomtest.Pipe(3, 3)
	defer func() { _, _ = a.Close(), b.Close() }()
	var writers sync.WaitGroup
	for _, c := range []byte("abcd") {
		writers.Go(func() { _, _ = a.Write(bytes.Repeat([]byte{c}, 100)) })
	}
	got := readN(t, b, 400)
	for i := 0; i < 400; i += 100 {
		if want := bytes.Repeat(got[i:i+1], 100); !bytes.Equal(got[i:i+100], want) {
			t.Fatalf("writes mixed: %s", got)
		}
	}
	writers.Wait()
}

func TestConnDeadlines(t *testing.T) {
	t.Run("read at its time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := loomtest.Pipe(4, 4)
			defer func() { _, _ = a.Close(), b.Close() }()
			start := time.Now()
			_ = a.SetReadDeadline(start.Add(3 * time.Second))
			_, err := a.Read(make([]byte, 1))
			wantErr(t, "read", err, os.ErrDeadlineExceeded)
			if took := time.Since(start); took != 3*time.Second {
				t.Fatalf("read failed after %v", took)
			}
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatalf("%v is not a timeout", err)
			}
		})
	})
	t.Run("past one unblocks a pending read and write", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := loomtest.Pipe(0, 0)
			defer func() { _, _ = a.Close(), b.Close() }()
			errs := make(chan error, 2)
			go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
			go func() { _, err := a.Write(make([]byte, 1)); errs <- err }()
			synctest.Wait()
			_ = a.SetDeadline(time.Unix(1, 0))
			wantErr(t, "first", <-errs, os.ErrDeadlineExceeded)
			wantErr(t, "second", <-errs, os.ErrDeadlineExceeded)
		})
	})
	t.Run("moved while a read waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := loomtest.Pipe(4, 4)
			defer func() { _, _ = a.Close(), b.Close() }()
			start := time.Now()
			_ = a.SetReadDeadline(start.Add(time.Second))
			time.AfterFunc(500*time.Millisecond, func() { _ = a.SetReadDeadline(start.Add(time.Minute)) })
			_, err := a.Read(make([]byte, 1))
			wantErr(t, "read", err, os.ErrDeadlineExceeded)
			if took := time.Since(start); took != time.Minute {
				t.Fatalf("read failed after %v", took)
			}
		})
	})
	t.Run("taken away revives the connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := loomtest.Pipe(4, 4)
			defer func() { _, _ = a.Close(), b.Close() }()
			_ = a.SetDeadline(time.Unix(1, 0))
			_, err := a.Write([]byte("x"))
			wantErr(t, "write", err, os.ErrDeadlineExceeded)
			_ = a.SetDeadline(time.Time{})
			_, err = a.Write([]byte("x"))
			wantErr(t, "write", err, nil)
		})
	})
	t.Run("half a write is counted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := loomtest.Pipe(4, 4)
			defer func() { _, _ = a.Close(), b.Close() }()
			_ = a.SetWriteDeadline(time.Now().Add(time.Second))
			n, err := a.Write([]byte("abcdef"))
			wantErr(t, "write", err, os.ErrDeadlineExceeded)
			if n != 4 {
				t.Fatalf("n = %d, want 4", n)
			}
		})
	})
}

func TestConnEnds(t *testing.T) {
	one := make([]byte, 1)
	tests := []struct {
		name string
		end  func(a, b *loomtest.Conn)
		// What b then reads (after the "xy" that a wrote), and what its write gives.
		data        string
		read, write error
	}{
		{"close", func(a, _ *loomtest.Conn) { _ = a.Close() }, "xy", io.EOF, syscall.EPIPE},
		{"half-close", func(a, _ *loomtest.Conn) { _ = a.CloseWrite() }, "xy", io.EOF, nil},
		{"cut", func(a, _ *loomtest.Conn) { a.Cut() }, "", syscall.ECONNRESET, syscall.ECONNRESET},
		{"cut after delivery", func(a, _ *loomtest.Conn) { a.CutDelivered() }, "xy", syscall.ECONNRESET, syscall.ECONNRESET},
		{"close with unread input", func(a, b *loomtest.Conn) {
			_, _ = b.Write(one)
			_ = a.Close()
		}, "", syscall.ECONNRESET, syscall.EPIPE},
		{"cut at a byte", func(a, _ *loomtest.Conn) {
			a.CutAfterWriting(3)
			_, _ = a.Write([]byte("12345"))
		}, "xy123", syscall.ECONNRESET, syscall.ECONNRESET},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := loomtest.Pipe(64, 64)
				defer func() { _, _ = a.Close(), b.Close() }()
				if _, err := a.Write([]byte("xy")); err != nil {
					t.Fatal(err)
				}
				tt.end(a, b)
				if got := readN(t, b, len(tt.data)); string(got) != tt.data {
					t.Errorf("read %q, want %q", got, tt.data)
				}
				_, err := b.Read(one)
				wantErr(t, "read", err, tt.read)
				_, err = b.Write(one)
				wantErr(t, "write", err, tt.write)
			})
		})
	}
}

func TestConnEndUnblocksPendingCalls(t *testing.T) {
	ends := map[string]func(*loomtest.Conn){
		"close": func(c *loomtest.Conn) { _ = c.Close() },
		"cut":   (*loomtest.Conn).Cut,
	}
	for name, end := range ends {
		for _, own := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				a, b := loomtest.Pipe(0, 0)
				defer func() { _, _ = a.Close(), b.Close() }()
				errs := make(chan error, 2)
				go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
				go func() { _, err := a.Write(make([]byte, 1)); errs <- err }()
				synctest.Wait()
				if own {
					end(a)
				} else {
					end(b)
				}
				for range 2 {
					if err := <-errs; err == nil {
						t.Errorf("%s (own end: %v): a pending call succeeded", name, own)
					}
				}
			})
		}
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if want == nil && got != nil || !errors.Is(got, want) {
		t.Fatalf("%s: error %v, want %v", what, got, want)
	}
}

func readN(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	got := make([]byte, n)
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	return got
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
