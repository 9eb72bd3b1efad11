package replay

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
)

// prefixBytes stands before each message on the wire.
const prefixBytes = 5

// Record returns the call as a record with that ID, for the list of calls: one
// that went straight to a backend passed no listener. Nothing is redacted in
// it. q is what Do was given; its bytes and those of a are shared.
func (a *Answer) Record(id string, q Request) *loomv1.Call {
	call := &loomv1.Call{
		Id: id, State: loomv1.CallState_CALL_STATE_ENDED, ReplayOf: q.ReplayOf,
		Authority: q.Authority, Path: q.Path, Backend: q.Backend,
		Kind:            kind(len(a.Sent), a.Received),
		Start:           timestamppb.New(a.Started),
		Timings:         a.timings(),
		RequestHeaders:  requestHeaders(q),
		ResponseHeaders: fields(a.Headers),
		Trailers:        fields(a.Trailers),
		Request:         &loomv1.Traffic{Messages: uint64(len(a.Sent))},
		Response: &loomv1.Traffic{
			Messages: a.Received, Bytes: a.Bytes + prefixBytes*a.Received,
			Unrecorded: a.Received - uint64(len(a.Messages)),
		},
		Messages: a.messages(q),
		Status:   &loomv1.Status{Code: uint32(a.Code), Message: a.Message, Details: a.Details},
		EndedBy:  a.ender(q),
	}
	for _, m := range q.Messages[:len(a.Sent)] {
		call.Request.Bytes += uint64(len(m)) + prefixBytes
	}
	if q.Deadline > 0 {
		call.Timeout = durationpb.New(q.Deadline)
	}
	return call
}

// kind judges as the relay does: by what was seen on the wire.
func kind(sent int, received uint64) loomv1.StreamKind {
	switch {
	case sent > 1 && received > 1:
		return loomv1.StreamKind_STREAM_KIND_BIDI_STREAM
	case sent > 1:
		return loomv1.StreamKind_STREAM_KIND_CLIENT_STREAM
	case received > 1:
		return loomv1.StreamKind_STREAM_KIND_SERVER_STREAM
	default:
		return loomv1.StreamKind_STREAM_KIND_UNARY
	}
}

func (a *Answer) timings() *loomv1.Timings {
	t := &loomv1.Timings{End: durationpb.New(a.Took)}
	if len(a.Sent) > 0 {
		t.FirstRequestByte = durationpb.New(a.Sent[0])
	}
	if n := len(a.At); n > 0 {
		t.FirstResponseMessage, t.LastByte = durationpb.New(a.At[0]), durationpb.New(a.At[n-1])
	}
	return t
}

// messages returns those of both ways, in the order of their times.
func (a *Answer) messages(q Request) []*loomv1.Message {
	all := make([]*loomv1.Message, 0, len(a.Sent)+len(a.Messages))
	for i, at := range a.Sent {
		all = append(all, message(loomv1.Direction_DIRECTION_REQUEST, i, at, q.Messages[i]))
	}
	for i, data := range a.Messages {
		all = append(all, message(loomv1.Direction_DIRECTION_RESPONSE, i, a.At[i], data))
	}
	slices.SortStableFunc(all, func(x, y *loomv1.Message) int {
		return cmp.Compare(x.GetLastByte().AsDuration(), y.GetLastByte().AsDuration())
	})
	return all
}

func message(d loomv1.Direction, i int, at time.Duration, data []byte) *loomv1.Message {
	return &loomv1.Message{
		Direction: d, Sequence: uint64(i) + 1, Size: uint64(len(data)), Data: data,
		FirstByte: durationpb.New(at), LastByte: durationpb.New(at),
	}
}

func requestHeaders(q Request) []*loomv1.Metadata {
	contentType := "application/grpc"
	if s := q.subtype(); s != "" {
		contentType += "+" + s
	}
	out := []*loomv1.Metadata{{Name: "content-type", Content: &loomv1.Metadata_Text{Text: contentType}}}
	for _, m := range q.Metadata {
		if name := strings.ToLower(m.GetName()); !Reserved(name) && !m.GetRedacted() {
			// A message of its own: the values of a record may be taken out.
			out = append(out, &loomv1.Metadata{Name: name, Content: m.GetContent()})
		}
	}
	if q.ReplayOf != "" {
		out = append(out, &loomv1.Metadata{Name: Link, Content: &loomv1.Metadata_Text{Text: q.ReplayOf}})
	}
	return out
}

// fields returns metadata by name, for grpc-go keeps no other order, and with
// the values as on the wire.
func fields(md metadata.MD) []*loomv1.Metadata {
	var out []*loomv1.Metadata
	for _, name := range slices.Sorted(maps.Keys(md)) {
		for _, v := range md[name] {
			m := &loomv1.Metadata{Name: name}
			switch {
			case strings.HasSuffix(name, binarySuffix):
				m.Content = &loomv1.Metadata_Text{Text: base64.RawStdEncoding.EncodeToString([]byte(v))}
			case utf8.ValidString(v):
				m.Content = &loomv1.Metadata_Text{Text: v}
			default:
				m.Content = &loomv1.Metadata_Binary{Binary: []byte(v)}
			}
			out = append(out, m)
		}
	}
	return out
}

// ender guesses: grpc-go does not tell its own statuses from the backend's.
func (a *Answer) ender(q Request) loomv1.Ender {
	switch {
	case a.Code == codes.DeadlineExceeded && q.Deadline > 0 && a.Took >= q.Deadline:
		return loomv1.Ender_ENDER_CLIENT_DEADLINE
	case len(a.Headers) == 0 && len(a.Trailers) == 0 && a.Code == codes.Unavailable:
		return loomv1.Ender_ENDER_BACKEND_LOST
	case len(a.Trailers) == 0 && a.Code == codes.Canceled:
		return loomv1.Ender_ENDER_CLIENT_CANCEL
	default:
		return loomv1.Ender_ENDER_BACKEND
	}
}
