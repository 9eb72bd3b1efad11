package reflectcache

import (
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/decode"
)

// grown is the shop after a deployment: an item has one more field.
func grown() map[string]string {
	text := maps.Clone(shop)
	text["item.proto"] = strings.Replace(text["item.proto"], "Kind kind = 3;", "Kind kind = 3; string author = 4;", 1)
	return text
}

func fieldsNow(t *testing.T, c *Cache) int {
	t.Helper()
	m, known := c.Lookup("b", get)
	if !known {
		return -1
	}
	return m.Desc.Output().Fields().Len()
}

func TestLookupFetchesInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.set(func(b *backend) { b.delay = latency })
		c := cache(t, b, nil)
		if n := fieldsNow(t, c); n != -1 {
			t.Errorf("known at once: %d fields", n)
		}
		time.Sleep(latency + time.Millisecond)
		if n := fieldsNow(t, c); n != 3 {
			t.Errorf("%d fields after the fetch", n)
		}
		if _, known := c.Lookup("b", "/shop.Shop/Invented"); known {
			t.Error("a method that the service has not is known")
		}
		if _, err := c.Method(t.Context(), "b", "/shop.Shop/Invented"); err == nil || !strings.Contains(err.Error(), "Invented") {
			t.Errorf("got %v", err)
		}
		if n := b.streams.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

// TestStaleWhileRevalidate has a deployment behind the same endpoints: after
// the TTL the old answer is served once more, and the new one soon after.
func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := cache(t, b, func(o *Options) {
			o.TTL = func(backend string) time.Duration { return map[string]time.Duration{"b": time.Minute}[backend] }
		})
		wantFields(t, c, get, 3)
		b.serve(t, grown())
		b.set(func(b *backend) { b.delay = latency })
		time.Sleep(time.Minute - time.Millisecond)
		if n := fieldsNow(t, c); n != 3 || b.streams.Load() != 1 {
			t.Errorf("before the TTL: %d fields, %d fetches", n, b.streams.Load())
		}
		time.Sleep(time.Millisecond)
		start := time.Now()
		wantFields(t, c, get, 3)
		if took := time.Since(start); took != 0 {
			t.Errorf("an asker waited %v for a renewal", took)
		}
		time.Sleep(latency + time.Millisecond)
		if n := fieldsNow(t, c); n != 4 || b.streams.Load() != 2 {
			t.Errorf("after the renewal: %d fields, %d fetches", n, b.streams.Load())
		}
	})
}

// TestSameAnswer renews without a change: who derived something from a method
// may keep it.
func TestSameAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := cache(t, b, nil)
		wantFields(t, c, get, 3)
		first, _ := c.Lookup("b", get)
		c.Drop("b")
		c.Lookup("b", get)
		synctest.Wait()
		if again, _ := c.Lookup("b", get); again != first || b.streams.Load() != 2 {
			t.Errorf("got %p after %d fetches, want %p after 2", again, b.streams.Load(), first)
		}
	})
}

func TestDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := cache(t, b, nil)
		c.Drop("b") // of nothing
		wantFields(t, c, get, 3)
		b.serve(t, grown())
		c.Drop("b")
		if n := fieldsNow(t, c); n != 3 {
			t.Errorf("not served while stale: %d fields", n)
		}
		synctest.Wait()
		if n := fieldsNow(t, c); n != 4 {
			t.Errorf("%d fields after the renewal", n)
		}
		if _, err := c.Method(t.Context(), "b", "/new.Service/M"); err == nil {
			t.Fatal("known too early")
		}
		b.serve(t, map[string]string{"n.proto": `syntax = "proto3"; package new; message M { int32 a = 1; } service Service { rpc M2(M) returns (M); }`})
		c.Drop("b") // forgets failures, too
		wantFields(t, c, "/new.Service/M2", 1)
	})
}

// TestDropDuringFetch has a slow fetch from the old endpoints that ends after
// the one from the new ones: it must not bring the old schema back.
func TestDropDuringFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, now := newBackend(t), newBackend(t)
		old.set(func(b *backend) { b.delay = time.Second })
		now.serve(t, grown())
		backends := map[string]*backend{"b": old}
		c := New(Options{Dial: dial(backends)})
		defer c.Close()
		c.Lookup("b", get)
		synctest.Wait()
		backends["b"] = now
		c.Drop("b")
		wantFields(t, c, get, 4)
		time.Sleep(2 * time.Second)
		wantFields(t, c, get, 4)
		if changes := c.Changes(); len(changes) != 0 {
			t.Errorf("changes: %v", changes)
		}
	})
}

// TestOutage has reflection go away: what was known stays, and comes back fresh.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := cache(t, b, nil)
		wantFields(t, c, get, 3)
		b.set(func(b *backend) { b.versions = nil })
		c.Drop("b")
		for range 100 {
			if n := fieldsNow(t, c); n != 3 {
				t.Fatalf("%d fields during the outage", n)
			}
			time.Sleep(time.Second)
		}
		wantProblem(t, c, "Unimplemented")
		b.serve(t, grown())
		b.set(func(b *backend) { b.versions = map[string]codes.Code{v1: codes.OK} })
		time.Sleep(defaultNegativeTTL)
		fieldsNow(t, c)
		synctest.Wait()
		if n := fieldsNow(t, c); n != 4 {
			t.Errorf("%d fields after the outage", n)
		}
		if m, _ := c.Lookup("b", get); m.Source != decode.FromReflection {
			t.Errorf("source %v", m.Source)
		}
	})
}

func TestServicesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.set(func(b *backend) { b.delay = latency })
		c := cache(t, b, nil)
		for range 3 {
			if names, err := c.Services(t.Context(), "b"); err != nil || len(names) != 1 {
				t.Errorf("%v, %v", names, err)
			}
		}
		if n := b.streams.Load(); n != 1 {
			t.Errorf("%d fetches for 3 lists, want 1", n)
		}
		desc, source, err := c.Service(t.Context(), "b", "shop.Shop")
		if err != nil || source != decode.FromReflection || desc.Methods().Len() != 2 {
			t.Errorf("%v, %v, %v", desc, source, err)
		}
	})
}
