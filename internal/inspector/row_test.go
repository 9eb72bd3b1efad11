package inspector

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
)

// TestRowIsProtojson sets each field alone, and all together, and reads the
// hand-written JSON with protojson.
func TestRowIsProtojson(t *testing.T) {
	fields := new(loomv1.CallSummary).ProtoReflect().Descriptor().Fields()
	full := &loomv1.CallSummary{}
	values := map[string]any{}
	for i := range fields.Len() {
		one := &loomv1.CallSummary{}
		js := fmt.Sprintf(`{%q:1}`, fields.Get(i).JSONName())
		for _, value := range []string{js, fmt.Sprintf(`{%q:"a<b> \" \\ é\u0000\u202e😀"}`, fields.Get(i).JSONName()), fmt.Sprintf(`{%q:true}`, fields.Get(i).JSONName())} {
			if protojson.Unmarshal([]byte(value), one) == nil {
				js = value
				break
			}
		}
		if err := protojson.Unmarshal([]byte(js), one); err != nil {
			t.Fatalf("%s: %v", js, err)
		}
		values[fields.Get(i).JSONName()] = js
		proto.Merge(full, one)
		sameRow(t, one)
	}
	sameRow(t, full)
	sameRow(t, &loomv1.CallSummary{Code: proto.Uint32(0)})
}

func sameRow(t *testing.T, want *loomv1.CallSummary) {
	t.Helper()
	js := appendRow(nil, want)
	var got loomv1.CallSummary
	if err := protojson.Unmarshal(js, &got); err != nil {
		t.Errorf("%v in %s", err, js)
	} else if !proto.Equal(&got, want) {
		t.Errorf("%s reads as %v, want %v", js, &got, want)
	}
}

// FuzzRow holds that a row is JSON whatever strangers put in it.
func FuzzRow(f *testing.F) {
	f.Add("/a/B", "127.0.0.1:1", "X")
	f.Add("</script>\xff\x00\u202e", "\"\\", "\u2028")
	f.Fuzz(func(t *testing.T, path, peer, reason string) {
		js := appendRow(nil, &loomv1.CallSummary{Id: "1-1", Path: path, Peer: peer, Reason: reason})
		if err := protojson.Unmarshal(js, &loomv1.CallSummary{}); err != nil {
			t.Errorf("%v in %q", err, js)
		}
	})
}

func TestRowIsSmall(t *testing.T) {
	row := &loomv1.CallSummary{
		Id: "8f2a1-10411", At: 1_800_000_000_000_000, Path: "/acme.users.v1.Users/GetUser", Route: "users", Backend: "users",
		Endpoint: "127.0.0.1:50051", Peer: "127.0.0.1:40404", Kind: 1, State: 2, Code: proto.Uint32(0), By: 1, Took: 12345,
		Up: 1, Down: 1, UpBytes: 105, DownBytes: 205, Attempts: 1, Revision: 7,
	}
	if n := len(appendRow(nil, row)); n > 420 {
		t.Errorf("a usual row has %d bytes", n)
	}
}

func BenchmarkRow(b *testing.B) {
	row := &loomv1.CallSummary{
		Id: "8f2a1-10411", At: 1_800_000_000_000_000, Path: "/acme.users.v1.Users/GetUser", Route: "users", Backend: "users",
		Endpoint: "127.0.0.1:50051", Peer: "127.0.0.1:40404", Kind: 1, State: 2, Code: proto.Uint32(0), By: 1, Took: 12345,
		Up: 1, Down: 1, UpBytes: 105, DownBytes: 205, Attempts: 1, Revision: 7,
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendRow(buf[:0], row)
	}
}
