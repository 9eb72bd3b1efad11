package capture

import (
	"bytes"
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
	data, err := s.Snapshot()
	if err != nil || bytes.Contains(data, []byte("secret")) {
		t.Errorf("the snapshot has what must not be stored (%v)", err)
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
