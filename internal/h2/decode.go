package h2

import (
	"golang.org/x/net/http2/hpack"
)

// blockDecoder decodes the header blocks of one direction of a connection.
// Owned by the reader goroutine.
type blockDecoder struct {
	dec       *hpack.Decoder
	fields    []Field // of the block at hand; the slice is used again
	size      int     // of the header list, as RFC 9113, section 6.5.2 counts it
	count     int
	maxSize   int
	maxFields int
}

func newBlockDecoder(l *Limits) *blockDecoder {
	d := &blockDecoder{maxSize: l.HeaderList, maxFields: l.HeaderFields}
	d.dec = hpack.NewDecoder(4096, d.emit)
	// A single string of four times the list's size is a flood by itself.
	d.dec.SetMaxStringLength(4 * l.HeaderList)
	return d
}

func (d *blockDecoder) emit(f Field) {
	d.size += len(f.Name) + len(f.Value) + 32
	d.count++
	if !d.oversize() {
		d.fields = append(d.fields, f)
	}
}

// begin starts a block.
func (d *blockDecoder) begin() {
	d.fields = d.fields[:0]
	d.size, d.count = 0, 0
}

// write decodes a fragment of the block.
func (d *blockDecoder) write(p []byte) error {
	if _, err := d.dec.Write(p); err != nil {
		return connError(CodeCompression, err.Error())
	}
	return nil
}

// end ends the block.
func (d *blockDecoder) end() error {
	if err := d.dec.Close(); err != nil {
		return connError(CodeCompression, err.Error())
	}
	return nil
}

// oversize reports whether the list is larger than we take: the fields are
// then those before the limit was reached.
func (d *blockDecoder) oversize() bool { return d.size > d.maxSize || d.count > d.maxFields }

// flood reports whether the list is so large that the connection must end.
func (d *blockDecoder) flood() bool { return d.size > 4*d.maxSize || d.count > 4*d.maxFields }
