package export

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
)

func TestNDJSONHasEachCallInALine(t *testing.T) {
	calls := []*loomv1.Call{failedCall(), openCall()}
	var out bytes.Buffer
	if err := NDJSON(&out, slices.Values(calls)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(calls) {
		t.Fatalf("got %d lines", len(lines))
	}
	for i, l := range lines {
		got := &loomv1.Call{}
		if err := protojson.Unmarshal([]byte(l), got); err != nil || !proto.Equal(got, calls[i]) {
			t.Errorf("line %d: %s (%v)", i+1, l, err)
		}
	}
	if !strings.HasPrefix(lines[0], `{"id":"8f-7","state":"CALL_STATE_ENDED",`) {
		t.Errorf("not to be searched with grep: %s", lines[0])
	}
}

var errFull = errors.New("no space left")

// full is a disk that has room for some bytes.
type full struct{ room int }

func (w *full) Write(p []byte) (int, error) {
	if len(p) > w.room {
		return 0, errFull
	}
	w.room -= len(p)
	return len(p), nil
}

func TestFullDiskIsAnError(t *testing.T) {
	calls := slices.Values([]*loomv1.Call{failedCall(), openCall()})
	for name, write := range map[string]func(w *full) error{
		"ndjson": func(w *full) error { return NDJSON(w, calls) },
		"har":    func(w *full) error { return HAR(w, calls) },
		"loom":   func(w *full) error { return WriteLoom(w, calls, nil) },
	} {
		for _, room := range []int{0, 100, 600} {
			if err := write(&full{room}); !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d bytes: %v", name, room, err)
			}
		}
	}
}

func TestNothingIsCollected(t *testing.T) {
	// A writer that sees each call before the next one is asked for.
	var out bytes.Buffer
	before := -1
	calls := func(yield func(*loomv1.Call) bool) {
		for range 3 {
			if out.Len() <= before {
				t.Error("the call before has not been written yet")
			}
			before = out.Len()
			if !yield(failedCall()) {
				return
			}
		}
	}
	if err := errors.Join(NDJSON(&out, calls), HAR(&out, calls)); err != nil {
		t.Fatal(err)
	}
}
