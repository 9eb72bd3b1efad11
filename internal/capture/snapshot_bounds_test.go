package capture

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"loom/internal/callevent"
)

// What the next process must not store is not in what it restores either.
func TestRedactionOfTheNextProcessHolds(t *testing.T) {
	o := small()
	s := newTestStore(t, o)
	finishWhole(whole(s, 1), began.Add(time.Second))
	o.Redact = []string{"authorization", "grpc-message"}
	heir := successor(t, o)
	carry(t, s, heir)
	c, _ := heir.Call(ID{7, 1})
	for _, m := range c.GetRequestHeaders() {
		if m.GetName() == "authorization" && !m.GetRedacted() {
			t.Errorf("authorization is kept: %v", m)
		}
	}
	if c.GetStatus().GetMessage() != "" {
		t.Errorf("the status is %v", c.GetStatus())
	}
}

// A ring that is larger than what crosses has its newest calls in the next
// process, and what is missing is said.
func TestSnapshotIsBounded(t *testing.T) {
	o := Options{Generation: 7, Calls: 1000, Bytes: 8 << 20, MessageBytes: 10 << 10}
	s := newTestStore(t, o)
	open := routed(s, 1, "all")
	defer end(open)
	play(s, 2, 200, 10<<10)
	const most = 1280 << 10
	data := s.snapshot(most)
	if len(data) < most || len(data) > most+12<<10 {
		t.Fatalf("%d bytes", len(data))
	}
	heir := successor(t, o)
	if err := heir.Restore(data); err == nil || !strings.Contains(err.Error(), "72 of 200 are left out; the first: it was not written down") {
		t.Errorf("the error is %v", err)
	}
	rows := heir.Summaries(0)
	if len(rows) != 128 || rows[0].GetId() != "7-1" || rows[1].GetId() != "7-74" {
		t.Errorf("%d calls, from %s and %s on", len(rows), rows[0].GetId(), rows[1].GetId())
	}
}

// A message that waits for its redaction crosses without its bytes, and comes
// when they may be shown.
func TestUnredactedBytesDoNotCross(t *testing.T) {
	slow := make(chan struct{})
	o := redacting(slowly{slow})
	s := newTestStore(t, o)
	f := routed(s, 1, "all")
	secret := bytes.Repeat([]byte("secret"), 2000)
	send(f, callevent.Up, secret)
	end(f)
	data := s.Snapshot()
	if bytes.Contains(data, []byte("secret")) {
		t.Error("the snapshot has what must not be stored")
	}
	heir := successor(t, small())
	if err := heir.Restore(data); err != nil {
		t.Fatal(err)
	}
	close(slow)
	settle(s)
	forward(t, s, heir, false)
	sameCalls(t, s, heir)
}

// slowly takes all out of a message once the channel is closed.
type slowly struct{ gate chan struct{} }

func (b slowly) Apply(string, bool, []byte) ([]byte, bool, error) {
	<-b.gate
	return []byte("all taken out"), true, nil
}
