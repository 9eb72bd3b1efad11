package decode_test

import (
	"bytes"
	"strings"
	"testing"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
)

func TestPlainReturnsWhatWasCompressed(t *testing.T) {
	want := []byte("the same again, the same again")
	small := compress(t, "gzip", want)
	d := decode.New(decode.Limits{Decoded: 1 << 10}, nil)
	request := loomv1.Direction_DIRECTION_REQUEST
	for _, test := range []struct {
		name, encoding string
		msg            *loomv1.Message
		wrong          string // part of the error; empty: none
	}{
		{"as it is", "gzip", &loomv1.Message{Size: uint64(len(want)), Data: want}, ""},
		{"gzip", "gzip", &loomv1.Message{Compressed: true, Size: uint64(len(small)), Data: small}, ""},
		{"ends early", "gzip", &loomv1.Message{Compressed: true, Size: uint64(len(small) - 9), Data: small[:len(small)-9]}, "it ends early"},
		{"a bomb", "gzip", whole(compress(t, "gzip", make([]byte, 1<<20))), "more than 1024 bytes"},
		{"unknown encoding", "snappy", whole(small), `encoding "snappy"`},
		{"withheld", "", &loomv1.Message{Withheld: "no room"}, "was not recorded: no room"},
		{"redacted", "", &loomv1.Message{Redacted: true}, "fields were taken out of message 4 of the request"},
		{"truncated", "", &loomv1.Message{Truncated: true, Size: 9, Data: want[:3]}, "only 3 of the 9 bytes of message 4 of the request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.msg.Direction, test.msg.Sequence = request, 4
			got, err := d.Plain(test.encoding, test.msg)
			switch {
			case test.wrong == "" && (err != nil || !bytes.Equal(got, want)):
				t.Errorf("%q, %v, want %q", got, err, want)
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
				t.Errorf("%v does not say %q", err, test.wrong)
			}
		})
	}
}

func whole(data []byte) *loomv1.Message {
	return &loomv1.Message{Compressed: true, Size: uint64(len(data)), Data: data}
}

// FuzzPlain holds that what strangers compressed is bounded and never panics.
func FuzzPlain(f *testing.F) {
	f.Add("gzip", []byte("\x1f\x8b\x08"))
	f.Add("deflate", []byte("\x78\x9c\x03\x00"))
	f.Add("zstd", []byte("\x28\xb5\x2f\xfd\x04\x00"))
	const most = 1 << 20
	d := decode.New(decode.Limits{Decoded: most}, nil)
	f.Fuzz(func(t *testing.T, encoding string, data []byte) {
		if out, err := d.Plain(encoding, whole(data)); err == nil && len(out) > max(most, len(data)) {
			t.Errorf("%d bytes came out", len(out))
		}
	})
}
