package export

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	loomv1 "loom/api/loom/v1"
)

const head = `{"loom":1,"saved":"2026-05-01T10:00:00Z"}` + "\n"

// saved writes calls and descriptors to a file.
func saved(t testing.TB, calls []*loomv1.Call, descriptors map[string]*descriptorpb.FileDescriptorSet) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := WriteLoom(&file, slices.Values(calls), descriptors); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func zipped(t testing.TB, content io.Reader) []byte {
	t.Helper()
	var file bytes.Buffer
	zip := gzip.NewWriter(&file)
	if _, err := io.Copy(zip, content); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestLoomComesBackAsItWas(t *testing.T) {
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(loomv1.File_loom_v1_call_proto)}}
	calls := []*loomv1.Call{failedCall(), openCall()}
	before := time.Now().Add(-time.Second)
	got, err := ReadLoom(bytes.NewReader(saved(t, calls, map[string]*descriptorpb.FileDescriptorSet{"shop": set, "pay ☃": {}})), DefaultLimits())
	if err != nil || len(got.Warnings) > 0 {
		t.Fatalf("%v, warnings %q", err, got.Warnings)
	}
	if got.At.Before(before) || got.At.After(time.Now()) {
		t.Errorf("saved at %v", got.At)
	}
	if len(got.Calls) != 2 || !proto.Equal(got.Calls[0], calls[0]) || !proto.Equal(got.Calls[1], calls[1]) {
		t.Errorf("got %v", got.Calls)
	}
	if len(got.Descriptors) != 2 || !proto.Equal(got.Descriptors["shop"], set) {
		t.Errorf("got descriptors of %d backends", len(got.Descriptors))
	}
}

func TestHalfOfAFileIsRead(t *testing.T) {
	var calls []*loomv1.Call
	for i := range 300 {
		c := failedCall()
		c.Id = fmt.Sprintf("1-%d", i*i*7919)
		calls = append(calls, c)
	}
	file := saved(t, calls, nil)
	got, err := ReadLoom(bytes.NewReader(file[:len(file)/2]), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Calls); n < 50 || n >= 300 || !proto.Equal(got.Calls[n-1], calls[n-1]) {
		t.Errorf("read %d of 300 calls", n)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "ends early") {
		t.Errorf("warnings %q", got.Warnings)
	}
}

func TestDamageCostsOnlyWhatItHit(t *testing.T) {
	good := `{"call":{"id":"1-1"}}` + "\n"
	end := func(n int) string { return fmt.Sprintf(`{"end":{"calls":%d}}`, n) + "\n" }
	limits := Limits{LineBytes: 200, TotalBytes: 100_000, Calls: 3, Backends: 1}
	for _, test := range []struct {
		name, content string
		calls         int
		warning       string // empty: none
	}{
		{"nothing", end(0), 0, ""},
		{"calls", good + good + end(2), 2, ""},
		{"no end", good, 1, "ends early"},
		{"half a line", good + `{"call":{"id":`, 1, "ends early"},
		{"garbage", good + "\x00\xff}{\n" + good + end(2), 2, "line 3 "},
		{"an empty line", good + "\n" + end(1), 1, "line 3 "},
		{"not a call", good + `{"call":7}` + "\n" + good + end(3), 2, "line 3 "},
		{"a long line", good + strings.Repeat("x", 100_000-3000) + "\n" + good + end(2), 2, "longer than 200 bytes"},
		{"too much", good + strings.Repeat("x", 100_000) + "\n" + good + end(2), 1, "needs more than the 100000 bytes"},
		{"a missing call", good + end(2), 1, "has 1 calls where 2 were written"},
		{"too many calls", strings.Repeat(good, 4) + end(4), 3, "beyond the first 3"},
		{"from a newer loom", `{"call":{"id":"1-1","newer":[1]},"new":1}` + "\n" + `{"newer":{}}` + "\n" + end(1), 1, ""},
		{"bad descriptors", `{"backend":"b","descriptors":"/w=="}` + "\n" + good + end(1), 1, `backend "b"`},
		{"too many backends", `{"backend":"b"}` + "\n" + `{"backend":"c"}` + "\n" + end(0), 0, "beyond the first 1"},
		{"many faults", strings.Repeat("x\n", 30) + good + end(1), 1, "10 more lines"},
		{"many faults and no end", strings.Repeat("x\n", 30) + good, 1, "ends early"},
		{"many messages in few bytes", `{"call":{"messages":[` + strings.Repeat("{},", 50) + "{}]}}\n" + good + end(2), 2, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ReadLoom(bytes.NewReader(zipped(t, strings.NewReader(head+test.content))), limits)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Calls) != test.calls {
				t.Errorf("%d calls, want %d", len(got.Calls), test.calls)
			}
			said := strings.Join(got.Warnings, "\n")
			if (said == "") != (test.warning == "") || !strings.Contains(said, test.warning) {
				t.Errorf("warnings %q, want %q", said, test.warning)
			}
			if len(got.Warnings) > maxWarnings+2 {
				t.Errorf("%d warnings", len(got.Warnings))
			}
		})
	}
}

func TestWhatIsNoSavedCapture(t *testing.T) {
	for name, file := range map[string][]byte{
		"nothing":       nil,
		"text":          []byte("hello"),
		"other archive": zipped(t, strings.NewReader("hello\n")),
		"empty archive": zipped(t, strings.NewReader("")),
		"session file":  zipped(t, strings.NewReader(`{"id":"1-1"}`+"\n")),
		"newer":         zipped(t, strings.NewReader(`{"loom":2}`+"\n")),
	} {
		if got, err := ReadLoom(bytes.NewReader(file), DefaultLimits()); err == nil || got != nil {
			t.Errorf("%s: got %v (%v)", name, got, err)
		}
	}
}

// repeated reads the same text for ever.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		copied := copy(p[n:], r.text[r.at:])
		n, r.at = n+copied, (r.at+copied)%len(r.text)
	}
	return n, nil
}

func TestSmallFilesThatGrow(t *testing.T) {
	const content = 2 << 20
	// An empty message is 3 bytes of JSON, or 2 of a descriptor.
	descriptors := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x0a, 0x00}, content/4))
	for name, file := range map[string]io.Reader{
		"a line":      io.LimitReader(&repeated{text: "\x00"}, content),
		"messages":    io.MultiReader(strings.NewReader(`{"call":{"messages":[`), io.LimitReader(&repeated{text: "{},"}, content/3*3), strings.NewReader("{}]}}\n")),
		"calls":       io.LimitReader(&repeated{text: `{"call":{}}` + "\n"}, content),
		"descriptors": strings.NewReader(`{"backend":"b","descriptors":"` + descriptors + `"}` + "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			bomb := zipped(t, io.MultiReader(strings.NewReader(head), file))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			limits := DefaultLimits()
			limits.TotalBytes = 3 << 20
			got, err := ReadLoom(bytes.NewReader(bomb), limits)
			runtime.ReadMemStats(&after)
			if err != nil || len(got.Warnings) == 0 {
				t.Errorf("%v, warnings %q", err, got.Warnings)
			}
			const allowed = 40 << 20 // garbage included; without the weight it is 150 MiB for the messages
			if took := after.TotalAlloc - before.TotalAlloc; took > allowed {
				t.Errorf("%d bytes of file took %d MiB of memory", len(bomb), took>>20)
			}
		})
	}
}

func FuzzReadLoom(f *testing.F) {
	set := map[string]*descriptorpb.FileDescriptorSet{"shop": {File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(loomv1.File_loom_v1_call_proto)}}}
	file := saved(f, []*loomv1.Call{failedCall(), openCall()}, set)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte("\x1f\x8b"))
	for _, content := range []string{"", head, head + "{}\n", head + `{"call":{}}` + "\n", head + `{"end":{}}` + "\n", head + `{"backend":"b","descriptors":"CgA="}` + "\n", head + strings.Repeat("[", 3000)} {
		f.Add(zipped(f, strings.NewReader(content)))
		f.Add([]byte(content))
	}
	limits := Limits{LineBytes: 4 << 10, TotalBytes: 64 << 10, Calls: 10, Backends: 2}
	f.Fuzz(func(t *testing.T, data []byte) {
		// As a file, and as the content of one, which chance would not zip.
		for _, file := range [][]byte{data, zipped(t, bytes.NewReader(data)), zipped(t, strings.NewReader(head+string(data)))} {
			got, err := ReadLoom(bytes.NewReader(file), limits)
			if err != nil {
				continue
			}
			if len(got.Calls) > limits.Calls || len(got.Descriptors) > limits.Backends || len(got.Warnings) > maxWarnings+2 {
				t.Errorf("%d calls, %d backends, %d warnings", len(got.Calls), len(got.Descriptors), len(got.Warnings))
			}
			// What was read can be written, and comes back the same.
			again, err := ReadLoom(bytes.NewReader(saved(t, got.Calls, got.Descriptors)), DefaultLimits())
			if err != nil || len(again.Warnings) > 0 || len(again.Calls) != len(got.Calls) {
				t.Fatalf("%v, warnings %q", err, again.Warnings)
			}
			for i, c := range got.Calls {
				if !proto.Equal(c, again.Calls[i]) {
					t.Errorf("got %v, wrote %v", again.Calls[i], c)
				}
			}
			var out bytes.Buffer
			if err := HAR(&out, slices.Values(got.Calls)); err != nil {
				t.Errorf("as HAR: %v", err)
			}
		}
	})
}
