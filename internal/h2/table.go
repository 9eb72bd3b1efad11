package h2

import (
	"slices"

	"golang.org/x/net/http2/hpack"
)

// firstDynamic is the index of the newest entry of a dynamic table (RFC 7541,
// section 2.3.3).
const firstDynamic = 62

// record takes the peer's dynamic table out of the decoder. The library shows
// it to nobody, so it is asked as a peer would ask: what is this index, does
// an entry of that size fit? It is spoiled by that, and made anew.
func (d *blockDecoder) record() (tableRecord, blockRecord, error) {
	block := blockRecord{within: d.within, rest: d.rest}
	if d.within || len(d.rest) > 0 {
		block.fields, block.size, block.count = append(block.fields, d.fields...), d.size, d.count
	}
	var t tableRecord
	var last Field
	d.dec.SetEmitFunc(func(f Field) { last = f })
	d.dec.SetMaxStringLength(0)
	_ = d.dec.Close() // what it has of an open block is in block, too
	for i := uint64(firstDynamic); d.ask(appendHpackInt(nil, 0x80, 7, i)); i++ {
		t.entries = append(t.entries, last)
	}
	slices.Reverse(t.entries)
	t.size = d.tableLimit()
	err := d.restore(&t, &block)
	return t, block, err
}

// ask reports whether the decoder takes p, whole fields, for what is right.
func (d *blockDecoder) ask(p []byte) bool {
	_, err := d.dec.Write(p)
	return err == nil
}

// tableLimit finds the size that the peer has bounded its table to: the
// largest entry that stays in it. Below 32 nothing does, so that all such
// sizes are one.
func (d *blockDecoder) tableLimit() uint32 {
	stays := func(size int) bool {
		entry := appendHpackString([]byte{0x40, 0}, string(make([]byte, size-32)))
		return d.ask(entry) && d.ask([]byte{0x80 | firstDynamic})
	}
	if stays(tableSize) { // nearly always
		return tableSize
	}
	least, most := 31, tableSize-1
	for least < most {
		if mid := (least + most + 1) / 2; stays(mid) {
			least = mid
		} else {
			most = mid - 1
		}
	}
	if least < 32 {
		return 0
	}
	return uint32(least)
}

// restore makes the decoder one that has read what the records say.
func (d *blockDecoder) restore(t *tableRecord, b *blockRecord) error {
	d.dec = hpack.NewDecoder(tableSize, func(Field) {})
	d.dec.SetMaxDynamicTableSize(t.size)
	for i := range t.entries {
		f := &t.entries[i]
		entry := appendHpackString([]byte{0x40}, f.Name)
		if _, err := d.dec.Write(appendHpackString(entry, f.Value)); err != nil {
			return connError(CodeCompression, err.Error())
		}
	}
	if b.within {
		d.ask([]byte{0x80 | 2}) // it is past the place of size updates
	} else if err := d.dec.Close(); err != nil {
		return connError(CodeCompression, err.Error())
	}
	d.dec.SetMaxStringLength(4 * d.maxSize)
	if _, err := d.dec.Write(b.rest); err != nil {
		return connError(CodeCompression, err.Error())
	}
	d.dec.SetEmitFunc(d.emit)
	d.forget()
	d.fields, d.size, d.count = b.fields, b.size, b.count
	d.rest, d.within = b.rest, b.within
	return nil
}

// appendHpackInt appends an integer with a prefix of n bits (RFC 7541, section 5.1).
func appendHpackInt(dst []byte, first byte, n uint, v uint64) []byte {
	most := uint64(1)<<n - 1
	if v < most {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(most))
	for v -= most; v >= 128; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}
