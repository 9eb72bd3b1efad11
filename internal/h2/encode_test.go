package h2

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// blockReader reads what a blockEncoder wrote, as a strict peer does.
type blockReader struct {
	t   *testing.T
	dec *hpack.Decoder

	fields []Field

	// The size that the dynamic table has by the last update, and the
	// smallest that we told the encoder since its last block.
	now, least uint32
}

func newBlockReader(t *testing.T) *blockReader {
	r := &blockReader{t: t, now: 4096, least: 4096}
	r.dec = hpack.NewDecoder(4096, func(f Field) { r.fields = append(r.fields, f) })
	return r
}

// allow is what a SETTINGS_HEADER_TABLE_SIZE of ours does.
func (r *blockReader) allow(e *blockEncoder, size uint32) {
	e.setTable(size)
	r.dec.SetAllowedMaxDynamicTableSize(size)
	r.least = min(r.least, size)
}

// read decodes a block and holds it to RFC 7541, section 4.2: after a smaller
// table was asked for, a block begins with an update that is small enough.
func (r *blockReader) read(block []byte) []Field {
	r.t.Helper()
	r.fields = nil
	if first, ok := firstUpdate(block); ok {
		if first > r.least && r.now > r.least {
			r.t.Fatalf("the block %x begins with a table of %d, allowed were %d", block, first, r.least)
		}
		r.now, r.least = first, 1<<32-1
	} else if len(block) > 0 && r.now > r.least {
		r.t.Fatalf("the block %x begins without the size update to %d that is due", block, r.least)
	}
	_, err := r.dec.Write(block)
	if err == nil {
		err = r.dec.Close()
	}
	if err != nil {
		r.t.Fatalf("the block %x cannot be read: %v", block, err)
	}
	return r.fields
}

// firstUpdate returns the size of the table size update that block begins with.
func firstUpdate(block []byte) (uint32, bool) {
	if len(block) == 0 || block[0]&0xe0 != 0x20 {
		return 0, false
	}
	size := uint32(block[0] & 0x1f)
	if size < 0x1f {
		return size, true
	}
	for i, shift := 1, 0; ; i, shift = i+1, shift+7 {
		size += uint32(block[i]&0x7f) << shift
		if block[i]&0x80 == 0 {
			return size, true
		}
	}
}

// wantSame compares fields with what was sent: nothing may be lost, and what
// must never be indexed must stay so. More may be marked so than was asked for.
func wantSame(t *testing.T, got, want []Field) {
	t.Helper()
	same := slices.EqualFunc(got, want, func(g, w Field) bool {
		return g.Name == w.Name && g.Value == w.Value && (g.Sensitive || !w.Sensitive)
	})
	if !same {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}

// form tells how a block writes its first field (RFC 7541, section 6).
func form(block []byte) string {
	switch first := block[0]; {
	case first&0x80 != 0:
		return "indexed"
	case first&0x40 != 0:
		return "with indexing"
	case first&0x20 != 0:
		return "size update"
	case first&0x10 != 0:
		return "never indexed"
	default:
		return "without indexing"
	}
}

func TestEncoderIndexesWhatRepeats(t *testing.T) {
	tests := []struct {
		field         Field
		first, second string
	}{
		{Field{Name: ":path", Value: "/s/m"}, "with indexing", "indexed"},
		{Field{Name: "user-agent", Value: "x"}, "with indexing", "indexed"},
		{Field{Name: "grpc-status", Value: "5"}, "with indexing", "indexed"},
		{Field{Name: ":method", Value: "POST"}, "indexed", "indexed"},
		{Field{Name: "grpc-message", Value: ""}, "with indexing", "indexed"},
		{Field{Name: "grpc-message", Value: "user 17 not found"}, "without indexing", "without indexing"},
		{Field{Name: "x-request-id", Value: "8d1"}, "without indexing", "without indexing"},
		{Field{Name: "grpc-timeout", Value: "99m"}, "without indexing", "without indexing"},
		{Field{Name: ":path", Value: strings.Repeat("/", 257)}, "without indexing", "without indexing"},
		{Field{Name: "authorization", Value: "Bearer x"}, "never indexed", "never indexed"},
		{Field{Name: "cookie", Value: "x"}, "never indexed", "never indexed"},
		{Field{Name: "x", Value: "secret", Sensitive: true}, "never indexed", "never indexed"},
		{Field{Name: ":path", Value: "/secret", Sensitive: true}, "never indexed", "never indexed"},
	}
	for _, tt := range tests {
		t.Run(tt.field.Name+"="+tt.field.Value[:min(9, len(tt.field.Value))], func(t *testing.T) {
			e, r := newBlockEncoder(), newBlockReader(t)
			for _, want := range []string{tt.first, tt.second} {
				block := e.append(nil, []Field{tt.field})
				if got := form(block); got != want {
					t.Errorf("written %s, want %s", got, want)
				}
				wantSame(t, r.read(block), []Field{tt.field})
			}
		})
	}
}

// The peer's table may go to nothing and come back at any time; what opens
// the next block does not matter.
func TestEncoderFollowsTheTableSize(t *testing.T) {
	openings := map[string][]Field{
		"indexed":              kv(":method", "POST", "user-agent", "x"),
		"repeats":              kv(":path", "/s/m", "user-agent", "x"),
		"changes":              kv("x-request-id", "1", "user-agent", "x"),
		"credential":           kv("authorization", "1", "user-agent", "x"),
		"never indexed":        {{Name: "x", Value: "1", Sensitive: true}, {Name: "user-agent", Value: "x"}},
		"repeats, never index": {{Name: ":path", Value: "/s/m", Sensitive: true}, {Name: "user-agent", Value: "x"}},
		"nothing":              nil,
	}
	sizes := map[string][]uint32{
		"to nothing":          {0},
		"to nothing and back": {0, 4096},
		"smaller":             {100},
		"larger":              {1 << 20},
		"larger, then back":   {1 << 20, 4096},
		"down, up, down":      {10, 4096, 200},
	}
	for opening, fields := range openings {
		for size, changes := range sizes {
			t.Run(size+"/"+opening, func(t *testing.T) {
				e, r := newBlockEncoder(), newBlockReader(t)
				usual := kv(":method", "POST", ":path", "/s/m", "user-agent", "x", "x-request-id", "1")
				for range 3 {
					wantSame(t, r.read(e.append(nil, usual)), usual)
				}
				for _, size := range changes {
					r.allow(e, size)
				}
				wantSame(t, r.read(e.append(nil, fields)), fields)
				for range 3 {
					wantSame(t, r.read(e.append(nil, usual)), usual)
				}
			})
		}
	}
}

// Fields that come again are not encoded again, and are right all the same
// when the table has changed in between.
func TestEncoderRemembersBlocks(t *testing.T) {
	e, r := newBlockEncoder(), newBlockReader(t)
	usual := kv(":method", "POST", ":path", "/s/m", "user-agent", "x", "x-request-id", "1")
	send := func(fields []Field) {
		t.Helper()
		block := e.known(fields)
		if block == nil {
			block = e.append(nil, fields)
		}
		wantSame(t, r.read(block), fields)
	}
	for range 4 {
		send(usual)
	}
	if e.known(usual) == nil {
		t.Error("a block is not remembered after four times")
	}
	if e.known(slices.Clone(usual)) != nil || e.known(usual[:2]) != nil || e.known(nil) != nil {
		t.Error("fields are taken for others")
	}
	// 100 further paths push everything out of the table.
	for i := range 100 {
		send(kv(":path", "/s/"+strings.Repeat("m", i)))
		send(usual)
	}
	for range 4 {
		send(usual)
	}
	r.allow(e, 0)
	if e.known(usual) != nil {
		t.Error("a block outlives the table that it refers to")
	}
	for range 4 {
		send(usual)
	}
}

// The room that a block is given beforehand is enough for it, whatever it is.
func TestEncodedBound(t *testing.T) {
	e := newBlockEncoder()
	lists := [][]Field{
		kv("x", ""), kv("", ""), request(), response("content-type", "application/grpc"),
		kv(":path", strings.Repeat("\x01", 250)), // Huffman makes it longer
		kv("x", strings.Repeat("\x01", 100<<10)),
		kv(slices.Repeat([]string{"x", ""}, 200)...),
	}
	for i, fields := range lists {
		for _, size := range []uint32{4096, 0, 1 << 31, 127, 1 << 14} {
			e.setTable(0)
			e.setTable(size)
			n := len(e.append(nil, fields))
			if n += frameHeaderLen * (n / maxFrameSize); n > encodedBound(fields) {
				t.Errorf("list %d with a table of %d takes %d bytes, expected %d at most", i, size, n, encodedBound(fields))
			}
		}
	}
}
