package reflectcache

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestChanges deploys another schema and wants to be told what it changed for
// the two methods of the shop, and nothing of what nobody can see.
func TestChanges(t *testing.T) {
	replace := func(file, old, now string) func(text map[string]string) {
		return func(text map[string]string) {
			if !strings.Contains(text[file], old) {
				panic("the test's replacement finds nothing")
			}
			text[file] = strings.ReplaceAll(text[file], old, now)
		}
	}
	const watch = "/shop.Shop/Watch"
	both := []string{"changed " + get, "changed " + watch} // a watch answers with items, too
	tests := map[string]struct {
		change func(text map[string]string)
		want   []string
	}{
		"field added":     {replace("item.proto", "int64 price = 2;", "int64 price = 2; bool used = 9;"), both},
		"field removed":   {replace("item.proto", "int64 price = 2;", ""), both},
		"field renamed":   {replace("item.proto", "price", "cost"), both},
		"number":          {replace("item.proto", "price = 2", "price = 7"), both},
		"type":            {replace("item.proto", "int64 price", "sint64 price"), both},
		"repeated":        {replace("item.proto", "int64 price", "repeated int64 price"), both},
		"presence":        {replace("item.proto", "int64 price", "optional int64 price"), both},
		"enum value":      {replace("item.proto", "KIND_BOOK = 1;", "KIND_BOOK = 1; KIND_TOY = 2;"), both},
		"enum renamed":    {replace("item.proto", "KIND_BOOK", "KIND_NOVEL"), both},
		"oneof":           {replace("item.proto", "string name = 1; int64 price = 2;", "oneof x { string name = 1; int64 price = 2; }"), both},
		"well-known type": {replace("shop.proto", "google.protobuf.Timestamp at", "Key at"), []string{"changed " + watch}},
		"streaming":       {replace("shop.proto", "stream Order", "Order"), []string{"changed " + watch}},
		"method added":    {replace("shop.proto", "rpc Get(", "rpc Put(Key) returns (Key); rpc Get("), []string{"added /shop.Shop/Put"}},
		"method removed":  {replace("shop.proto", "rpc Get(Key) returns (Item);", ""), []string{"removed " + get}},

		"nothing":             {func(map[string]string) {}, nil},
		"order of fields":     {replace("item.proto", "string name = 1; int64 price = 2;", "int64 price = 2; string name = 1;"), nil},
		"another message":     {replace("item.proto", "message Item", "message Other { int32 a = 1; } message Item"), nil},
		"message renamed":     {replace("shop.proto", "Key", "Name"), nil},
		"name of an option":   {replace("item.proto", "int64 price = 2", "int64 price = 2 [deprecated = true]"), nil},
		"option of a method":  {replace("shop.proto", "returns (Item);", "returns (Item) { option deprecated = true; }"), nil},
		"json name as it was": {replace("item.proto", "int64 price = 2", `int64 price = 2 [json_name = "price"]`), nil},
		"file option":         {replace("item.proto", "package shop;", `package shop; option go_package = "x/y";`), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := maps.Clone(shop)
				b := newBackend(t)
				var mu sync.Mutex
				var told []Change
				c := cache(t, b, func(o *Options) {
					o.Changed = func(change Change) {
						mu.Lock()
						defer mu.Unlock()
						told = append(told, change)
					}
				})
				wantFields(t, c, get, 3)
				test.change(text)
				b.serve(t, text)
				time.Sleep(time.Hour)
				c.Drop("b")
				c.Lookup("b", get)
				synctest.Wait()
				var got []string
				for _, change := range c.Changes() {
					got = append(got, change.What+" "+change.Method)
					if change.Backend != "b" || change.Service != "shop.Shop" || !change.Time.Equal(time.Now()) {
						t.Errorf("%+v", change)
					}
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("changes %q, want %q", got, test.want)
				}
				if !slices.Equal(told, c.Changes()) {
					t.Errorf("told of %v, listed %v", told, c.Changes())
				}
			})
		})
	}
}

// TestFileGoneIsNoChange has a file stay away for a while. The types in it are
// not known then, which is not to say that they are other ones.
func TestFileGoneIsNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := cache(t, b, nil)
		wantFields(t, c, get, 3)
		whole := b.files
		b.set(func(b *backend) { b.files = map[string][]byte{"shop.proto": whole["shop.proto"]} })
		for range 2 {
			c.Drop("b")
			c.Lookup("b", get)
			synctest.Wait()
			b.set(func(b *backend) { b.files = whole })
		}
		if changes := c.Changes(); len(changes) != 0 {
			t.Errorf("changes: %v", changes)
		}
		wantFields(t, c, get, 3)
	})
}

func TestChangesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		c := cache(t, b, nil)
		for i := range maxChanges + 10 {
			text := maps.Clone(shop)
			text["shop.proto"] = strings.Replace(shop["shop.proto"], "string id", fmt.Sprintf("string id%d", i%2), 1)
			b.serve(t, text)
			c.Drop("b")
			c.Lookup("b", get)
			synctest.Wait()
		}
		if n := len(c.Changes()); n != maxChanges {
			t.Errorf("%d changes remembered, want %d", n, maxChanges)
		}
	})
}

// TestOneofs moves fields that have presence anyway in and out of oneofs.
func TestOneofs(t *testing.T) {
	method := func(body string) *linked {
		return linkSet(set(t, map[string]string{"o.proto": `syntax = "proto3"; package o; service O { rpc Do(M) returns (M); } message M {` + body + "}"}))
	}
	const before = "oneof a { int32 x = 1; int32 y = 2; } optional int32 z = 3;"
	for after, same := range map[string]bool{
		before: true,
		"optional int32 z = 3; oneof renamed { int32 y = 2; int32 x = 1; }":    true,
		"oneof a { int32 x = 1; } oneof b { int32 y = 2; int32 z = 3; }":       false,
		"oneof a { int32 x = 1; int32 y = 2; int32 z = 3; }":                   false,
		"optional int32 x = 1; oneof a { int32 y = 2; } optional int32 z = 3;": false,
	} {
		a, b := method(before), method(after)
		if got := sameShape(a.services["o.O"].Methods().Get(0), b.services["o.O"].Methods().Get(0)); got != same {
			t.Errorf("%s: same %v, want %v", after, got, same)
		}
	}
}

// TestComparisonIsBounded has two schemas whose messages can be paired in
// 160,000 ways.
func TestComparisonIsBounded(t *testing.T) {
	ring := func(length int) map[string]string {
		var text strings.Builder
		text.WriteString(`syntax = "proto3"; package r; service R { rpc Do(M0) returns (M0); } `)
		for i := range length {
			fmt.Fprintf(&text, "message M%d { M%d next = 1; } ", i, (i+1)%length)
		}
		return map[string]string{"r.proto": text.String()}
	}
	for length, same := range map[int]bool{200: true, 401: false} {
		a, b := linkSet(set(t, ring(400))), linkSet(set(t, ring(length)))
		if got := sameShape(a.services["r.R"].Methods().Get(0), b.services["r.R"].Methods().Get(0)); got != same {
			t.Errorf("rings of 400 and %d messages: same %v, want %v", length, got, same)
		}
	}
}
