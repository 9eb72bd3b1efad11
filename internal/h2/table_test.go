package h2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// A decoder that is written down, at any byte of a block in fragments, reads
// on as the library's own does.
func TestTableGoesOn(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		limits := DefaultLimits()
		d, yardstick := newBlockDecoder(&limits), hpack.NewDecoder(tableSize, nil)
		for _, block := range randomBlocks(rng) {
			want, err := yardstick.DecodeFull(block)
			if err != nil {
				t.Fatal(err)
			}
			if rng.IntN(2) == 0 {
				d = rewritten(t, d)
			}
			d.begin()
			for rest := block; len(rest) > 0; {
				n := 1 + rng.IntN(len(rest))
				if err := d.fragment(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
				if rng.IntN(2) == 0 {
					d = rewritten(t, d)
				}
			}
			got, err := d.end()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !reflect.DeepEqual(got.fields, want) {
				t.Fatalf("seed %d: got\n%v\nwant\n%v", seed, got.fields, want)
			}
		}
	}
}

// rewritten returns a new decoder that is made of what the old one wrote.
func rewritten(t *testing.T, d *blockDecoder) *blockDecoder {
	t.Helper()
	table, block, err := d.record()
	if err != nil {
		t.Fatal(err)
	}
	limits := DefaultLimits()
	fresh := newBlockDecoder(&limits)
	if err := fresh.restore(&table, &block); err != nil {
		t.Fatal(err)
	}
	return fresh
}

// randomBlocks are header blocks of all kinds of fields, with size updates
// where they may be, and integers that are longer than they need be.
func randomBlocks(rng *rand.Rand) [][]byte {
	var out bytes.Buffer
	enc := hpack.NewEncoder(&out)
	var blocks [][]byte
	for range 30 {
		out.Reset()
		switch rng.IntN(4) {
		case 0:
			enc.SetMaxDynamicTableSize(0)
			enc.SetMaxDynamicTableSize(uint32(rng.IntN(tableSize + 1)))
		case 1:
			enc.SetMaxDynamicTableSize(uint32(rng.IntN(200)))
		}
		for range 1 + rng.IntN(8) {
			_ = enc.WriteField(Field{
				Name:      fmt.Sprintf("x-%d", rng.IntN(20)),
				Value:     strings.Repeat("v", rng.IntN(9)*rng.IntN(60)),
				Sensitive: rng.IntN(5) == 0,
			})
		}
		if rng.IntN(3) == 0 { // :method GET, as a name with an index and a long length
			out.Write([]byte{0x02, 0x7f, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00})
			out.WriteString(strings.Repeat("G", 128))
		}
		blocks = append(blocks, bytes.Clone(out.Bytes()))
	}
	return blocks
}

// The size that the peer has bounded its table to is found to the byte.
func TestTableLimit(t *testing.T) {
	for _, size := range []uint32{0, 1, 31, 32, 33, 100, 2048, 4095, 4096} {
		limits := DefaultLimits()
		d := newBlockDecoder(&limits)
		d.dec.SetMaxDynamicTableSize(size)
		want := size
		if size < 32 {
			want = 0 // no entry fits in either
		}
		if got := d.tableLimit(); got != want {
			t.Errorf("found %d, want %d", got, want)
		}
	}
}

// A size update is refused behind a field, whether or not the block was
// written down between the two.
func TestTableKeepsTheStartOfABlock(t *testing.T) {
	tests := []struct {
		name   string
		first  []byte
		second []byte
		ok     bool
	}{
		{"an update behind a field", []byte{0x82}, []byte{0x20}, false},
		{"an update first", nil, []byte{0x20, 0x82}, true},
		{"two updates in two fragments", []byte{0x20}, []byte{0x3f, 0x45, 0x82}, true},
		{"the middle of an update", []byte{0x3f}, []byte{0x45, 0x82}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limits := DefaultLimits()
			d := newBlockDecoder(&limits)
			// There is an entry: else the library takes an update anywhere.
			if _, err := d.whole([]byte("\x40\x01a\x01b")); err != nil {
				t.Fatal(err)
			}
			d = rewritten(t, d)
			d.begin()
			if err := d.fragment(tt.first); err != nil {
				t.Fatal(err)
			}
			d = rewritten(t, d)
			if err := d.fragment(tt.second); (err == nil) != tt.ok {
				t.Errorf("the second fragment: %v", err)
			}
		})
	}
}

// An encoder that begins anew is understood by a peer that has a table, of any
// size that it may have.
func TestEncoderRestarts(t *testing.T) {
	for _, size := range []uint32{0, 50, 300, 4096, 1 << 20} {
		peer := hpack.NewDecoder(min(size, tableSize), nil)
		e := newBlockEncoder()
		e.setTable(size)
		for i := range 20 {
			fields := []Field{{Name: "x-volatile", Value: strconv.Itoa(i)}, {Name: ":path", Value: fmt.Sprint("/s/m", i%3)}}
			got, err := peer.DecodeFull(e.append(nil, fields))
			if err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			if !reflect.DeepEqual(got, fields) {
				t.Errorf("size %d: got %v, want %v", size, got, fields)
			}
			e = newBlockEncoder()
			e.restart(size)
		}
	}
}

// FuzzTable has a decoder read blocks of anything, in fragments, while it is
// written down after each of them: it takes and refuses what one does that is
// left alone, and both read the same.
func FuzzTable(f *testing.F) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 6))
		f.Add(bytes.Join(randomBlocks(rng)[:3], nil), uint16(7*seed))
	}
	f.Add([]byte("\x40\x01a\x01b\x3f\x45\x20\x82\x02\x7f\x81\x80\x80\x80\x00"), uint16(3))
	f.Fuzz(func(t *testing.T, wire []byte, size uint16) {
		limits := DefaultLimits()
		alone, written := newBlockDecoder(&limits), newBlockDecoder(&limits)
		for n := 0; len(wire) > 0; n++ {
			alone.begin()
			written.begin()
			for range 1 + int(size)%5 {
				fragment := wire[:min(len(wire), 1+int(size)%60)]
				wire = wire[len(fragment):]
				want, got := alone.fragment(fragment), written.fragment(fragment)
				if (want == nil) != (got == nil) || alone.flood() != written.flood() {
					t.Fatalf("block %d: %v, want %v", n, got, want)
				}
				if want != nil || alone.flood() {
					return
				}
				written = rewritten(t, written)
			}
			want, wantErr := alone.end()
			got, gotErr := written.end()
			if (wantErr == nil) != (gotErr == nil) {
				t.Fatalf("the end of block %d: %v, want %v", n, gotErr, wantErr)
			}
			if wantErr != nil {
				return
			}
			if !reflect.DeepEqual(got.fields, want.fields) || got.oversize != want.oversize {
				t.Fatalf("block %d: got\n%v\nwant\n%v", n, got.fields, want.fields)
			}
		}
	})
}
