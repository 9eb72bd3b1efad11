package decode

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds what a zstd frame may ask for before its first byte. Peers
// that compress messages use 8 MiB at most.
const maxWindow = 8 << 20

// inflater decompresses messages.
type inflater struct {
	gzips sync.Pool // of *gzip.Reader, 40 KiB each
}

// inflate returns what data holds, at most limit bytes. If data ends early,
// it returns what there is, with whole false.
func (f *inflater) inflate(encoding string, data []byte, limit int) (out []byte, whole bool, err error) {
	r, done, err := f.open(encoding, data)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, false, fmt.Errorf("decompress %s: its bytes end before the first of the message", encoding)
		}
		return nil, false, err
	}
	defer done()
	var buf bytes.Buffer
	_, err = buf.ReadFrom(io.LimitReader(r, int64(limit)+1))
	if buf.Len() > limit {
		return nil, false, fmt.Errorf("decompress %s: more than %d bytes come out of %d, which is the limit", encoding, limit, len(data))
	}
	switch {
	case err == nil:
		return buf.Bytes(), true, nil
	case errors.Is(err, io.ErrUnexpectedEOF) && buf.Len() > 0:
		return buf.Bytes(), false, nil
	default:
		return nil, false, fmt.Errorf("decompress %s: %w", encoding, err)
	}
}

func (f *inflater) open(encoding string, data []byte) (r io.Reader, done func(), err error) {
	in := bytes.NewReader(data)
	switch encoding {
	case "gzip":
		z, ok := f.gzips.Get().(*gzip.Reader)
		if !ok {
			z = new(gzip.Reader)
		}
		if err := z.Reset(in); err != nil {
			return nil, nil, fmt.Errorf("decompress gzip: %w", err)
		}
		return z, func() { f.gzips.Put(z) }, nil
	case "deflate":
		// gRPC means zlib by it, but some peers send the bare stream.
		if z, err := zlib.NewReader(in); err == nil {
			return z, func() {}, nil
		}
		return flate.NewReader(bytes.NewReader(data)), func() {}, nil
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("decompress zstd: %w", err)
		}
		return z, z.Close, nil
	case "", "identity":
		return nil, nil, errors.New("the message says that it is compressed, and its call names no encoding")
	default:
		return nil, nil, fmt.Errorf("encoding %q is not one that loom can decompress (gzip, deflate, zstd)", encoding)
	}
}
