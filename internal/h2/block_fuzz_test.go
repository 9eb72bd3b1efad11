package h2

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzHeaderBlock holds both halves of the header path against
// golang.org/x/net's: what our decoder makes of any sequence of blocks, whole
// or in pieces, and what becomes of any fields that our encoder writes while
// the peer changes the size of its table.
func FuzzHeaderBlock(f *testing.F) {
	f.Add([]byte("\x03\x82\x86\x84\x03\x82\x86\x84\x03\x82\x86\x84\x83\x82\x86\x84"), []byte("\x00\x00\x08\x00\x09\xff\x00"))
	f.Add([]byte("\x05\x40\x01a\x011\x01\xbe\x01\xbe\x01\xbe\x05\x40\x01b\x011\x01\xbe\x01\x20\x01\xbe"), []byte("\x01\x01\x01\x0a\x20\x01"))
	f.Add([]byte("\x85\x40\x01a\x011\x41\xbe\x03\x3f\xe1\x1f\x06\x10\x01k\x02vv"), []byte("\x02\x0b\x40\x10\x02\x03\x0b\x05\x08\x80"))
	e := newXNetEncoder()
	for _, fields := range [][]Field{request("te", "trailers", "grpc-timeout", "1S"), response(), kv("grpc-status", "0")} {
		block := e.block(fields)
		f.Add(slices.Concat([]byte{byte(len(block))}, block, []byte{byte(len(block))}, block), []byte("\x04\x05\x06\x07"))
	}
	f.Fuzz(func(t *testing.T, blocks, script []byte) {
		compareDecoders(t, blocks)
		compareEncoder(t, script)
	})
}

// compareDecoders reads blocks from input: a byte with the length, and whether
// the block comes in pieces, and then the block.
func compareDecoders(t *testing.T, input []byte) {
	limits := DefaultLimits()
	limits.HeaderList, limits.HeaderFields = 2000, 40
	ours := newBlockDecoder(&limits)
	var want []Field
	xnet := hpack.NewDecoder(4096, func(f Field) { want = append(want, f) })
	xnet.SetMaxStringLength(4 * limits.HeaderList)
	for len(input) > 0 {
		n, piece := int(input[0]&0x7f), int(input[0]>>7)
		n = min(n, len(input)-1)
		block := input[1 : 1+n]
		input = input[1+n:]

		want = nil
		_, wantErr := xnet.Write(block)
		if wantErr == nil {
			wantErr = xnet.Close()
		}
		got, err := decode(ours, block, piece)
		switch {
		case err == nil && got.flood:
			size, count := listSize(want)
			if size <= 4*limits.HeaderList && count <= 4*limits.HeaderFields && !errors.Is(wantErr, hpack.ErrStringLength) {
				t.Fatalf("block %x: %d fields of %d bytes are a flood", block, count, size)
			}
			return // the connection ends here
		case (err == nil) != (wantErr == nil):
			t.Fatalf("block %x: error %v, x/net says %v", block, err, wantErr)
		case err != nil:
			return
		case got.oversize:
			if size, count := listSize(want); size <= limits.HeaderList && count <= limits.HeaderFields {
				t.Fatalf("block %x: %d fields of %d bytes are too large", block, count, size)
			}
			want = want[:min(len(want), len(got.fields))]
		}
		if !slices.Equal(got.fields, want) {
			t.Fatalf("block %x:\ngot  %v\nwant %v", block, got.fields, want)
		}
	}
}

func listSize(fields []Field) (size, count int) {
	for _, f := range fields {
		size += int(f.Size())
	}
	return size, len(fields)
}

// compareEncoder follows a script: send one of a few lists of fields, or one
// that never comes again, or change the size of the peer's table.
func compareEncoder(t *testing.T, script []byte) {
	lists := [][]Field{
		request("te", "trailers", "user-agent", "a/1"), response("content-type", "application/grpc"),
		kv("grpc-status", "0", "grpc-message", ""), kv("authorization", "x", ":path", "/s/m"),
		{{Name: ":path", Value: "/s/n", Sensitive: true}, {Name: "te", Value: "trailers"}},
		{{Name: "x", Value: "y", Sensitive: true}}, kv("x-trace", "1", "cookie", "2"), nil,
	}
	e, r := newBlockEncoder(), newBlockReader(t)
	for len(script) > 0 {
		op := script[0]
		script = script[1:]
		fields := lists[op%8]
		switch {
		case op < 8:
		case op < 16 && len(script) > 0:
			// x/net's decoder wants a table empty when a second update follows
			// the first, so that the smallest is either nothing or the last.
			size := uint32(script[0]) << (op % 8)
			script = script[1:]
			if size > r.least {
				r.allow(e, 0)
			}
			r.allow(e, size)
			continue
		default:
			n := min(int(op%32), len(script))
			fields = append(slices.Clip(fields), Field{
				Name: string(script[:n/2]), Value: string(script[n/2 : n]), Sensitive: op >= 128,
			})
			script = script[n:]
		}
		block := e.known(fields)
		if block == nil {
			block = e.append(nil, fields)
		}
		wantSame(t, r.read(block), fields)
	}
}
