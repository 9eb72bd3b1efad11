package export

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
)

func text(name, value string) *loomv1.Metadata {
	return &loomv1.Metadata{Name: name, Content: &loomv1.Metadata_Text{Text: value}}
}

func after(milliseconds int) *durationpb.Duration {
	return durationpb.New(time.Duration(milliseconds) * time.Millisecond)
}

// failedCall is one with everything that a record may hold.
func failedCall() *loomv1.Call {
	return &loomv1.Call{
		Id: "8f-7", State: loomv1.CallState_CALL_STATE_ENDED, Authority: "shop.example:443", Path: "/shop.Orders/Watch",
		Route: "orders", Backend: "shop", Endpoint: "127.0.0.1:50051", Peer: "127.0.0.1:1234",
		Kind:  loomv1.StreamKind_STREAM_KIND_SERVER_STREAM,
		Start: timestamppb.New(time.Date(2026, 5, 1, 10, 20, 30, 123456000, time.UTC)),
		Timings: &loomv1.Timings{
			FirstRequestByte: after(2), ResponseHeaders: after(10), FirstResponseMessage: after(11), LastByte: after(40), End: after(50),
		},
		RequestHeaders: []*loomv1.Metadata{
			text(":scheme", "https"), text("content-type", "application/grpc+proto"), text("x", "1"), text("x", "</script>\x1b\u202e\x00"),
			{Name: "authorization", Content: &loomv1.Metadata_Redacted{Redacted: true}},
			{Name: "raw", Content: &loomv1.Metadata_Binary{Binary: []byte{0xff, 0}}},
		},
		ResponseHeaders: []*loomv1.Metadata{text(":status", "200"), text("content-type", "application/grpc")},
		Trailers:        []*loomv1.Metadata{text("grpc-status", "5")},
		Request:         &loomv1.Traffic{Messages: 1, Bytes: 8},
		Response:        &loomv1.Traffic{Messages: 13, Bytes: 2000, Unrecorded: 10},
		Messages: []*loomv1.Message{
			{Direction: loomv1.Direction_DIRECTION_REQUEST, Sequence: 1, Size: 3, Data: []byte("abc"), FirstByte: after(2), LastByte: after(2)},
			{Direction: loomv1.Direction_DIRECTION_RESPONSE, Sequence: 1, Size: 2, Data: []byte{0xff, 0}, Compressed: true, FirstByte: after(11)},
			{Direction: loomv1.Direction_DIRECTION_RESPONSE, Sequence: 12, Size: 900, Data: []byte("cut"), Truncated: true, FirstByte: after(20)},
			{Direction: loomv1.Direction_DIRECTION_RESPONSE, Sequence: 13, Size: 9, Withheld: "it may hold what is redacted", FirstByte: after(40)},
		},
		Status:  &loomv1.Status{Code: 5, Message: "no order ö", Details: []byte{1, 2, 0xff}},
		EndedBy: loomv1.Ender_ENDER_BACKEND,
	}
}

// openCall is one of which little is known yet.
func openCall() *loomv1.Call {
	return &loomv1.Call{
		Id: "8f-8", State: loomv1.CallState_CALL_STATE_OPEN, Path: "/shop.Orders/Watch", Endpoint: "/run/shop.sock",
		Timings: &loomv1.Timings{FirstRequestByte: after(5)},
	}
}
