package h2

import (
	"bytes"
	"math"
	"testing"
)

// What is written is read as what it was, and there is one way to write it.
func TestCodecNumbers(t *testing.T) {
	tests := []struct{ v, least, most int64 }{
		{0, 0, 0}, {0, 0, math.MaxInt64}, {math.MaxInt64, 0, math.MaxInt64}, {-1, -1, math.MaxInt64},
		{math.MaxInt64, -1, math.MaxInt64}, {-maxWindow, -maxWindow, maxWindow}, {maxWindow, -maxWindow, maxWindow}, {300, 1, 300},
	}
	for _, tt := range tests {
		x := &codec{}
		number(x, &tt.v, tt.least, tt.most)
		back, got := &codec{b: x.b, reading: true}, int64(0)
		number(back, &got, tt.least, tt.most)
		if x.err != nil || back.err != nil || got != tt.v || len(back.b) > 0 {
			t.Errorf("%+v is read as %d (%v, %v)", tt, got, x.err, back.err)
		}
	}
	for _, v := range []int64{-2, 11, math.MinInt64, math.MaxInt64} {
		x := &codec{}
		if number(x, &v, -1, 10); x.err == nil {
			t.Errorf("%d is written as a number from -1 to 10", v)
		}
	}
	for _, wire := range []string{"", "\x80", "\x80\x00", "\x0b", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		x, v := &codec{b: []byte(wire), reading: true}, uint32(0)
		if number(x, &v, 0, 10); x.err == nil || v != 0 {
			t.Errorf("%q is read as %d", wire, v)
		}
	}
}

func TestCodecBuckets(t *testing.T) {
	for _, v := range []float64{-1, math.NaN(), math.Inf(1), 1 << 41} {
		x := &codec{}
		if tokens(x, &v); x.err == nil {
			t.Errorf("a bucket may hold %v", v)
		}
	}
}

// What nobody could have written is refused, though its checksum is right.
func TestRecordsThatAreRefused(t *testing.T) {
	stream := streamRecord{id: 1, sentHead: true, gotHead: true, length: -1}
	server := func() *connRecord {
		return &connRecord{
			server: true, began: true, settled: true, greeted: true, lastSeen: 1, lastAccepted: 1, nextID: 1,
			streams: []streamRecord{stream},
		}
	}
	if p, err := seal(server()); err != nil {
		t.Fatal(err)
	} else if _, err := unseal(p); err != nil {
		t.Fatalf("the one that is right: %v", err)
	}
	tests := map[string]func(r *connRecord){
		"two streams of one id":         func(r *connRecord) { r.streams = append(r.streams, stream) },
		"an even stream":                func(r *connRecord) { r.streams[0].id, r.lastSeen, r.lastAccepted = 2, 2, 2 },
		"a stream above the last":       func(r *connRecord) { r.streams[0].id = 3 },
		"a request that has not come":   func(r *connRecord) { r.streams[0].gotHead = false },
		"a stream that is through":      func(r *connRecord) { r.streams[0].gotEnd, r.streams[0].sentEnd = true, true },
		"bytes after the end":           func(r *connRecord) { r.streams[0].sentEnd, r.streams[0].queue = true, []byte("x") },
		"an end after nothing":          func(r *connRecord) { r.streams[0].tail = tailEnd },
		"a reset after nothing":         func(r *connRecord) { r.streams[0].thenReset = true },
		"trailers that are not sent":    func(r *connRecord) { r.streams[0].trailers = []Field{{Name: "x"}} },
		"an even next stream":           func(r *connRecord) { r.nextID = 2 },
		"SETTINGS before the preface":   func(r *connRecord) { r.began = false },
		"SETTINGS before ours":          func(r *connRecord) { r.greeted = false },
		"a whole frame":                 func(r *connRecord) { r.in = appendRSTStream(nil, 1, CodeCancel) },
		"part of no block":              func(r *connRecord) { r.partial.rest = []byte{0x40} },
		"a whole field":                 func(r *connRecord) { r.block.id, r.partial.rest = 1, []byte{0x82} },
		"a table over its size":         func(r *connRecord) { r.table.entries = []Field{{Name: "x"}} },
		"a table over the largest":      func(r *connRecord) { r.table.size = tableSize + 1 },
		"a window over the largest":     func(r *connRecord) { r.recvWindow, r.received = maxWindow, 1 },
		"more that is free than queued": func(r *connRecord) { r.streams[0].free = 1 },
		"a step that there is not":      func(r *connRecord) { r.draining = drainLast + 1 },
		"a last above the last seen":    func(r *connRecord) { r.lastAccepted = 5 },
	}
	for name, spoil := range tests {
		r := server()
		spoil(r)
		p, err := seal(r)
		if err != nil {
			continue // it cannot even be written
		}
		if _, err := unseal(p); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestRecordsAreBounded(t *testing.T) {
	r := &connRecord{nextID: 1, out: make([]byte, maxFrozen)}
	if _, err := seal(r); err == nil {
		t.Error("a connection of any size is written")
	}
	if _, err := unseal(bytes.Repeat([]byte("x"), maxFrozen+1)); err == nil {
		t.Error("a connection of any size is read")
	}
	// A list that claims to be long costs no more memory than it has bytes.
	x := &codec{b: []byte{0xff, 0xff, 0xff, 0x7f, 1}, reading: true}
	var ids []uint32
	list(x, &ids, math.MaxInt32, func(x *codec, id *uint32) { number(x, id, 0, 9) })
	if x.err == nil || cap(ids) > 16 {
		t.Errorf("a list of %d is read, with room for %d: %v", len(ids), cap(ids), x.err)
	}
}
