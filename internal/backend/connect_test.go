package backend_test

import (
	"context"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/loomtest"
)

// hang is a dial hook under which a dial hangs until it is given up.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestConnectsOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		time.Sleep(time.Hour)
		if n := r.dialled("a"); n != 0 {
			t.Fatalf("%d connections before the first call", n)
		}
		up, c := r.warm()
		up.Reply(1, []byte("x"))
		c.want(t, "replied")
		d := r.call("second")
		wantCall(t, up, "second")
		d.want(t, "placed")
		if n := r.dialled("a"); n != 1 {
			t.Fatalf("%d connections for two calls", n)
		}
		if d.placedAt() != "a" {
			t.Fatalf("endpoint %q", d.placedAt())
		}
	})
}

// A connection takes calls once the endpoint has said how many it takes.
func TestCallsWaitForTheFirstSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1))
		first, second := r.call("first"), r.call("second")
		up := r.accept("a", loomtest.Silent(), loomtest.Without(loomtest.AutoSettingsAck))
		up.WantNothing(connectTimeout - time.Second)
		first.want(t, "waits")
		up.Settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		wantCall(t, up, "first")
		second.want(t, "waits")
		if n := r.dialled("a"); n != 1 {
			t.Fatalf("%d connections", n)
		}
	})
}

// The time to connect covers the dial and the wait for SETTINGS together.
func TestConnectTimeout(t *testing.T) {
	for _, tt := range []struct {
		name string
		dial time.Duration // how long the dial takes; 0: for ever
		want string
	}{
		{"dial hangs", 0, "connect to a: no connection within 5s"},
		{"no settings", time.Nanosecond, "connect to a: no SETTINGS within 5s; does it speak HTTP/2 in clear text?"},
		{"slow dial, no settings", 4 * time.Second, "connect to a: no SETTINGS within 5s; does it speak HTTP/2 in clear text?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.listener("a").SetDialHook(func(ctx context.Context) error {
					if tt.dial == 0 {
						return hang(ctx)
					}
					time.Sleep(tt.dial)
					return nil
				})
				c := r.call("c")
				time.Sleep(connectTimeout - time.Nanosecond)
				c.want(t, "waits")
				time.Sleep(time.Nanosecond)
				c.want(t, "refused: "+tt.want)
				if n := r.counters.ConnectTimeouts.Load(); n != 1 {
					t.Fatalf("ConnectTimeouts = %d", n)
				}
			})
		})
	}
}

// A connection that is settled outlives the time to connect, quiet or not.
func TestConnectTimeoutEndsWithTheSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		up, c := r.warm()
		up.WantNothing(10 * connectTimeout)
		c.want(t, "placed")
	})
}

func TestConnectionRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_ = r.listener("a").Close()
		r.call("c").want(t, "refused: connect to a: connection refused")
		if n := r.counters.ConnectTimeouts.Load(); n != 0 {
			t.Fatalf("ConnectTimeouts = %d", n)
		}
	})
}

// useless are endpoints that take a connection and are of no use, and what a
// call hears, as a regular expression.
var useless = map[string]struct {
	serve func(t *testing.T, conn *loomtest.Conn)
	want  string
}{
	"closes at once":   {func(_ *testing.T, conn *loomtest.Conn) { _ = conn.Close() }, unsettled},
	"resets at once":   {func(_ *testing.T, conn *loomtest.Conn) { conn.Cut() }, unsettled},
	"speaks HTTP/1":    {func(_ *testing.T, conn *loomtest.Conn) { say(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, unsettled},
	"speaks TLS":       {func(_ *testing.T, conn *loomtest.Conn) { say(conn, "\x15\x03\x01\x00\x02\x02\x46") }, unsettled},
	"greets and goes":  {greetAndGo, "^refused: connection to a: (closed by the peer|(read|write): .+)$"},
	"greets and fails": {func(t *testing.T, conn *loomtest.Conn) { greet(t, conn); conn.CutDelivered() }, "^(ended|refused: connection to a: (closed by the peer|(read|write): connection reset by peer))$"},
}

const unsettled = `^refused: connect to a: .+ before its SETTINGS came; does it speak HTTP/2 in clear text\?$`

func say(conn *loomtest.Conn, text string) {
	_, _ = conn.Write([]byte(text))
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = conn.Read(make([]byte, 1<<10))
	_ = conn.Close()
}

func greet(t *testing.T, conn *loomtest.Conn) {
	if _, err := conn.Write(loomtest.FrameBytes(http2.FrameSettings, 0, 0, nil)); err != nil {
		t.Error(err)
	}
}

func greetAndGo(t *testing.T, conn *loomtest.Conn) {
	hello := loomtest.FrameBytes(http2.FrameSettings, 0, 0, nil)
	hello = append(hello, loomtest.FrameBytes(http2.FrameGoAway, 0, 0, make([]byte, 8))...)
	if _, err := conn.Write(hello); err != nil {
		t.Error(err)
	}
	_ = conn.CloseWrite()
	_, _ = conn.Read(make([]byte, 1<<10))
	_ = conn.Close()
}

// An endpoint whose connections are of no use is not asked again and again,
// neither by one call that waits nor by many that come.
func TestUselessEndpoint(t *testing.T) {
	for name, u := range useless {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				l := r.listener("a")
				t.Cleanup(func() { _ = l.Close() })
				go func() {
					for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
						u.serve(t, conn.(*loomtest.Conn))
					}
				}()
				c := r.call("first")
				time.Sleep(backend.MaxBackoff(0))
				if s := c.state(); !regexp.MustCompile(u.want).MatchString(s) {
					t.Fatalf("call: %s", s)
				}
				for range 6000 {
					time.Sleep(10 * time.Millisecond)
					r.call("more")
				}
				// Back-offs of 0.1 s, growing by 1.6 to 20 s, make 13 within a
				// minute, some more by jitter and by the one that is free.
				if n := r.dialled("a"); n > 18 || n < 8 {
					t.Fatalf("%d connections in a minute", n)
				}
			})
		})
	}
}

// While an endpoint rests, calls hear at once; after that it is tried again.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l := r.listener("a")
		l.SetDialHook(func(context.Context) error { return syscall.ECONNREFUSED })
		for failures := range 20 {
			r.call("fails").want(t, "refused: connect to a: connection refused")
			if n := r.dialled("a"); n != failures+1 {
				t.Fatalf("%d connections, want %d", n, failures+1)
			}
			time.Sleep(backend.MinBackoff(failures) - 1)
			r.call("rests").want(t, "refused: connect to a: connection refused")
			if n := r.dialled("a"); n != failures+1 {
				t.Fatalf("dialled again %v after failure %d", backend.MinBackoff(failures), failures+1)
			}
			time.Sleep(backend.MaxBackoff(failures) - backend.MinBackoff(failures) + 1)
		}
		l.SetDialHook(nil)
		up, c := r.warm()
		up.Reply(1, nil)
		c.want(t, "replied")
		up.Close()
		synctest.Wait()
		// It was of use, so all is forgiven.
		d := r.call("after")
		up = r.accept("a")
		wantCall(t, up, "after")
		d.want(t, "placed")
		up.Cut()
		_ = l.Close()
		synctest.Wait()
		failed := r.dialled("a")
		r.call("fails once").want(t, "refused: connect to a: connection refused")
		time.Sleep(backend.MaxBackoff(1))
		r.call("fails twice").want(t, "refused: connect to a: connection refused")
		if n := r.dialled("a"); n != failed+2 {
			t.Fatalf("%d connections, want %d", n, failed+2)
		}
	})
}

// With jitter, processes that lost the same endpoint do not come back at once.
func TestBackoffJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(map[time.Duration]bool)
		for range 20 {
			r := newRig(t, targets("names:///jitter"))
			if err := directory.find(t, "jitter").resolveTo("a"); err != nil {
				t.Fatal(err)
			}
			_ = r.listener("a").Close()
			start := time.Now()
			for r.dialled("a") < 2 {
				r.call("c")
				time.Sleep(time.Millisecond)
			}
			took := time.Since(start)
			if took < backend.MinBackoff(0) || took > backend.MaxBackoff(0)+2*time.Millisecond {
				t.Fatalf("dialled again after %v", took)
			}
			seen[took] = true
		}
		if len(seen) < 5 {
			t.Fatalf("20 backends dialled again after the same times: %v", seen)
		}
	})
}

// A connection that goes away before it answered is replaced once at once: the
// call on it may have its second try.
func TestFirstLossIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		up, c := r.warm()
		up.GoAway(0, http2.ErrCodeNo, "")
		c.want(t, "ended")
		r.open(c)
		up2 := r.accept("a")
		wantCall(t, up2, "warm")
		if r.dialled("a") != 2 {
			t.Fatalf("%d connections", r.dialled("a"))
		}
	})
}

// Calls that are open end in order on a connection with GOAWAY; the next goes
// elsewhere.
func TestGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1))
		up, c := r.warm()
		up.GoAway(1, http2.ErrCodeNo, "restart")
		synctest.Wait()
		d := r.call("second")
		up2 := r.accept("a")
		id := wantCall(t, up2, "second")
		up2.TrailersOnly(id, codes.OK)
		d.want(t, "replied")
		up.TrailersOnly(1, codes.OK)
		c.want(t, "replied")
		up.WantClosed()
	})
}

// A dead endpoint does not hold up the calls that another can take.
func TestOneOfTwoEndpointsIsDead(t *testing.T) {
	for name, dead := range map[string]func(*loomtest.Listener){
		"refuses": func(l *loomtest.Listener) { _ = l.Close() },
		"hangs":   func(l *loomtest.Listener) { l.SetDialHook(hang) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, targets("passthrough:///a", "passthrough:///b"))
				dead(r.listener("b"))
				start := time.Now()
				var up *loomtest.Upstream
				for i := range 10 {
					c := r.call(strconv.Itoa(i))
					if up == nil {
						up = r.accept("a")
					}
					up.TrailersOnly(wantCall(t, up, c.name), codes.OK)
					c.want(t, "replied")
				}
				if took := time.Since(start); took != 0 {
					t.Fatalf("calls waited for %v", took)
				}
			})
		})
	}
}

// Calls that wait for room on one endpoint are served by another whose
// back-off is over: nothing else may happen to remind anybody of them.
func TestWaitingCallsOutliveABackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("passthrough:///a", "passthrough:///b"), connections(1))
		b := r.listener("b")
		b.SetDialHook(func(context.Context) error { return syscall.ECONNREFUSED })
		up, _ := r.warm(maxStreams(1))
		c := r.call("waits")
		up.WantNothing(time.Minute)
		c.want(t, "waits")
		b.SetDialHook(nil)
		up2 := r.accept("b")
		wantCall(t, up2, "waits")
	})
}
