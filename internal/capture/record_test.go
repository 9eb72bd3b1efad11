package capture

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

var began = time.Unix(1_800_000_000, 0)

func small() Options { return Options{Generation: 7, Calls: 100, Bytes: 8 << 20, MessageBytes: 1000} }

// routed begins a call that goes to route.
func routed(s *Store, id uint64, route string, fields ...hpack.HeaderField) callevent.Follower {
	fields = append(fields, hpack.HeaderField{Name: ":path", Value: "/a.B/C"})
	f := s.Begin(callevent.Call{ID: id, At: began, Path: "/a.B/C", Fields: fields})
	if f != nil {
		f.Routed(began, route, "b")
	}
	return f
}

func send(f callevent.Follower, d callevent.Direction, data []byte) {
	f.Piece(began.Add(time.Second), callevent.Piece{Direction: d, First: true, Last: true, Size: uint32(len(data)), Data: data})
}

func end(f callevent.Follower) {
	f.Ended(began.Add(2*time.Second), &callevent.Summary{HasCode: true, Detail: "all is well"})
}

func get(t *testing.T, s *Store, id uint64) *loomv1.Call {
	t.Helper()
	c, ok := s.Call(ID{s.opts.Generation, id})
	if !ok {
		t.Fatalf("call %d is not there", id)
	}
	return c
}

func TestLongStreamKeepsItsFirstAndNewestMessages(t *testing.T) {
	s := newTestStore(t, small())
	f := routed(s, 1, "all")
	for i := range 1000 {
		send(f, callevent.Down, []byte(strconv.Itoa(i+1)))
	}
	for _, state := range []string{"open", "ended"} {
		c := get(t, s, 1)
		if len(c.GetMessages()) != 320 || c.GetResponse().GetUnrecorded() != 680 || c.GetResponse().GetMessages() != 1000 {
			t.Fatalf("%s: %d messages are kept, traffic %v", state, len(c.GetMessages()), c.GetResponse())
		}
		for i, m := range c.GetMessages() {
			want := uint64(i + 1)
			if i >= 64 {
				want = uint64(1000 - 320 + i + 1)
			}
			if m.GetSequence() != want || string(m.GetData()) != strconv.FormatUint(want, 10) {
				t.Fatalf("%s: message %d in the record is number %d with %q, want %d", state, i, m.GetSequence(), m.GetData(), want)
			}
		}
		if state == "open" {
			end(f)
		}
	}
	if sum := s.Summaries(1)[0]; !sum.GetCut() || sum.GetKind() != loomv1.StreamKind_STREAM_KIND_SERVER_STREAM {
		t.Errorf("the row is %v", sum)
	}
}

// What a message says of its size and what comes may differ in a broken call.
func TestMessagesOfEverySize(t *testing.T) {
	piece := func(size uint32, last bool, data string) callevent.Piece {
		return callevent.Piece{First: true, Last: last, Size: size, Data: []byte(data)}
	}
	long := strings.Repeat("x", 1500)
	for _, tt := range []struct {
		name      string
		piece     callevent.Piece
		data      string
		truncated bool
	}{
		{"empty", piece(0, true, ""), "", false},
		{"small", piece(3, true, "abc"), "abc", false},
		{"larger than the inline bytes", piece(900, true, long[:900]), long[:900], false},
		{"as long as may be kept", piece(1000, true, long[:1000]), long[:1000], false},
		{"longer than may be kept", piece(1500, true, long), long[:1000], true},
		{"cut off", piece(4<<30-1, false, "abc"), "abc", true},
		{"says 4 GiB and ends", piece(4<<30-1, true, "abc"), "abc", true},
		{"more than it says", piece(3, true, "abcdef"), "abc", false},
		{"nothing said, some comes", piece(0, true, "abc"), "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestStore(t, small())
			f := routed(s, 1, "all")
			send(f, callevent.Down, []byte("before"))
			f.Piece(began, tt.piece)
			send(f, callevent.Down, []byte("after"))
			end(f)
			c := get(t, s, 1)
			m := c.GetMessages()[1]
			if string(m.GetData()) != tt.data || m.GetTruncated() != tt.truncated || m.GetSize() != uint64(tt.piece.Size) {
				t.Errorf("size %d, %d bytes stored, truncated %v", m.GetSize(), len(m.GetData()), m.GetTruncated())
			}
			if (m.GetLastByte() != nil) != tt.piece.Last {
				t.Errorf("its last byte came at %v", m.GetLastByte())
			}
			if string(c.GetMessages()[0].GetData()) != "before" || string(c.GetMessages()[2].GetData()) != "after" {
				t.Errorf("its neighbours are %q and %q", c.GetMessages()[0].GetData(), c.GetMessages()[2].GetData())
			}
			if sum := s.Summaries(0)[0]; sum.GetCut() != tt.truncated {
				t.Errorf("the row says cut: %v", sum.GetCut())
			}
		})
	}
}

func TestModesSayHowMuchIsRecorded(t *testing.T) {
	routes := map[string]Mode{"secret": Off, "heads": Metadata, "whole": Full}
	for _, tt := range []struct {
		mode, atRunTime Mode
		set             bool
		route           string
		want            Mode
	}{
		{mode: Full, route: "all", want: Full},
		{mode: Metadata, route: "all", want: Metadata},
		{mode: Off, route: "all", want: Off},
		{mode: Full, route: "secret", want: Off},
		{mode: Full, route: "heads", want: Metadata},
		{mode: Off, route: "whole", want: Full},
		{mode: Off, route: "heads", want: Metadata},
		{mode: Full, route: "", want: Full}, // no route matched
		{mode: Off, route: "", want: Off},
		{mode: Off, set: true, atRunTime: Full, route: "secret", want: Full},
		{mode: Full, set: true, atRunTime: Off, route: "whole", want: Off},
		{mode: Full, set: true, atRunTime: Metadata, route: "whole", want: Metadata},
	} {
		t.Run(fmt.Sprintf("%v, route %q, set %v %v", tt.mode, tt.route, tt.set, tt.atRunTime), func(t *testing.T) {
			o := small()
			o.Mode, o.RouteModes = tt.mode, routes
			s := newTestStore(t, o)
			if tt.set {
				s.SetMode(tt.atRunTime)
			}
			var f callevent.Follower
			if tt.route == "" {
				f = s.Begin(callevent.Call{ID: 1, At: began, Path: "/a.B/C"})
			} else {
				f = routed(s, 1, tt.route)
			}
			if f != nil {
				send(f, callevent.Up, []byte("body"))
				end(f)
			}
			c, ok := s.Call(ID{7, 1})
			if ok != (tt.want != Off) || len(s.Summaries(0)) != s.Stats().Kept {
				t.Fatalf("recorded: %v; %d rows, %+v", ok, len(s.Summaries(0)), s.Stats())
			}
			if !ok {
				return
			}
			m := c.GetMessages()[0]
			if (string(m.GetData()) == "body") != (tt.want == Full) || m.GetSize() != 4 || c.GetOmission().GetBodiesOff() != (tt.want == Metadata) {
				t.Errorf("message %v, omission %v", m, c.GetOmission())
			}
		})
	}
}

func TestRedactedMetadataIsNowhereInTheRecord(t *testing.T) {
	const secret = "s3cr3t"
	o := small()
	o.Redact = []string{"Authorization", "x-key-bin", "traceparent", "grpc-status-details-bin", "grpc-message", "loom-replay-of"}
	s := newTestStore(t, o)
	fields := []hpack.HeaderField{
		{Name: "authorization", Value: secret}, {Name: "authorization", Value: secret + "2"}, {Name: "x-key-bin", Value: "\xff" + secret},
		{Name: "traceparent", Value: "00-" + strings.Repeat("a", 32) + "-b-c"}, {Name: "loom-replay-of", Value: secret}, {Name: "x-plain", Value: "seen"},
	}
	f := s.Begin(callevent.Call{ID: 1, At: began, Path: "/a.B/C", Fields: fields})
	f.Routed(began, "all", "b")
	f.Headers(began, fields)
	f.Trailers(began, []hpack.HeaderField{
		{Name: "grpc-message", Value: secret}, {Name: "grpc-status-details-bin", Value: "c2VjcmV0"}})
	f.Ended(began, &callevent.Summary{HasCode: true, Detail: secret})
	c := get(t, s, 1)
	said := c.String() + s.Summaries(0)[0].String()
	for _, leak := range []string{secret, "secret", strings.Repeat("a", 32)} {
		if strings.Contains(said, leak) {
			t.Errorf("%q is in %s", leak, said)
		}
	}
	if got := c.GetRequestHeaders(); len(got) != 6 || !got[0].GetRedacted() || !got[1].GetRedacted() || got[5].GetText() != "seen" {
		t.Errorf("the metadata is %v", got)
	}
	if fields[0].Value != secret {
		t.Error("the header block of the call itself was changed")
	}
}

// Hostile peers send what is not text where text is wanted.
func TestRecordsAreAlwaysValidProtobuf(t *testing.T) {
	s := newTestStore(t, small())
	bad := "\xff\x00\x1b[31m"
	f := s.Begin(callevent.Call{ID: 1, At: began, Path: bad, Peer: bad, Fields: []hpack.HeaderField{
		{Name: "traceparent", Value: "00-" + strings.Repeat("\xfe", 32) + "-b-c"}, {Name: "loom-replay-of", Value: bad},
		{Name: ":authority", Value: bad}, {Name: bad, Value: bad}}})
	f.Ended(began, &callevent.Summary{HasCode: true, Detail: bad})
	for _, err := range []error{marshals(get(t, s, 1)), marshals(s.Summaries(0)[0])} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestTimingsSayWhatCameWhen(t *testing.T) {
	s := newTestStore(t, small())
	f := routed(s, 1, "all")
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	f.Attempted(at(1), "b", "one")
	f.Attempted(at(2), "b", "two")
	f.Piece(at(3), callevent.Piece{First: true, Last: true})
	f.Headers(at(4), trailer)
	f.Piece(at(5), callevent.Piece{Direction: callevent.Down, First: true, Size: 2, Data: []byte("a")})
	f.Piece(at(6), callevent.Piece{Direction: callevent.Down, Last: true, Data: []byte("b")})
	f.Piece(at(7), callevent.Piece{First: true, Last: true})
	f.Trailers(at(8), trailer)
	if open := get(t, s, 1); open.GetState() != loomv1.CallState_CALL_STATE_OPEN || open.GetTimings().GetEnd() != nil || open.GetStatus() != nil {
		t.Errorf("an open call says %v", open)
	}
	f.Ended(at(9), &callevent.Summary{Ender: callevent.ByDeadline})
	c := get(t, s, 1)
	got := c.GetTimings()
	for i, d := range []interface{ AsDuration() time.Duration }{got.GetFirstRequestByte(), got.GetResponseHeaders(), got.GetFirstResponseMessage(), got.GetLastByte(), got.GetEnd()} {
		if want := []int{3, 4, 6, 6, 9}[i]; d.AsDuration() != time.Duration(want)*time.Millisecond {
			t.Errorf("timing %d is %v, want %d ms", i, d.AsDuration(), want)
		}
	}
	if a := c.GetAttempts(); len(a) != 2 || a[0].GetEndpoint() != "one" || a[1].GetEndpoint() != "two" || c.GetEndpoint() != "two" {
		t.Errorf("the attempts are %v", a)
	}
	if c.GetEndedBy() != loomv1.Ender_ENDER_CLIENT_DEADLINE || c.GetStatus() != nil {
		t.Errorf("ended by %v with %v", c.GetEndedBy(), c.GetStatus())
	}
}

func TestSummariesAreTheNewestInOrder(t *testing.T) {
	s := newTestStore(t, small())
	for i := range uint64(30) {
		f := routed(s, 30-i, "all")
		end(f)
	}
	rows := s.Summaries(12)
	for i, row := range rows {
		if want := fmt.Sprintf("7-%d", 19+i); row.GetId() != want {
			t.Errorf("row %d is %s, want %s", i, row.GetId(), want)
		}
	}
	var ids []string
	for c := range s.Calls {
		if ids = append(ids, c.GetId()); len(ids) == 3 {
			break
		}
	}
	if len(rows) != 12 || strings.Join(ids, " ") != "7-1 7-2 7-3" {
		t.Errorf("%d rows; the first calls are %v", len(rows), ids)
	}
}

func TestIDsAreReadAsTheyAreWritten(t *testing.T) {
	for _, id := range []ID{{0, 1}, {0x8f2a1, 1041}, {1<<64 - 1, 1<<64 - 1}} {
		if got, err := ParseID(id.String()); err != nil || got != id {
			t.Errorf("%v became %v, %v", id, got, err)
		}
	}
	for _, s := range []string{"", "-", "1", "1-", "-1", "1-0", "x-1", "1-x", "1-1-1", "1-18446744073709551616", " 1-1"} {
		if id, err := ParseID(s); err == nil {
			t.Errorf("%q was read as %v", s, id)
		}
	}
}

func TestAddedCallIsShownAsItCame(t *testing.T) {
	s := newTestStore(t, small())
	in := &loomv1.Call{Id: "abc-5", Path: "/x.Y/Z", Messages: []*loomv1.Message{{Data: bytes.Repeat([]byte{1}, 5000)}}}
	if err := s.Add(in); err != nil {
		t.Fatal(err)
	}
	c, ok := s.Call(ID{0xabc, 5})
	if !ok || c == in || c.String() != in.String() {
		t.Errorf("it is shown as %v, %v", c, ok)
	}
	for _, wrong := range []*loomv1.Call{{}, {Id: "nonsense"}, {Id: "1-1", Messages: []*loomv1.Message{{Data: make([]byte, 9<<20)}}}} {
		if err := s.Add(wrong); err == nil {
			t.Errorf("a call with id %q was taken", wrong.GetId())
		}
	}
	if a, b := s.NextID(), s.NextID(); a == b || a.Generation != 7 || a.Sequence < 1<<52 {
		t.Errorf("ids for calls past the relay are %v and %v", a, b)
	}
}
