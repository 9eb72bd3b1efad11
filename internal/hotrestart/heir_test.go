//go:build linux

package hotrestart

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"loom/internal/loomtest"
)

const testNonce = "nonce of a test"

// own is a stderr that nobody has lent.
func own() *lent {
	l := &lent{}
	l.once.Do(func() {})
	return l
}

// offering is the old side of a handover, as a test plays it.
type offering struct {
	t *testing.T
	*channel
	heir  *Heir
	err   error
	ended chan struct{}
}

// offer starts an heir in this process and greets it.
func offer(t *testing.T) *offering {
	t.Helper()
	old, c := pair(t)
	o := &offering{t: t, channel: old, ended: make(chan struct{})}
	go func() {
		defer close(o.ended)
		o.heir, o.err = inherit(c, own(), testNonce)
	}()
	t.Cleanup(func() {
		o.close()
		if <-o.ended; o.heir != nil {
			o.heir.Fail(errors.New("the test is over"))
		}
	})
	return o
}

func (o *offering) say(k kind, head any, body []byte, conns ...syscall.Conn) {
	o.t.Helper()
	if _, err := o.send(patient(o.t), k, head, body, conns...); err != nil {
		o.t.Fatal(err)
	}
}

func (o *offering) hear(k kind) *incoming {
	o.t.Helper()
	in, err := o.receive(patient(o.t))
	if err != nil {
		o.t.Fatal(err)
	}
	if in.kind != k {
		o.t.Fatalf("heard %s %s, want %s", in.kind, in.head, k)
	}
	return in
}

func (o *offering) greet() {
	o.t.Helper()
	o.say(kindHello, hello{Min: newest, Max: newest, Generation: 2, Nonce: testNonce}, nil)
	o.hear(kindWelcome)
	o.version = newest
}

// inherited waits until everything has been taken.
func (o *offering) inherited() *Heir {
	o.t.Helper()
	o.say(kindComplete, complete{}, nil)
	o.hear(kindAck)
	if <-o.ended; o.err != nil {
		o.t.Fatal(o.err)
	}
	return o.heir
}

func TestSectionsThatAreDamaged(t *testing.T) {
	loomtest.CheckLeaks(t)
	o := offer(t)
	o.greet()
	o.say(kindState, state{Name: "good", Version: 7, Age: 1 << 40}, []byte("data"))
	o.hear(kindAck)
	raw := func(f *frame, file *os.File) {
		var oob []byte
		f.version, f.kind = newest, kindState
		if file != nil {
			f.flags, f.descriptors = bodyInFile, 1
			oob = syscall.UnixRights(int(file.Fd()))
		}
		if _, _, err := o.conn.WriteMsgUnix(f.encode(), oob, nil); err != nil {
			t.Fatal(err)
		}
		o.hear(kindAck)
	}
	data := []byte("what was saved")
	sealed, err := sealedFile(data)
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	open := scratch(t)
	size, sum := uint32(len(data)), checksum(data)
	raw(&frame{head: []byte(`{"name":"flipped"}`), body: []byte("what was savee"), bodyLen: size, bodySum: sum}, nil)
	raw(&frame{head: []byte(`{"name":"cut"}`), body: []byte("what was"), bodyLen: size, bodySum: sum}, nil)
	raw(&frame{head: []byte(`{"name":"large flipped"}`), bodyLen: size, bodySum: sum + 1}, sealed)
	raw(&frame{head: []byte(`{"name":"large cut"}`), bodyLen: size + 1, bodySum: sum}, sealed)
	raw(&frame{head: []byte(`{"name":"open"}`), bodyLen: 0, bodySum: 0}, open)
	raw(&frame{head: []byte(`{"name":"large good", "of later": [1]}`), bodyLen: size, bodySum: sum}, sealed)
	h := o.inherited()
	if got := h.Unclaimed(); !slices.Equal(got, []string{"good", "large good"}) {
		t.Errorf("sections %q", got)
	}
	if s, ok := h.Section("good"); !ok || s.Version != 7 || string(s.Data) != "data" || s.Age() < 1<<40 || s.Age() > 1<<41 {
		t.Errorf("section %+v, %v", s, ok)
	}
	if s, ok := h.Section("large good"); !ok || !bytes.Equal(s.Data, data) {
		t.Errorf("section %+v, %v", s, ok)
	}
	if _, ok := h.Section("good"); ok {
		t.Error("a section can be had twice")
	}
	for i, want := range []string{
		"section flipped starts afresh: it is damaged", "section cut starts afresh: it is cut: 8 of 14 bytes",
		"section large flipped starts afresh: it is damaged", "section large cut starts afresh: it is cut: its file has 14 of 15 bytes",
		"section open starts afresh: its file is not sealed",
	} {
		if w := h.Warnings(); i >= len(w) || !strings.HasPrefix(w[i], want) {
			t.Errorf("warnings %q, want %q", w, want)
		}
	}
}

// TestHeirRefuses has an heir say what is wrong, and leave nothing open.
func TestHeirRefuses(t *testing.T) {
	_, socket := listen(t, "tcp")
	for _, c := range []struct {
		name string
		do   func(o *offering)
		says string
	}{
		{"versions", func(o *offering) { o.say(kindHello, hello{Min: 2, Max: 3, Nonce: testNonce}, nil) },
			"the two builds have no version of the hot restart in common; stop and start instead: the running process speaks 2 to 3, the new binary 1 to 1"},
		{"nonce", func(o *offering) { o.say(kindHello, hello{Min: 1, Max: 1, Nonce: "another"}, nil) }, "is not who started this process"},
		{"no hello", func(o *offering) { o.say(kindStart, struct{}{}, nil) }, "START came instead of HELLO"},
		{"early start", func(o *offering) { o.greet(); o.say(kindStart, struct{}{}, nil) }, "START came instead of what is handed over"},
		{"too few", func(o *offering) { o.greet(); o.say(kindComplete, complete{Sockets: 1}, nil) }, "0 of 1 sockets came"},
		{"twice", func(o *offering) {
			o.greet()
			o.say(kindListeners, listeners{Keys: []string{"a", "a"}}, nil, socket.Conn, socket.Conn)
		}, `socket "a" came twice`},
		{"names", func(o *offering) {
			o.greet()
			o.say(kindListeners, listeners{Keys: []string{"a"}}, nil, socket.Conn, socket.Conn)
		}, "LISTENERS names 1 sockets and brings 2"},
		{"no socket", func(o *offering) {
			o.greet()
			o.say(kindLinks, links{Links: []linkEnd{{Version: newest}}}, nil, scratch(t))
		}, "take the link of generation 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			loomtest.CheckLeaks(t)
			before := countDescriptors(t)
			o := offer(t)
			c.do(o)
			cause, err := read[failed](o.hear(kindFailed))
			if err != nil || !strings.Contains(cause.Reason, c.says) {
				t.Errorf("it says %q, %v; want %q", cause.Reason, err, c.says)
			}
			if <-o.ended; o.err == nil || !strings.Contains(o.err.Error(), c.says) {
				t.Errorf("it ended with %v, want %q", o.err, c.says)
			}
			o.close()
			if c.name != "no socket" {
				expectDescriptors(t, before)
			}
		})
	}
}

// TestHeirIsOrphaned ends the old process at each moment before START.
func TestHeirIsOrphaned(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(o *offering)
	}{
		{"before hello", func(*offering) {}},
		{"after hello", func(o *offering) { o.greet() }},
		{"with things to take", func(o *offering) { o.greet(); o.say(kindState, state{Name: "a"}, []byte("b")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			loomtest.CheckLeaks(t)
			o := offer(t)
			c.do(o)
			o.close()
			if <-o.ended; !errors.Is(o.err, ErrOrphaned) {
				t.Errorf("ended with %v", o.err)
			}
		})
	}
	t.Run("prepared", func(t *testing.T) {
		loomtest.CheckLeaks(t)
		o := offer(t)
		o.greet()
		h := o.inherited()
		o.hear(kindProgress)
		o.close()
		if err := h.Prepared(patient(t), nil); !errors.Is(err, ErrOrphaned) {
			t.Errorf("ended with %v", err)
		}
		if h.Links() != nil {
			t.Error("it has links")
		}
	})
}

// TestStartOutlivesItsSender is the other half of the rule: whoever was told to
// accept serves, though the old process ended at once and had not read all.
func TestStartOutlivesItsSender(t *testing.T) {
	loomtest.CheckLeaks(t)
	o := offer(t)
	o.greet()
	h := o.inherited()
	h.Progress("is busy") // and nobody reads it
	o.say(kindStart, struct{}{}, nil)
	o.close()
	in, err := h.channel.receive(patient(t))
	if err != nil || in.kind != kindStart {
		t.Fatalf("received %v, %v", in, err)
	}
	if err := h.Serving(); err != nil {
		t.Errorf("serving: %v", err)
	}
}

func TestPreparedWaitsForItsContext(t *testing.T) {
	loomtest.CheckLeaks(t)
	o := offer(t)
	o.greet()
	h := o.inherited()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("told to stop"))
	if err := h.Prepared(ctx, nil); err == nil || !strings.Contains(err.Error(), "told to stop") {
		t.Errorf("prepared: %v", err)
	}
}

func TestNotInherited(t *testing.T) {
	h, err := Inherited(func(string) (string, bool) { return "", false })
	if h != nil || err != nil {
		t.Errorf("inherited %v, %v", h, err)
	}
}

// TestLinksOfOtherVersions are left out with a warning.
func TestLinksOfOtherVersions(t *testing.T) {
	loomtest.CheckLeaks(t)
	o := offer(t)
	o.greet()
	a, _ := pair(t)
	b, _ := pair(t)
	o.say(kindLinks, links{Links: []linkEnd{{Generation: 1, PID: 11, Version: 9}, {Generation: 5, PID: 12, Version: newest}}}, nil, a.conn, b.conn)
	o.hear(kindAck)
	h := o.inherited()
	go func() {
		for {
			in, err := o.receive(context.Background())
			if err != nil {
				return
			}
			if in.kind == kindPrepared {
				_, _ = o.send(context.Background(), kindStart, struct{}{}, nil)
			}
		}
	}()
	if err := h.Prepared(patient(t), nil); err != nil {
		t.Fatal(err)
	}
	if l := h.Links(); len(l) != 2 || l[0].Generation() != 1 || l[1].Generation() != 5 || l[1].PID() != 12 {
		t.Errorf("links %+v", l)
	}
	if w := h.Warnings(); len(w) != 1 || !strings.Contains(w[0], "generation 1, process 11, cannot be heard") {
		t.Errorf("warnings %q", w)
	}
}
