package server

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/descriptorpb"

	"loom/internal/callevent"
	"loom/internal/capture"
	"loom/internal/decode"
)

// drifting is a server whose backend answers with the question, and its
// client. Nobody opens a call.
func drifting(t *testing.T) (r *running, call func(question string)) {
	t.Helper()
	r = serve(t, oneBackend(echo(t, new(sync.Mutex)), anyPort))
	cc := r.client(0)
	return r, func(question string) {
		t.Helper()
		if _, err := ask(cc, "/shop.Shop/Bill", question); err != nil {
			t.Fatal(err)
		}
	}
}

// learn has the server know the descriptors of the method.
func (r *running) learn() {
	r.t.Helper()
	if err := r.watch.schemas.cache.AddFileSet("b", bill(), decode.FromFiles); err != nil {
		r.t.Fatal(err)
	}
}

// bill has a method that answers with what it is asked.
func bill() *descriptorpb.FileDescriptorSet {
	set := partly()
	method := set.GetFile()[0].GetService()[0].GetMethod()[0]
	method.Name, method.InputType = new("Bill"), new(".shop.Receipt")
	return set
}

// idleCheck looks at calls only when the test has it do so.
func idleCheck(t *testing.T) *driftCheck {
	t.Helper()
	store, err := capture.New(capture.Options{Generation: 1, Calls: 10, Bytes: 1 << 20, MessageBytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &driftCheck{store: store, schemas: openSchemas(t, oneBackend(nobody, anyPort))}
}

const (
	fits   = "\x0a\x02ab"          // field 1, as in the descriptors
	drifts = "\x0a\x02ab\x4a\x01c" // and field 9, which they lack
)

func TestCallsThatDriftAreFlaggedUnopened(t *testing.T) {
	for _, test := range []struct {
		name string
		late bool // the descriptors become known after the calls
	}{{"known before", false}, {"known after", true}} {
		t.Run(test.name, func(t *testing.T) {
			r, call := drifting(t)
			if !test.late {
				r.learn()
			}
			call(fits)
			call(drifts)
			if test.late {
				r.learn()
			}
			flagged := func() (ids []string) {
				for _, row := range r.watch.store.Summaries(0) {
					if row.GetDrift() {
						ids = append(ids, row.GetId())
					}
				}
				return ids
			}
			eventually(t, "a call is flagged", func() bool { return len(flagged()) > 0 })
			rows := r.watch.store.Summaries(0)
			if ids := flagged(); len(rows) != 2 || len(ids) != 1 || ids[0] != rows[1].GetId() {
				t.Errorf("of %v, %v are flagged", rows, ids)
			}
		})
	}
}

// What waits when capture is switched off is looked at when it is on again.
func TestDriftIsNotLookedForWhileCaptureIsOff(t *testing.T) {
	check := idleCheck(t)
	if err := check.schemas.cache.AddFileSet("b", bill(), decode.FromFiles); err != nil {
		t.Fatal(err)
	}
	f := check.store.Begin(callevent.Call{ID: 1, At: time.Now(), Path: "/shop.Shop/Bill"})
	f.Routed(time.Now(), "all", "b")
	f.Piece(time.Now(), callevent.Piece{First: true, Last: true, Size: uint32(len(drifts)), Data: []byte(drifts)})
	f.Ended(time.Now(), &callevent.Summary{HasCode: true})
	for _, mode := range []capture.Mode{capture.Off, capture.Full} {
		check.store.SetMode(mode)
		check.round(t.Context())
		if row := check.store.Summaries(0)[0]; row.GetDrift() != (mode == capture.Full) {
			t.Errorf("capture %v: drift %t", mode, row.GetDrift())
		}
	}
}

// A backend without descriptors costs a few look-ups.
func TestCallsOfUnknownMethodsAreGivenUp(t *testing.T) {
	check := idleCheck(t)
	for n := range uint64(driftCalls) {
		check.unknown = append(check.unknown, unknownCall{capture.ID{Generation: 1, Sequence: n}, "b", "/shop.Shop/Bill", 1})
	}
	for range driftTries {
		if len(check.unknown) == 0 {
			t.Fatal("calls were given up at once")
		}
		check.round(t.Context())
	}
	if n := len(check.unknown); n != 0 {
		t.Errorf("%d calls are waited with for ever", n)
	}
}
