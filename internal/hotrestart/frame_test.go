//go:build linux

package hotrestart

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestFrameIsJudged(t *testing.T) {
	whole := (&frame{version: 1, kind: kindState, seq: 5, head: []byte(`{"name":"a"}`), body: []byte("body"), bodyLen: 4, bodySum: checksum([]byte("body"))}).encode()
	for i := range headerSize + len(`{"name":"a"}`) {
		for bit := range 8 {
			data := slices.Clone(whole)
			data[i] ^= 1 << bit
			if _, err := decodeFrame(data); err == nil {
				t.Errorf("bit %d of byte %d is flipped, and nobody sees it", bit, i)
			}
		}
	}
	for i := range headerSize + len(`{"name":"a"}`) {
		if _, err := decodeFrame(whole[:i]); err == nil {
			t.Errorf("it is cut after %d bytes, and nobody sees it", i)
		}
	}
	for says, f := range map[string]*frame{
		"more than 1073741824":       {bodyLen: maxBody + 1},
		"more than 64":               {descriptors: 65},
		"flags 0x2":                  {flags: 2},
		"in a file and something":    {flags: bodyInFile, descriptors: 2},
		"a file and something else ": {flags: bodyInFile, descriptors: 1, body: []byte("a")},
	} {
		if _, err := decodeFrame(f.encode()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("decoded with %v, want %q", err, says)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add((&frame{kind: kindHello, head: []byte("{}")}).encode())
	f.Add((&frame{kind: kindState, flags: bodyInFile, descriptors: 1, bodyLen: 9}).encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := decodeFrame(data)
		if err == nil && !bytes.Equal(frame.encode(), data) {
			t.Errorf("%x is %+v, and that %x", data, frame, frame.encode())
		}
	})
}

// seeds are what may come, in the order of the kinds.
var seeds = []string{
	`{"min":1,"max":1,"build":"b","generation":2,"nonce":"nonce of a test","pid":7}`, `{"version":1}`, `{"keys":["tcp"]}`,
	`{"links":[{"generation":1,"pid":2,"version":1}]}`, `{"name":"a","version":3,"age":5}`, `{"sockets":1}`, `{"seq":3}`,
	`{"what":"reads"}`, `{}`, `{}`, `{}`, `{"reason":"because"}`, `{"name":"status","version":1}`,
}

// FuzzHeir gives an heir frames that are whole and whose content is anything.
func FuzzHeir(f *testing.F) {
	for k, head := range seeds {
		f.Add(uint8(k+1), head, []byte("body"), uint8(1), kindComplete.String())
	}
	f.Fuzz(func(t *testing.T, k uint8, head string, body []byte, descriptors uint8, second string) {
		before := countDescriptors(t)
		old, c := pair(t)
		write := func(version uint8, k kind, head string, descriptors int) {
			f := &frame{version: version, kind: k, head: []byte(head), body: body, bodyLen: uint32(len(body)), bodySum: checksum(body), descriptors: uint8(descriptors)}
			var oob []byte
			if descriptors > 0 {
				oob = syscall.UnixRights(slices.Repeat([]int{int(os.Stderr.Fd())}, descriptors)...)
			}
			if data := f.encode(); len(data) <= maxFrame {
				_, _, _ = old.conn.WriteMsgUnix(data, oob, nil) // an heir that has given up is gone
			}
		}
		write(0, kindHello, seeds[0], 0)
		write(1, kind(k), head, int(descriptors%4))
		write(1, kindState, second, 0)
		write(1, kindComplete, "{}", 0)
		if err := old.conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		h, err := inherit(c, own(), testNonce)
		if err == nil {
			h.Fail(os.ErrInvalid)
		}
		old.close()
		expectDescriptors(t, before)
	})
}

// FuzzSuccessor answers a handover with frames that are whole and whose content
// is anything.
func FuzzSuccessor(f *testing.F) {
	for k, head := range seeds {
		f.Add(uint8(k+1), head, []byte(`{"reused":["a"]}`))
	}
	f.Fuzz(func(t *testing.T, k uint8, head string, body []byte) {
		for _, step := range []func(*handover) error{
			func(h *handover) error { return h.greet(t.Context()) },
			func(h *handover) error { return h.passState(t.Context()) },
			func(h *handover) error { return h.awaitPrepared(t.Context()) },
			func(h *handover) error { return h.awaitServing(t.Context()) },
		} {
			old, c := pair(t)
			h := &handover{options: Options{}.complete(), spawned: &spawned{channel: old}}
			answer := &frame{kind: kind(k), head: []byte(head), body: body, bodyLen: uint32(len(body)), bodySum: checksum(body)}
			if data := answer.encode(); len(data) <= maxFrame {
				if _, _, err := c.conn.WriteMsgUnix(data, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if err := step(h); err != nil && err.Error() == "" {
				t.Error("an error says nothing")
			}
			old.close()
			c.close()
		}
	})
}
