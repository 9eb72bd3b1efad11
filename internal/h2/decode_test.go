package h2

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// xnetEncoder writes blocks with golang.org/x/net's encoder.
type xnetEncoder struct {
	*hpack.Encoder
	buf bytes.Buffer
}

func newXNetEncoder() *xnetEncoder {
	e := &xnetEncoder{}
	e.Encoder = hpack.NewEncoder(&e.buf)
	return e
}

func (e *xnetEncoder) block(fields []Field) []byte {
	e.buf.Reset()
	for _, f := range fields {
		_ = e.WriteField(f) // a bytes.Buffer takes everything
	}
	return slices.Clone(e.buf.Bytes())
}

// decode decodes a block in one piece, or in pieces of the given size.
func decode(d *blockDecoder, block []byte, piece int) (*headerBlock, error) {
	if piece == 0 {
		return d.whole(block)
	}
	d.begin()
	for len(block) > 0 {
		n := min(piece, len(block))
		if err := d.write(block[:n]); err != nil {
			return nil, err
		}
		if d.flood() { // the connection ends here
			return &headerBlock{oversize: true, flood: true}, nil
		}
		block = block[n:]
	}
	return d.end()
}

func TestDecoderReadsWhatXNetWrites(t *testing.T) {
	limits := DefaultLimits()
	for _, piece := range []int{0, 1, 2, 3, 7, 1000} {
		t.Run(fmt.Sprintf("pieces of %d", piece), func(t *testing.T) {
			d, e := newBlockDecoder(&limits), newXNetEncoder()
			secret := []Field{{Name: "authorization", Value: "x", Sensitive: true}}
			for i := range 15 {
				for _, fields := range [][]Field{
					request(), secret, kv("x-request-id", strconv.Itoa(i)), nil, request("x", strings.Repeat("y", 2000)),
				} {
					h, err := decode(d, e.block(fields), piece)
					if err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(h.fields, fields) || h.oversize || h.flood {
						t.Fatalf("got  %+v\nwant %+v", h, fields)
					}
				}
				e.SetMaxDynamicTableSize(uint32(i%3) * 2048) // to nothing and back
			}
		})
	}
}

// Blocks that come again are the same fields, also when blocks between them
// change what an index stands for.
func TestDecoderRemembersBlocks(t *testing.T) {
	limits := DefaultLimits()
	d := newBlockDecoder(&limits)
	// Literal with indexing, name 'a' and then 'b', and a reference to the newest entry.
	a, b, newest := []byte("\x40\x01a\x011"), []byte("\x40\x01b\x012"), []byte{0xbe}
	for _, step := range []struct {
		block []byte
		want  []Field
	}{
		{a, kv("a", "1")},
		{newest, kv("a", "1")},
		{newest, kv("a", "1")},
		{newest, kv("a", "1")},
		{b, kv("b", "2")},
		{newest, kv("b", "2")},
		{newest, kv("b", "2")},
		{newest, kv("b", "2")},
		{a, kv("a", "1")}, // the bytes of a block before, but not neutral
		{newest, kv("a", "1")},
		{b, kv("b", "2")},
		{[]byte{0x20}, nil}, // the table is emptied
	} {
		h, err := d.whole(step.block)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(h.fields, step.want) {
			t.Fatalf("%x is %v, want %v", step.block, h.fields, step.want)
		}
	}
	if _, err := d.whole(newest); err == nil {
		t.Error("an entry outlives the table")
	}
}

// What comes in pieces can change the table, too.
func TestDecoderForgetsAfterPieces(t *testing.T) {
	limits := DefaultLimits()
	d := newBlockDecoder(&limits)
	newest := []byte{0xbe}
	for i, want := range []string{"1", "2", "3"} {
		if _, err := decode(d, []byte("\x40\x01a\x01"+want), 2); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			h, err := d.whole(newest)
			if err != nil || !slices.Equal(h.fields, kv("a", want)) {
				t.Fatalf("round %d: got %v, %v; want %s", i, h, err, want)
			}
		}
	}
}

func TestDecoderBounds(t *testing.T) {
	limits := DefaultLimits()
	limits.HeaderList, limits.HeaderFields = 1000, 10
	field := func(size int) Field { return Field{Name: "x", Value: strings.Repeat("v", size-33)} }
	tests := []struct {
		name            string
		fields          []Field
		kept            int
		oversize, flood bool
	}{
		{"at the limit", []Field{field(500), field(500)}, 2, false, false},
		{"over it", []Field{field(500), field(501), field(40)}, 1, true, false},
		{"as many as may be", slices.Repeat([]Field{field(40)}, 10), 10, false, false},
		{"one more", slices.Repeat([]Field{field(40)}, 11), 10, true, false},
		{"four times as large", []Field{field(2000), field(2000)}, 0, true, false},
		{"more than four times", []Field{field(2000), field(2001)}, 0, true, true},
		{"four times as many", slices.Repeat([]Field{field(40)}, 40), 10, true, false},
		{"more than four times as many", slices.Repeat([]Field{field(40)}, 41), 10, true, true},
		{"all in one value", []Field{field(5000)}, 0, true, true},
		{"all in one name", []Field{{Name: strings.Repeat("n", 5000)}}, 0, true, true},
	}
	for _, tt := range tests {
		for _, piece := range []int{0, 100} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, piece), func(t *testing.T) {
				h, err := decode(newBlockDecoder(&limits), newXNetEncoder().block(tt.fields), piece)
				if err != nil {
					t.Fatal(err)
				}
				if tt.flood != h.flood {
					t.Fatalf("a flood: %v, want %v", h.flood, tt.flood)
				}
				if h.oversize != tt.oversize || !h.flood && !slices.Equal(h.fields, tt.fields[:tt.kept]) {
					t.Errorf("oversize %v, flood %v, %d fields; want %v, %v, %d",
						h.oversize, h.flood, len(h.fields), tt.oversize, tt.flood, tt.kept)
				}
			})
		}
	}
}

func TestDecoderRefusesGarbage(t *testing.T) {
	limits := DefaultLimits()
	for name, block := range map[string]string{
		"index 0":                  "\x80",
		"index beyond the tables":  "\xff\x20",
		"integer without end":      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"string cut off":           "\x00\x01x\x05abc",
		"name cut off":             "\x00\x7f",
		"table larger than ours":   "\x3f\xe2\x1f",
		"size update in the midst": "\x40\x01a\x011\x20",
		"bad Huffman padding":      "\x00\x81\xff\x01x",
		"Huffman EOS":              "\x00\x84\xff\xff\xff\xff\x01x",
		"literal with no name":     "\x40",
		"reference to an old name": "\x7f\x00\x01x",
	} {
		for _, piece := range []int{0, 1} {
			_, err := decode(newBlockDecoder(&limits), []byte(block), piece)
			var ce *ConnError
			if !errors.As(err, &ce) || ce.Code != CodeCompression {
				t.Errorf("%s, in pieces of %d: got %v, want COMPRESSION_ERROR", name, piece, err)
			}
		}
	}
}

func TestTableNeutral(t *testing.T) {
	tests := []struct {
		name  string
		block string
		want  bool
	}{
		{"nothing", "", true},
		{"indexed", "\x82\xbe\xff\x80\x01", true},
		{"without indexing", "\x00\x01a\x011", true},
		{"without indexing, name by index", "\x04\x011\x0f\x01\x02xx", true},
		{"never indexed", "\x10\x01a\x011\x1f\x05\x011", true},
		{"Huffman", "\x00\x81\x1f\x81\x0f", true},
		{"with indexing", "\x40\x01a\x011", false},
		{"with indexing, name by index", "\x41\x01a", false},
		{"with indexing, behind others", "\x82\x00\x01a\x011\x41\x01a", false},
		{"size update", "\x20", false},
		{"looks like a size update inside of a string", "\x00\x02\x20\x40\x02\x3f\x7f", true},
		{"cut off", "\x00\x05a", false},
		{"cut off in an integer", "\xff\x80", false},
		{"a length that is absurd", "\x00\x7f\xff\xff\xff\xff\x0f", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tableNeutral([]byte(tt.block)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
