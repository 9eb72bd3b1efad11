package capture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/http2/hpack"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

// player plays random calls to a store, several at once.
type player struct {
	store *Store
	rng   *rand.Rand
	next  uint64
	open  []callevent.Follower
	now   time.Time
}

func newPlayer(s *Store, seed uint64) *player {
	return &player{store: s, rng: rand.New(rand.NewPCG(seed, 9)), now: time.Unix(1_800_000_000, 0)}
}

func (p *player) begin() {
	p.next++
	fields := []hpack.HeaderField{{Name: ":path", Value: "/a.B/C"}, {Name: "x", Value: strings.Repeat("v", p.rng.IntN(300))}}
	f := p.store.Begin(callevent.Call{ID: p.next, At: p.now, Path: "/a.B/C", Fields: fields})
	if f == nil {
		return
	}
	f.Routed(p.now, []string{"all", "quiet"}[p.rng.IntN(2)], "b")
	p.open = append(p.open, f)
}

// step does one thing to one call, or to the store.
func (p *player) step() {
	p.now = p.now.Add(time.Microsecond)
	if len(p.open) == 0 || p.rng.IntN(6) == 0 && len(p.open) < 12 {
		p.begin()
		return
	}
	i := p.rng.IntN(len(p.open))
	f := p.open[i]
	switch p.rng.IntN(12) {
	case 0:
		p.store.Clear()
	case 1:
		c := &loomv1.Call{Id: ID{5, p.next + 1}.String(), Reason: strings.Repeat("r", p.rng.IntN(3000))}
		if err := p.store.Add(c); err != nil && !strings.Contains(err.Error(), "no room") {
			panic(err)
		}
	case 2, 3:
		f.Ended(p.now, &callevent.Summary{})
		p.open = append(p.open[:i], p.open[i+1:]...)
	case 4:
		f.Trailers(p.now, trailer)
	default:
		size := []int{0, 10, 600, 5000, 40_000}[p.rng.IntN(5)]
		f.Piece(p.now, callevent.Piece{Direction: callevent.Direction(p.rng.IntN(2)), First: p.rng.IntN(8) > 0, Last: p.rng.IntN(8) > 0, Compressed: p.rng.IntN(2) == 0, Size: uint32(size), Data: make([]byte, p.rng.IntN(size+1))})
	}
}

func (p *player) endAll() {
	for _, f := range p.open {
		f.Ended(p.now, &callevent.Summary{})
	}
	p.open = nil
}

var trailer = []hpack.HeaderField{{Name: "grpc-status", Value: "0"}}

// audit looks whether the books of the store agree with what is in it.
func audit(s *Store) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended, blocks := 0, uint32(0)
	held := int64(s.kept) * recordBytes
	for c := range s.ended.each {
		ended++
		held += c.charged - recordBytes
		if !c.record.ended || c.charged != c.record.charged {
			return fmt.Errorf("the list of ended calls is wrong about %v", c.record.id())
		}
	}
	taken := 0
	for _, r := range s.all {
		if r.seq != 0 {
			taken++
		}
		if r.seq != 0 && !r.ended {
			held += r.reserved
		}
		for i := range r.messages.list {
			if m := &r.messages.list[i]; !m.inline {
				blocks += (m.chain.size + blockData - 1) / blockData
			}
		}
	}
	switch {
	case s.arena.used.Load() != blocks:
		return fmt.Errorf("the arena has %d blocks in use, its chains %d", s.arena.used.Load(), blocks)
	case s.kept != ended+s.open || taken != s.kept:
		return fmt.Errorf("kept %d, ended %d, open %d, taken %d", s.kept, ended, s.open, taken)
	case s.kept > s.opts.Calls:
		return fmt.Errorf("%d calls are kept, more than %d", s.kept, s.opts.Calls)
	case held != s.held:
		return fmt.Errorf("%d bytes are held, the records say %d", s.held, held)
	case s.open == 0 && s.held+s.arena.bytes() > s.opts.Bytes:
		return fmt.Errorf("%d bytes are kept, more than %d", s.held+s.arena.bytes(), s.opts.Bytes)
	}
	return nil
}

// masking takes out every byte but the first.
type masking struct{}

func (masking) Apply(_ string, _ bool, data []byte) ([]byte, bool, error) {
	if len(data)%7 == 3 {
		return nil, false, errApply
	}
	return data[:min(1, len(data))], len(data)%2 == 0, nil
}

var errApply = errors.New("it is not a message\xff")

func TestRingIsBoundedWhateverComes(t *testing.T) {
	for _, o := range []Options{
		{Calls: 20, Bytes: 1 << 20, MessageBytes: 16 << 10},
		{Calls: 1000, Bytes: 200 << 10, MessageBytes: 64 << 10},
		{Calls: 3, Bytes: 20 << 10, MessageBytes: 100},
		{Calls: 20, Bytes: 1 << 20, MessageBytes: 16 << 10, Rules: func(string, string) (Rule, Rule) {
			return Rule{Body: masking{}}, Rule{Withhold: "its type is not known"}
		}},
		{Calls: 20, Bytes: 1 << 20, MessageBytes: 16 << 10, RouteModes: map[string]Mode{"quiet": Off}},
		{Calls: 20, Bytes: 1 << 20, MessageBytes: 16 << 10, Mode: Off, RouteModes: map[string]Mode{"quiet": Metadata}},
	} {
		t.Run(fmt.Sprintf("%d calls, %d bytes", o.Calls, o.Bytes), func(t *testing.T) {
			s := newTestStore(t, o)
			p := newPlayer(s, uint64(o.Calls))
			for i := range 20_000 {
				p.step()
				if i%50 == 0 && o.Rules == nil {
					if err := audit(s); err != nil {
						t.Fatalf("after %d steps: %v", i, err)
					}
				}
				if i%500 == 0 {
					for range s.Calls {
					}
				}
			}
			p.endAll()
			settle(s)
			if err := audit(s); err != nil {
				t.Fatal(err)
			}
			s.Clear()
			if st := s.Stats(); st.Kept != 0 || st.Bytes != 0 || s.held != 0 {
				t.Errorf("after all ended and was cleared: %+v, held %d", st, s.held)
			}
		})
	}
}

// settle waits for redactions under way.
func settle(s *Store) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		pending := 0
		for r := range s.records {
			pending += r.pending
		}
		if pending == 0 {
			return
		}
	}
}

func newTestStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestNothingIsForgottenWhileThereIsRoom(t *testing.T) {
	s := newTestStore(t, Options{Calls: 50, Bytes: 8 << 20, MessageBytes: 1 << 20})
	p := newPlayer(s, 1)
	for range 80 {
		p.begin()
		p.endAll()
	}
	all := s.Summaries(0)
	if len(all) != 50 || all[0].GetId() != "0-31" || all[49].GetId() != "0-80" {
		t.Errorf("of 80 calls %d are kept, from %s on; want the newest 50", len(all), all[0].GetId())
	}
	if st := s.Stats(); st.Seen != 80 || st.Kept != 50 || st.Dropped != 0 || st.NoRoom != 0 {
		t.Errorf("the figures are %+v", st)
	}
}

// Calls that are open are never forgotten; what finds no room is counted.
func TestOpenCallsAreKeptAndTheRestIsCounted(t *testing.T) {
	s := newTestStore(t, Options{Calls: 4, Bytes: 8 << 20, MessageBytes: 1 << 20})
	p := newPlayer(s, 1)
	for range 6 {
		p.begin()
	}
	if st := s.Stats(); st.Open != 4 || st.Dropped != 2 {
		t.Errorf("four fit of six: %+v", st)
	}
	p.endAll()
	p.begin()
	if st := s.Stats(); st.Open != 1 || st.Kept != 4 || st.Dropped != 2 {
		t.Errorf("after they ended: %+v", st)
	}
	p.endAll()
}

// Streams that stay open fill the ring with more than the bytes of messages.
func TestManyOpenStreamsStayInTheRing(t *testing.T) {
	s := newTestStore(t, Options{Calls: 1000, Bytes: 1 << 20, MessageBytes: 100})
	p := newPlayer(s, 1)
	for range 300 {
		p.begin()
	}
	for _, f := range p.open {
		for range 400 {
			f.Piece(p.now, callevent.Piece{First: true, Last: true})
		}
	}
	if st := s.Stats(); st.Bytes > 1<<20 || st.NoRoom == 0 {
		t.Errorf("300 open streams of 400 messages: %+v", st)
	}
	c, ok := s.Call(ID{0, 1})
	if !ok || uint64(len(c.GetMessages()))+c.GetRequest().GetUnrecorded() != 400 || c.GetRequest().GetMessages() != 400 {
		t.Errorf("%d messages and %v", len(c.GetMessages()), c.GetRequest())
	}
	p.endAll()
	if err := audit(s); err != nil {
		t.Error(err)
	}
}

// What a record is taken to cost is at least what it does cost.
func TestRecordsCostWhatTheyAreChargedFor(t *testing.T) {
	if size := unsafe.Sizeof(record{}); size > recordBytes {
		t.Errorf("a record takes %d bytes and counts for %d", size, recordBytes)
	}
	if size := unsafe.Sizeof(message{}); size > messageBytes {
		t.Errorf("a message takes %d bytes and counts for %d", size, messageBytes)
	}
}

func TestRingsThatCannotBeAreRefused(t *testing.T) {
	for _, o := range []Options{{Calls: 0, Bytes: 1 << 20}, {Calls: 1}, {Calls: 1, Bytes: 1 << 44}, {Calls: 1, Bytes: -1}} {
		if s, err := New(o); err == nil {
			t.Errorf("%+v made a store", o)
			_ = s.Close()
		}
	}
}
