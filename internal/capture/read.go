package capture

import (
	"cmp"
	"encoding/base64"
	"slices"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

// records yields what there is to see, each record locked while it is
// yielded, in no order.
func (s *Store) records(yield func(*record) bool) {
	s.mu.Lock()
	all := s.all // it only grows: what is there stays where it is
	s.mu.Unlock()
	for _, r := range all {
		r.mu.Lock()
		more := !r.known() || yield(r)
		r.mu.Unlock()
		if !more {
			return
		}
	}
}

// Call returns the record of a call, whole. It reports false if there is none
// any more.
func (s *Store) Call(id ID) (*loomv1.Call, bool) {
	var found *loomv1.Call
	s.records(func(r *record) bool {
		if r.id() == id {
			found = r.call()
		}
		return found == nil
	})
	return found, found != nil
}

// place is where a call was found.
type place struct {
	record *record
	id     ID
	at     time.Time
}

// inOrder returns the places of all calls, oldest first.
func (s *Store) inOrder() []place {
	var all []place
	for r := range s.records {
		all = append(all, place{r, r.id(), r.startTime()})
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id.Generation, b.id.Generation), cmp.Compare(a.id.Sequence, b.id.Sequence))
	})
	return all
}

// look calls f with the record locked, if the call is still there.
func (p place) look(f func(*record)) {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	if p.record.known() && p.record.id() == p.id {
		f(p.record)
	}
}

// Summaries returns the newest calls, or all if newest is 0, oldest first.
func (s *Store) Summaries(newest int) []*loomv1.CallSummary {
	places := s.inOrder()
	if newest > 0 && len(places) > newest {
		places = places[len(places)-newest:]
	}
	out := make([]*loomv1.CallSummary, 0, len(places))
	for _, p := range places {
		p.look(func(r *record) { out = append(out, r.summary()) })
	}
	return out
}

// Calls yields all calls, whole, oldest first.
func (s *Store) Calls(yield func(*loomv1.Call) bool) {
	for _, p := range s.inOrder() {
		var c *loomv1.Call
		p.look(func(r *record) { c = r.call() })
		if c != nil && !yield(c) {
			return
		}
	}
}

var enders = [...]loomv1.Ender{
	callevent.ByBackend:      loomv1.Ender_ENDER_BACKEND,
	callevent.ByBackendReset: loomv1.Ender_ENDER_BACKEND_RESET,
	callevent.ByBackendLost:  loomv1.Ender_ENDER_BACKEND_LOST,
	callevent.ByCancel:       loomv1.Ender_ENDER_CLIENT_CANCEL,
	callevent.ByCallerLost:   loomv1.Ender_ENDER_CLIENT_LOST,
	callevent.ByDeadline:     loomv1.Ender_ENDER_CLIENT_DEADLINE,
	callevent.ByLoom:         loomv1.Ender_ENDER_LOOM,
	callevent.ByBreaker:      loomv1.Ender_ENDER_BREAKER,
}

// traffic is what went one way so far. r is locked.
func (r *record) traffic(d callevent.Direction) *loomv1.Traffic {
	return &loomv1.Traffic{Messages: r.messages.sequence[d], Bytes: r.messages.bytesSeen[d], Unrecorded: r.messages.unrecorded[d]}
}

// kind is what the messages so far look like. r is locked.
func (r *record) kind() loomv1.StreamKind {
	up, down := r.messages.sequence[callevent.Up] > 1, r.messages.sequence[callevent.Down] > 1
	switch {
	case up && down:
		return loomv1.StreamKind_STREAM_KIND_BIDI_STREAM
	case up:
		return loomv1.StreamKind_STREAM_KIND_CLIENT_STREAM
	case down:
		return loomv1.StreamKind_STREAM_KIND_SERVER_STREAM
	default:
		return loomv1.StreamKind_STREAM_KIND_UNARY
	}
}

func (r *record) state() loomv1.CallState {
	if r.ended {
		return loomv1.CallState_CALL_STATE_ENDED
	}
	return loomv1.CallState_CALL_STATE_OPEN
}

// summary makes the row of the call. r is locked.
func (r *record) summary() *loomv1.CallSummary {
	if r.loaded != nil {
		s := Summarize(r.loaded.call)
		if r.drift {
			s.Drift, s.Revision = true, s.GetRevision()+1
		}
		return s
	}
	up, down := r.traffic(callevent.Up), r.traffic(callevent.Down)
	s := &loomv1.CallSummary{
		Id: r.id().String(), At: r.started.UnixMicro(), Path: text(r.path), Route: r.route, Backend: r.backend, Peer: text(r.peer),
		Kind: r.kind(), State: r.state(), Took: r.times.change.Microseconds(), Timeout: r.timeout.Microseconds(),
		Up: up.GetMessages(), Down: down.GetMessages(), UpBytes: up.GetBytes(), DownBytes: down.GetBytes(),
		Attempts: r.attempts, Endpoint: r.endpoint, ReplayOf: text(r.request.replayOf), Trace: r.request.trace, Revision: uint64(r.revision),
		Drift: r.drift, Cut: r.noRoom || up.GetUnrecorded()+down.GetUnrecorded() > 0,
	}
	for i := range r.messages.list {
		m := &r.messages.list[i]
		s.Cut = s.GetCut() || m.truncated || m.withheld != "" && m.withheld != withheldPending
	}
	if r.ended {
		s.By, s.Reason = enders[r.ender], r.reason
		if r.hasCode {
			s.Code = new(r.code)
		}
	}
	return s
}

// call makes the whole record of the call. r is locked.
func (r *record) call() *loomv1.Call {
	if r.loaded != nil {
		return proto.CloneOf(r.loaded.call)
	}
	c := &loomv1.Call{
		Id: r.id().String(), State: r.state(), Peer: text(r.peer), Authority: text(r.request.authority), Path: text(r.path),
		Route: r.route, Backend: r.backend, Endpoint: r.endpoint, Kind: r.kind(), Start: timestamppb.New(r.started), Timings: r.timings(),
		RequestHeaders: metadata(r.request.fields), ResponseHeaders: metadata(r.response.fields), Trailers: metadata(r.came(r.trailers).fields),
		Identity: r.identity,
		Request:  r.traffic(callevent.Up), Response: r.traffic(callevent.Down),
		ReplayOf: text(r.request.replayOf), Revision: uint64(r.revision),
	}
	if r.timeout > 0 {
		c.Timeout = durationpb.New(r.timeout)
	}
	for _, a := range r.earlier {
		c.Attempts = append(c.Attempts, &loomv1.Attempt{Backend: r.backend, Endpoint: a.endpoint, At: durationpb.New(a.at)})
	}
	if r.attempts > 0 {
		c.Attempts = append(c.Attempts, &loomv1.Attempt{Backend: r.backend, Endpoint: r.endpoint, At: durationpb.New(r.tried)})
	}
	for m := range r.messages.inOrder {
		c.Messages = append(c.Messages, r.message(m))
	}
	if r.ended {
		c.EndedBy, c.Reason = enders[r.ender], r.reason
		switch {
		case r.hasCode:
			c.Status = &loomv1.Status{Code: r.code, Message: text(r.detail), Details: details(r.came(r.trailers).details)}
		case c.GetReason() == "":
			c.Reason = text(r.detail)
		}
	}
	if r.mode == Metadata || r.noRoom {
		c.Omission = &loomv1.Omission{BodiesOff: r.mode == Metadata, NoRoom: r.noRoom}
	}
	return c
}

func (r *record) timings() *loomv1.Timings {
	at := func(d time.Duration) *durationpb.Duration {
		if d == 0 {
			return nil
		}
		return durationpb.New(d)
	}
	t := &loomv1.Timings{FirstRequestByte: at(r.times.firstByte), ResponseHeaders: at(r.times.headers),
		FirstResponseMessage: at(r.times.firstMessage), LastByte: at(r.times.lastByte)}
	if r.ended {
		t.End = durationpb.New(r.times.change)
	}
	return t
}

func (r *record) message(m *message) *loomv1.Message {
	out := &loomv1.Message{
		Direction: loomv1.Direction_DIRECTION_REQUEST, Sequence: m.sequence, FirstByte: durationpb.New(m.first),
		Size: uint64(m.size), Compressed: m.compressed, Truncated: m.truncated, Withheld: m.withheld, Redacted: m.redacted,
	}
	if m.direction == callevent.Down {
		out.Direction = loomv1.Direction_DIRECTION_RESPONSE
	}
	if m.whole {
		out.LastByte = durationpb.New(m.last)
	}
	if m.withheld == "" {
		out.Data = r.bytes(m)
	}
	return out
}

// came is the block, or an empty one if it did not come.
func (r *record) came(b *block) *block {
	if b == nil {
		return r.store.blocks.none
	}
	return b
}

func metadata(fields []hpack.HeaderField) []*loomv1.Metadata {
	out := make([]*loomv1.Metadata, len(fields))
	for i, f := range fields {
		m := &loomv1.Metadata{Name: text(f.Name)}
		switch {
		case f.Value == redactedValue:
			m.Content = &loomv1.Metadata_Redacted{Redacted: true}
		case utf8.ValidString(f.Value):
			m.Content = &loomv1.Metadata_Text{Text: f.Value}
		default:
			m.Content = &loomv1.Metadata_Binary{Binary: []byte(f.Value)}
		}
		out[i] = m
	}
	return out
}

// text is s as protobuf can carry it.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// details decodes grpc-status-details-bin; padding is optional there.
func details(v string) []byte {
	for len(v) > 0 && v[len(v)-1] == '=' {
		v = v[:len(v)-1]
	}
	p, err := base64.RawStdEncoding.DecodeString(v)
	if err != nil {
		return nil
	}
	return p
}
