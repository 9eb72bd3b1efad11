package inspector

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	loomv1 "loom/api/loom/v1"
)

const (
	// maxPlain bounds a recorded message after decompression, so that a bomb
	// is not sent on, nor takes the memory of loomd.
	maxPlain = 64 << 20
	// maxWindow is what zstd may ask for before its first byte.
	maxWindow = 8 << 20
)

// plain returns the bytes of a recorded message as they are to be sent again:
// uncompressed. It refuses what is not there as a whole, and says why.
func plain(encoding string, m *loomv1.Message) ([]byte, error) {
	which := fmt.Sprintf("message %d of the %s", m.GetSequence(), directionName(m.GetDirection()))
	switch {
	case m.GetWithheld() != "":
		return nil, fmt.Errorf("%s was not recorded: %s", which, m.GetWithheld())
	case m.GetRedacted():
		return nil, fmt.Errorf("fields were taken out of %s before it was recorded", which)
	case m.GetTruncated() || m.GetSize() != uint64(len(m.GetData())):
		return nil, fmt.Errorf("only %d of the %d bytes of %s were recorded", len(m.GetData()), m.GetSize(), which)
	case !m.GetCompressed() || len(m.GetData()) == 0:
		return m.GetData(), nil
	}
	r, err := uncompress(encoding, m.GetData())
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", which, err)
	}
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err == nil && len(out) > maxPlain {
		err = fmt.Errorf("more than %d bytes come out of it", maxPlain)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", which, err)
	}
	return out, nil
}

func uncompress(encoding string, data []byte) (io.ReadCloser, error) {
	in := bytes.NewReader(data)
	switch encoding {
	case "gzip":
		return gzip.NewReader(in)
	case "deflate":
		return zlib.NewReader(in)
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("encoding %q is not one that loom can decompress (gzip, deflate, zstd)", encoding)
}
