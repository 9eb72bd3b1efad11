package reflectcache

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/decode"
)

// heir is the cache of another process that goes on from c.
func heir(t *testing.T, c *Cache, b *backend, age time.Duration) *Cache {
	t.Helper()
	data, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	next := cache(t, b, nil)
	if err := next.Restore(data, age); err != nil {
		t.Fatal(err)
	}
	return next
}

// What one process asked for the next one knows, also what it was not asked
// for itself, and asks again when the first would have.
func TestDescriptorsAreHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		first := cache(t, b, nil)
		wantFields(t, first, get, 3)
		if _, err := first.Services(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		asked := b.streams.Load()
		time.Sleep(time.Minute)
		second := heir(t, first, b, 2*time.Second)
		third := heir(t, second, b, time.Second) // which nobody has asked before
		for _, c := range []*Cache{second, third} {
			if n := fieldsNow(t, c); n != -1 {
				t.Errorf("linked before anybody asked: %d fields", n)
			}
			synctest.Wait()
			if n := fieldsNow(t, c); n != 3 {
				t.Errorf("%d fields", n)
			}
			if m, _ := c.Lookup("b", get); m.Source != decode.FromReflection {
				t.Errorf("source %v", m.Source)
			}
			if names, err := c.Services(t.Context(), "b"); err != nil || len(names) != 1 {
				t.Errorf("%v, %v", names, err)
			}
		}
		if n := b.streams.Load() - asked; n != 0 {
			t.Errorf("%d fetches after the restart", n)
		}
		b.serve(t, grown())
		time.Sleep(defaultTTL - time.Minute - 3*time.Second - time.Millisecond)
		fieldsNow(t, third)
		synctest.Wait()
		if n := fieldsNow(t, third); n != 3 {
			t.Errorf("renewed before its time: %d fields", n)
		}
		time.Sleep(time.Millisecond)
		fieldsNow(t, third)
		synctest.Wait()
		if n := fieldsNow(t, third); n != 4 {
			t.Errorf("%d fields after its time", n)
		}
	})
}

// That a name is not known, and that reflection is refused, is known for as
// long as it would have been.
func TestFailuresAreHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		first := cache(t, b, nil)
		if _, err := first.Method(t.Context(), "b", "/no.Service/M"); err == nil {
			t.Fatal("it is known")
		}
		asked := b.streams.Load()
		second := heir(t, first, b, time.Second)
		for range 9 {
			if _, err := second.Method(t.Context(), "b", "/no.Service/M"); err == nil {
				t.Fatal("it is known")
			}
			if n := b.streams.Load() - asked; n != 0 {
				t.Fatalf("%d fetches", n)
			}
			time.Sleep(time.Second)
		}
		_, _ = second.Method(t.Context(), "b", "/no.Service/M") // still not there
		if b.streams.Load() == asked {
			t.Error("it is not asked again")
		}

		b.set(func(b *backend) { b.versions = nil })
		third := cache(t, b, nil)
		_, _ = third.Method(t.Context(), "b", get) // there is no reflection
		wantProblem(t, heir(t, third, b, time.Second), "Unimplemented")
		fourth := heir(t, third, b, time.Second)
		fourth.Retry("b")
		b.set(func(b *backend) { b.versions = map[string]codes.Code{v1: codes.OK} })
		wantFields(t, fourth, get, 3)
	})
}

// Endpoints that move make stale what was handed on. Those that are found at the
// start do not.
func TestDropOfHeirlooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		first := cache(t, b, nil)
		wantFields(t, first, get, 3)
		b.serve(t, grown())
		second, third := heir(t, first, b, 0), heir(t, first, b, 0)
		second.Retry("b")
		wantFields(t, second, get, 3)
		second.Lookup("b", get)
		synctest.Wait()
		wantFields(t, second, get, 3)
		third.Drop("b")
		wantFields(t, third, get, 3) // served while it is stale
		third.Lookup("b", get)
		synctest.Wait()
		wantFields(t, third, get, 4)
	})
}

// A backend that is now reached otherwise is asked anew.
func TestOtherBackendOfThatName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		first := cache(t, b, func(o *Options) { o.Identity = func(string) string { return "old" } })
		wantFields(t, first, get, 3)
		_, _ = first.Method(t.Context(), "b", "/no.Service/M") // a miss
		data, err := first.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		b.serve(t, grown())
		second := cache(t, b, func(o *Options) { o.Identity = func(string) string { return "new" } })
		if err := second.Restore(data, 0); err != nil {
			t.Fatal(err)
		}
		wantFields(t, second, get, 4)
	})
}

// An export has what nobody has asked for, and an Any is decoded by what only
// another service knows.
func TestHeirloomsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		first := cache(t, b, nil)
		wantFields(t, first, get, 3)
		second := heir(t, first, b, 0)
		if set, err := second.FileSet("b", "shop.Shop"); err != nil || len(set.GetFile()) != 3 {
			t.Errorf("%v, %v", set, err)
		}
		third := heir(t, first, b, 0)
		types := third.Types("b")
		_, _ = types.FindMessageByName("shop.Item") // has it linked
		synctest.Wait()
		if _, err := types.FindMessageByName("shop.Item"); err != nil {
			t.Error(err)
		}
	})
}

// A thousand services cross quickly: they are not linked.
func TestManyServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := map[string]string{}
		for i := range 500 {
			text[fmt.Sprintf("s%d.proto", i)] = fmt.Sprintf(`syntax = "proto3"; package p%d; message M { string a = 1; } service S { rpc Get(M) returns (M); }`, i)
		}
		b := newBackend(t)
		b.serve(t, text)
		first := cache(t, b, nil)
		for i := range 500 {
			wantFields(t, first, fmt.Sprintf("/p%d.S/Get", i), 1)
		}
		asked := b.streams.Load()
		second := heir(t, first, b, 0)
		if st := second.Stats(); st.Services != 0 {
			t.Errorf("%d services are linked", st.Services)
		}
		for range 10 { // no more wait at a time than maxWishes
			for i := range 500 {
				second.Lookup("b", fmt.Sprintf("/p%d.S/Get", i))
			}
			synctest.Wait()
		}
		if st := second.Stats(); st.Services != 500 || b.streams.Load() != asked {
			t.Errorf("%d services are known, after %d fetches", st.Services, b.streams.Load()-asked)
		}
	})
}

// What is wrong is refused as a whole.
func TestWrongSnapshots(t *testing.T) {
	head := func(text string, sets string) []byte {
		return append(append([]byte{0, 0, byte(len(text) >> 8), byte(len(text))}, text...), sets...)
	}
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"empty":          {nil, "cut off"},
		"cut off":        {[]byte{0, 0, 0, 9, '{'}, "cut off"},
		"no JSON":        {head("x", ""), "invalid character"},
		"newer":          {head(`{"version":2}`, ""), "version 2, want 1"},
		"set cut off":    {head(`{"version":1,"sets":[3]}`, "ab"), "cut off"},
		"empty set":      {head(`{"version":1,"sets":[0]}`, ""), "cut off"},
		"more follows":   {head(`{"version":1,"sets":[1]}`, "ab"), "follows"},
		"no such set":    {head(`{"version":1,"backends":[{"entries":[{"service":"a.B","set":0}]}]}`, ""), "no such descriptors"},
		"no name":        {head(`{"version":1,"sets":[1],"backends":[{"entries":[{"service":"a b"}]}]}`, "x"), "not the name"},
		"negative age":   {head(`{"version":1,"sets":[1],"backends":[{"entries":[{"service":"a.B","age":-1}]}]}`, "x"), "impossible record"},
		"long time":      {head(`{"version":1,"backends":[{"listed_for":9223372036854775807}]}`, ""), "impossible time"},
		"impossible":     {head(`{"version":1,"misses":[{"for":-1}]}`, ""), "impossible miss"},
		"many backends":  {head(`{"version":1,"backends":[`+strings.Repeat("{},", 300)+`{}]}`, ""), "too many"},
		"many in a list": {head(`{"version":1,"backends":[{"listed":["`+strings.Repeat(`a","`, 5000)+`"]}]}`, ""), "too many"},
	} {
		t.Run(name, func(t *testing.T) {
			next := New(Options{})
			defer next.Close()
			if err := next.Restore(c.data, 0); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func FuzzRestore(f *testing.F) {
	good := New(Options{})
	defer good.Close()
	data, err := good.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	set := marshal(f, set(f, shop))
	text := fmt.Sprintf(`{"version":1,"sets":[%d],"backends":[{"name":"b","entries":[{"service":"shop.Shop","set":0,"due_in":5}],"listed":["shop.Shop"],"listed_for":5}],"misses":[{"backend":"b","service":"x","for":5}]}`, len(set))
	f.Add(bytes.Join([][]byte{{0, 0, 0, byte(len(text))}, []byte(text), set}, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := New(Options{})
		defer c.Close()
		if c.Restore(data, time.Second) != nil {
			return
		}
		c.unwrapAll("b")
		again, err := c.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		next := New(Options{})
		defer next.Close()
		if err := next.Restore(again, time.Second); err != nil {
			t.Fatalf("what it wrote itself: %v", err)
		}
	})
}
