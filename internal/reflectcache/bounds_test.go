package reflectcache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func invented(count int) []string {
	paths := make([]string, count)
	for i := range paths {
		paths[i] = fmt.Sprintf("/invented.S%d/M", i)
	}
	return paths
}

// TestInventedNames floods the cache with services that nobody has: the one
// that exists is still found within moments, and the backend is left in peace.
func TestInventedNames(t *testing.T) {
	for name, change := range map[string]func(*backend){
		"says not found":       func(*backend) {},
		"says internal":        func(b *backend) { b.unknown = 13 },
		"cannot list services": func(b *backend) { b.noList, b.unknown = true, 12 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t)
				b.set(change)
				b.set(func(b *backend) { b.delay = 10 * time.Millisecond })
				c := cache(t, b, nil)
				start, paths := time.Now(), invented(20_000)
				found := time.Duration(0)
				for i, path := range paths { // 10 000 a second
					c.Lookup("b", path)
					if i%100 == 99 {
						if _, known := c.Lookup("b", get); known && found == 0 {
							found = time.Since(start)
						}
						time.Sleep(10 * time.Millisecond)
					}
				}
				limit := 100 * time.Millisecond
				if b.noList { // then nobody can tell which names are right
					limit = defaultNegativeTTL + time.Second
					time.Sleep(defaultNegativeTTL)
					c.Lookup("b", get)
					time.Sleep(time.Second)
					if _, known := c.Lookup("b", get); known && found == 0 {
						found = time.Since(start)
					}
				}
				if found == 0 || found > limit+2*time.Second && b.noList || found > limit && !b.noList {
					t.Errorf("the real service was known after %v", found)
				}
				if n := b.streams.Load(); n > 2*maxGuesses+10 {
					t.Errorf("%d fetches for invented names", n)
				}
				if s := c.Stats(); s.Unasked < 15_000 || s.Services != 1 || s.Backends != 1 || s.Bytes == 0 {
					t.Errorf("stats: %+v", s)
				}
				if s := c.shelf("b"); len(s.entries) != 1 || len(s.methods) != 2 {
					t.Errorf("the shelf holds %d services and %d methods", len(s.entries), len(s.methods))
				}
			})
		})
	}
}

// TestHangingBackends has many backends that never answer: another one does as
// quickly as if it were alone.
func TestHangingBackends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, good := newBackend(t), newBackend(t)
		hanging.set(func(b *backend) { b.hang = true })
		good.set(func(b *backend) { b.delay = latency })
		c := New(Options{Dial: dial(map[string]*backend{"b": good, "h0": hanging, "h1": hanging, "h2": hanging, "h3": hanging, "h4": hanging})})
		defer c.Close()
		for i := range 100 {
			for h := range 5 {
				c.Lookup(fmt.Sprintf("h%d", h), fmt.Sprintf("/real.S%d/M", i))
			}
		}
		synctest.Wait()
		start := time.Now()
		wantFields(t, c, get, 3)
		if took := time.Since(start); took > 60*time.Millisecond {
			t.Errorf("a backend waited %v for others that hang", took)
		}
		time.Sleep(2 * time.Minute)
		if n := hanging.streams.Load(); n > 5*13 {
			t.Errorf("backends that hang were asked %d times in 2 minutes", n)
		}
	})
}

// TestWaitingIsBounded lets more ask than may wait; those who leave count until
// the fetch is over.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.set(func(b *backend) { b.hang = true })
		c := cache(t, b, nil)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var wg sync.WaitGroup
		for range maxWaiting {
			wg.Go(func() { _, _ = c.Method(ctx, "b", get) })
		}
		synctest.Wait()
		for _, when := range []string{"while all wait", "after all left"} {
			if _, err := c.Method(t.Context(), "b", get); !errors.Is(err, ErrBusy) {
				t.Errorf("%s: %v, want %v", when, err, ErrBusy)
			}
			leave()
			wg.Wait()
		}
		if s := c.Stats(); s.Busy != 2 || s.Fetches != 1 {
			t.Errorf("stats: %+v", s)
		}
		b.set(func(b *backend) { b.hang = false })
		time.Sleep(defaultTimeout + defaultNegativeTTL)
		wantFields(t, c, get, 3)
	})
}

func TestNamesThatNoServiceHas(t *testing.T) {
	b := newBackend(t)
	c := cache(t, b, nil)
	for _, path := range []string{"", "/", "shop.Shop/Get", "/shop.Shop", "//Get", "/a b/M", "/../x", "/shop..Shop/Get", "/\x00/M", "/" + string(make([]byte, 10_000)) + "/M"} {
		if _, known := c.Lookup("b", path); known {
			t.Errorf("%.20q is known", path)
		}
		if _, err := c.Method(t.Context(), "b", path); err == nil {
			t.Errorf("%.20q is known", path)
		}
	}
	if _, _, err := c.Service(t.Context(), "b", "a b"); err == nil {
		t.Error("service \"a b\" is known")
	}
	if n := b.streams.Load(); n != 0 {
		t.Errorf("%d fetches for names that no service has", n)
	}
}

func TestTooManyBackends(t *testing.T) {
	c := New(Options{})
	defer c.Close()
	for i := range maxBackends + 1 {
		name := fmt.Sprint("b", i)
		c.Lookup(name, get)
		_, err := c.Services(t.Context(), name)
		if errors.Is(err, errTooManyBackends) != (i == maxBackends) {
			t.Errorf("backend %d: %v", i, err)
		}
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.set(func(b *backend) { b.hang = true })
		c := cache(t, b, nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := c.Method(t.Context(), "b", get); !errors.Is(err, ErrClosed) {
					t.Errorf("asker got %v", err)
				}
			})
		}
		c.Lookup("b", "/other.Service/M")
		synctest.Wait()
		start := time.Now()
		c.Close()
		wg.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("closing took %v", took)
		}
		c.Lookup("b", get)
		if _, err := c.Method(t.Context(), "b", get); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestServicesAreBounded has a backend with more services than are kept: each
// is told, and the ones told longest ago are forgotten.
func TestServicesAreBounded(t *testing.T) {
	b := newBackend(t)
	text := map[string]string{}
	for i := range maxServices + 5 {
		text[fmt.Sprintf("s%d.proto", i)] = fmt.Sprintf(`syntax = "proto3"; package p; message M%d { int32 a = 1; } service S%d { rpc Do(M%d) returns (M%d); }`, i, i, i, i)
	}
	b.serve(t, text)
	c := cache(t, b, nil)
	for i := range maxServices + 5 {
		wantFields(t, c, fmt.Sprintf("/p.S%d/Do", i), 1)
	}
	if s := c.Stats(); s.Services >= maxServices+1 || s.Forgotten == 0 {
		t.Errorf("stats: %+v", s)
	}
}
