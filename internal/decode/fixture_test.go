package decode_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"testing"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
	shopv1 "loom/internal/demo/shop/v1"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const secret = "SECRETSECRETSECRET"

func orderMethod() *decode.Method {
	m := shopv1.File_demo_shop_v1_orders_proto.Services().ByName("Orders").Methods().ByName("GetOrder")
	return &decode.Method{Desc: m, Source: decode.FromFiles}
}

func order(t testing.TB) *shopv1.GetOrderResponse {
	t.Helper()
	payment, err := anypb.New(&shopv1.CardPayment{Brand: "visa", LastFour: "1234", Token: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	note := "hello"
	return &shopv1.GetOrderResponse{Order: &shopv1.Order{
		OrderId: "ord-1", Status: shopv1.OrderStatus_ORDER_STATUS_PAID, Payment: payment,
		Customer: &shopv1.Customer{CustomerId: "c1", Name: "Ada", Email: secret},
		Items:    []*shopv1.Item{{Sku: "a", Quantity: 2, Price: &shopv1.Money{Currency: "EUR", Cents: 1 << 60}}},
		PlacedAt: &timestamppb.Timestamp{Seconds: 1_700_000_000},
		Labels:   map[string]string{"k": "v"}, GiftNote: &note,
		Delivery: &shopv1.Order_Locker{Locker: 7},
	}}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func response(data []byte) *loomv1.Message {
	return &loomv1.Message{Direction: loomv1.Direction_DIRECTION_RESPONSE, Size: uint64(len(data)), Data: data}
}

func compress(t testing.TB, encoding string, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	switch encoding {
	case "gzip":
		w := gzip.NewWriter(&buf)
		_, _ = w.Write(data)
		_ = w.Close()
	case "deflate":
		w := zlib.NewWriter(&buf)
		_, _ = w.Write(data)
		_ = w.Close()
	case "zstd":
		w, err := zstd.NewWriter(&buf)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(data)
		_ = w.Close()
	}
	return buf.Bytes()
}

// file builds a file from the text format of its descriptor.
func file(t testing.TB, text string) protoreflect.FileDescriptor {
	t.Helper()
	fd := &descriptorpb.FileDescriptorProto{}
	if err := prototext.Unmarshal([]byte(text), fd); err != nil {
		t.Fatal(err)
	}
	f, err := protodesc.NewFile(fd, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// oldFile is proto2: a group, an extension, a required field, a secret in
// each place that a secret can be in.
const oldFile = `name: "old.proto" package: "old" syntax: "proto2"
message_type { name: "M"
  extension_range { start: 100 end: 200 }
  field { name: "id" number: 1 type: TYPE_INT32 label: LABEL_REQUIRED }
  field { name: "pair" number: 2 type: TYPE_GROUP type_name: ".old.M.Pair" label: LABEL_REPEATED }
  field { name: "next" number: 3 type: TYPE_MESSAGE type_name: ".old.M" label: LABEL_OPTIONAL }
  field { name: "secret" number: 4 type: TYPE_STRING label: LABEL_REPEATED options { debug_redact: true } }
  field { name: "pins" number: 5 type: TYPE_INT32 label: LABEL_REPEATED options { debug_redact: true packed: true } }
  field { name: "by_name" number: 6 type: TYPE_MESSAGE type_name: ".old.M.ByNameEntry" label: LABEL_REPEATED }
  nested_type { name: "Pair" field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "hidden" number: 2 type: TYPE_BYTES label: LABEL_OPTIONAL options { debug_redact: true } } }
  nested_type { name: "ByNameEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".old.M" label: LABEL_OPTIONAL } }
}
extension { name: "extra" number: 100 type: TYPE_STRING label: LABEL_OPTIONAL extendee: ".old.M" }
extension { name: "hidden" number: 101 type: TYPE_STRING label: LABEL_OPTIONAL extendee: ".old.M" options { debug_redact: true } }
extension { name: "inner" number: 102 type: TYPE_MESSAGE type_name: ".old.M" label: LABEL_OPTIONAL extendee: ".old.M" }`

func old(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	return file(t, oldFile).Messages().ByName("M")
}
