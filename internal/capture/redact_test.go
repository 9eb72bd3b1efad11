package capture

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"loom/internal/callevent"
)

// marshals says whether m can be shown.
func marshals(m proto.Message) error {
	_, err := protojson.Marshal(m)
	return err //nolint:wrapcheck // the test says what it is
}

const hidden = "4111-1111-1111-1111"

// card takes hidden out; hold, if it is there, holds it up.
type card struct{ hold chan struct{} }

func (c card) Apply(_ string, compressed bool, data []byte) ([]byte, bool, error) {
	if c.hold != nil {
		<-c.hold
	}
	if bytes.HasPrefix(data, []byte("broken")) {
		return nil, false, errors.New("no message")
	}
	out := bytes.ReplaceAll(data, []byte(hidden), []byte("[redacted]"))
	return out, compressed || len(out) != len(data), nil
}

func redacting(b Body) Options {
	o := small()
	o.MessageBytes = 64 << 10
	o.Rules = func(string, string) (Rule, Rule) { return Rule{Body: b}, Rule{Withhold: "its type is not known yet"} }
	return o
}

// leaks fails the test if the secret is anywhere in what the store shows.
func leaks(t *testing.T, s *Store, when string) {
	t.Helper()
	for c := range s.Calls {
		if text := protojson.Format(c); strings.Contains(text, hidden) || containsData(c, hidden) {
			t.Fatalf("%s: the secret is in %s", when, text)
		}
	}
}

func containsData(m proto.Message, secret string) bool {
	wire, err := proto.Marshal(m)
	return err != nil || bytes.Contains(wire, []byte(secret))
}

func TestSecretIsNeverInARecord(t *testing.T) {
	for _, tt := range []struct {
		name       string
		message    string
		compressed bool
		data       string // what is stored
		withheld   string
	}{
		{name: "small", message: "card " + hidden, data: "card [redacted]"},
		{name: "nothing in it", message: "hello", data: "hello"},
		{name: "not a message", message: "broken " + hidden, withheld: "no message"},
		{name: "large", message: strings.Repeat("x", 9000) + hidden, data: strings.Repeat("x", 9000) + "[redacted]"},
		{name: "compressed", message: "zip " + hidden, compressed: true, data: "zip [redacted]"},
		{name: "longer than what is kept", message: hidden + strings.Repeat("x", 70_000), withheld: "longer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestStore(t, redacting(card{}))
				f := routed(s, 1, "all")
				p := []byte(tt.message)
				f.Piece(began, callevent.Piece{First: true, Size: uint32(len(p)), Compressed: tt.compressed, Data: p[:len(p)-2]})
				leaks(t, s, "while it comes")
				f.Piece(began, callevent.Piece{Last: true, Data: p[len(p)-2:]})
				leaks(t, s, "when it came")
				synctest.Wait()
				leaks(t, s, "after that")
				send(f, callevent.Down, []byte(hidden))
				end(f)
				leaks(t, s, "at the end")
				c := get(t, s, 1)
				m := c.GetMessages()[0]
				if string(m.GetData()) != tt.data || !strings.Contains(m.GetWithheld(), tt.withheld) || (m.GetWithheld() == "") != (tt.withheld == "") {
					t.Errorf("stored is %.40q, withheld %q", m.GetData(), m.GetWithheld())
				}
				if changed := tt.data != "" && tt.data != tt.message; m.GetRedacted() != changed || changed && m.GetCompressed() {
					t.Errorf("redacted %v, compressed %v", m.GetRedacted(), m.GetCompressed())
				}
				if m := c.GetMessages()[1]; m.GetWithheld() != "its type is not known yet" || len(m.GetData()) > 0 || m.GetSize() != uint64(len(hidden)) {
					t.Errorf("the answer is stored as %v", m)
				}
				s.Clear()
				if s.Stats().Bytes != 0 {
					t.Errorf("%d bytes are left", s.Stats().Bytes)
				}
			})
		})
	}
}

func TestMessageThatIsCutOffIsWithheldAndForgotten(t *testing.T) {
	s := newTestStore(t, redacting(card{}))
	f := routed(s, 1, "all")
	f.Piece(began, callevent.Piece{First: true, Size: 50_000, Data: bytes.Repeat([]byte(hidden), 1000)})
	end(f)
	leaks(t, s, "after the end")
	if m := get(t, s, 1).GetMessages()[0]; !m.GetTruncated() || !strings.Contains(m.GetWithheld(), "did not come whole") {
		t.Errorf("it is stored as %v", m)
	}
	if s.arena.bytes() != 0 {
		t.Errorf("%d bytes of it are kept", s.arena.bytes())
	}
}

// A call waits for no redaction: what comes too fast is not stored, and counted.
func TestRedactionThatIsStuckHoldsNoCallUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		s := newTestStore(t, redacting(card{hold}))
		large := []byte(strings.Repeat("x", 5000) + hidden)
		f := routed(s, 1, "all")
		for range redactQueue + 11 {
			send(f, callevent.Up, large)
			synctest.Wait()
		}
		leaks(t, s, "while it is stuck")
		if st := s.Stats(); st.Unredacted != 10 {
			t.Errorf("%d messages were left out, want 10", st.Unredacted)
		}
		end(f)
		close(hold)
		synctest.Wait()
		leaks(t, s, "after that")
		redacted := 0
		for _, m := range get(t, s, 1).GetMessages() {
			if m.GetRedacted() {
				redacted++
			} else if !strings.Contains(m.GetWithheld(), "no time") {
				t.Errorf("message %d is withheld because %q", m.GetSequence(), m.GetWithheld())
			}
		}
		if redacted != redactQueue+1 {
			t.Errorf("%d messages were redacted", redacted)
		}
	})
}

// What is redacted late does not end up in the record of another call.
func TestRedactionOfAForgottenCallDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		s := newTestStore(t, redacting(card{hold}))
		f := routed(s, 1, "all")
		send(f, callevent.Up, []byte(strings.Repeat("x", 5000)+hidden))
		end(f)
		s.Clear()
		g := routed(s, 2, "all")
		g.Piece(began, callevent.Piece{First: true, Size: 9, Data: []byte("hel")})
		close(hold)
		synctest.Wait()
		end(g)
		if m := get(t, s, 2).GetMessages(); len(m) != 1 || len(m[0].GetData()) != 0 || m[0].GetRedacted() {
			t.Errorf("the next call has %v", m)
		}
		if err := audit(s); err != nil {
			t.Error(err)
		}
	})
}

func TestRulesAreAskedForAgainAfterASecond(t *testing.T) {
	asked := 0
	o := small()
	o.Rules = func(backend, path string) (Rule, Rule) {
		if backend != "b" || path != "/a.B/C" {
			t.Errorf("rules asked for %s %s", backend, path)
		}
		asked++
		return Rule{}, Rule{}
	}
	s := newTestStore(t, o)
	for i, at := range []time.Duration{0, time.Millisecond, 999 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
		f := s.Begin(callevent.Call{ID: uint64(i + 1), At: began.Add(at), Path: "/a.B/C", Fields: trailer})
		f.Routed(began.Add(at), "all", "b")
		end(f)
	}
	if asked != 2 {
		t.Errorf("rules were asked for %d times in 1.5 s, want 2", asked)
	}
}

// Rules of one method never hold for another one, whatever its headers are.
func TestRulesHoldForOneMethod(t *testing.T) {
	o := small()
	o.Rules = func(_, path string) (Rule, Rule) {
		if path == "/a.Secret/Get" {
			return Rule{Withhold: "secret"}, Rule{}
		}
		return Rule{}, Rule{}
	}
	s := newTestStore(t, o)
	for i, path := range []string{"/a.Open/Get", "/a.Secret/Get", "/a.Open/Get"} {
		f := s.Begin(callevent.Call{ID: uint64(i + 1), At: began, Path: path}) // without a header block
		f.Routed(began, "all", "b")
		send(f, callevent.Up, []byte("body"))
		end(f)
		if m := get(t, s, uint64(i+1)).GetMessages()[0]; (m.GetWithheld() == "secret") != (i == 1) {
			t.Errorf("%s: stored as %v", path, m)
		}
	}
}
