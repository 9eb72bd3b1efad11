package decode_test

import (
	"bytes"
	"strings"
	"testing"

	"loom/internal/decode"
	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// types knows the types in the file of one message.
type types struct{ protoreflect.MessageDescriptor }

func (r types) FindMessageByName(n protoreflect.FullName) (protoreflect.MessageType, error) {
	if n == r.FullName() {
		return dynamicpb.NewMessageType(r.MessageDescriptor), nil
	}
	return nil, protoregistry.NotFound
}

func (r types) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return r.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}

func (r types) FindExtensionByName(n protoreflect.FullName) (protoreflect.ExtensionType, error) {
	if x := r.ParentFile().Extensions().ByName(n.Name()); x != nil && x.FullName() == n {
		return dynamicpb.NewExtensionType(x), nil
	}
	return nil, protoregistry.NotFound
}

func (r types) FindExtensionByNumber(_ protoreflect.FullName, n protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	all := r.ParentFile().Extensions()
	for i := range all.Len() {
		if all.Get(i).Number() == n {
			return dynamicpb.NewExtensionType(all.Get(i)), nil
		}
	}
	return nil, protoregistry.NotFound
}

func TestSecretsAreTakenOutWhereverTheyAre(t *testing.T) {
	desc := old(t)
	d := decode.New(decode.Limits{}, nil)
	inner := `{"id":2,"secret":["` + secret + `","` + secret + `"],"pins":[5,6],"pair":[{"key":"k","hidden":"` + secret + `"}],"[old.hidden]":"` + secret + `"}`
	wire, err := d.Encode(desc, nil, []byte(`{"id":1,"next":`+inner+`,"byName":{"a":`+inner+`},"[old.inner]":`+inner+`,"[old.extra]":"stays"}`))
	if err != nil {
		t.Fatal(err)
	}
	out, changed, err := decode.NewRedactor(nil).Plan(desc).Apply("", false, wire)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	raw, _ := decode.BinaryMetadata(secret) // what the bytes field held
	if bytes.Contains(out, []byte("SECRET")) || bytes.Contains(out, raw) || !bytes.Contains(out, []byte("stays")) {
		t.Errorf("out: %q", out)
	}
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(out, dynamicpb.NewMessage(desc)); err != nil {
		t.Error(err)
	}
	if n := bytes.Count(out, []byte("[redacted]")); n != 12 {
		t.Errorf("%d masks, want 12: %q", n, out)
	}
}

func TestConfiguredFieldsAreTakenOut(t *testing.T) {
	r := decode.NewRedactor([]string{"demo.shop.v1.Money.cents", "demo.shop.v1.Order.labels", "demo.shop.v1.Order.order_id"})
	data := marshal(t, order(t))
	out, changed, err := r.Plan((&shopv1.GetOrderResponse{}).ProtoReflect().Descriptor()).Apply("gzip", true, compress(t, "gzip", data))
	var got shopv1.GetOrderResponse
	if err != nil || !changed || proto.Unmarshal(out, &got) != nil {
		t.Fatal(changed, err)
	}
	o := got.GetOrder()
	if o.GetItems()[0].GetPrice().GetCents() != 0 || len(o.GetLabels()) != 0 || o.GetOrderId() != "[redacted]" || o.GetItems()[0].GetSku() != "a" {
		t.Errorf("%v", o)
	}
}

func TestATypeWithoutSecretsNeedsNoPlan(t *testing.T) {
	if decode.NewRedactor(nil).Plan((&shopv1.Item{}).ProtoReflect().Descriptor()) != nil {
		t.Error("a plan for a type that holds no secret")
	}
}

func TestAMessageThatCannotBeDecompressedIsNotRedacted(t *testing.T) {
	p := decode.NewRedactor(nil).Plan((&shopv1.GetOrderResponse{}).ProtoReflect().Descriptor())
	for _, encoding := range []string{"", "snappy", "gzip", "zstd"} {
		if out, _, err := p.Apply(encoding, true, []byte("not compressed")); err == nil || out != nil {
			t.Errorf("%s: %q, %v", encoding, out, err)
		}
	}
}

func TestAnAnyOfUncertainTypeKeepsNoValue(t *testing.T) {
	value := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), secret)
	field := func(of []byte) []byte { // GetOrderResponse.order.payment
		of = protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), of)
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), of)
	}
	url := func(u string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), u)
	}
	two := append(url("x/demo.shop.v1.Item"), url("x/demo.shop.v1.CardPayment")...)
	for name, c := range map[string]struct {
		fields []string
		data   []byte
	}{
		"no type":           {nil, field(value)},
		"two types":         {nil, field(append(two, value...))},
		"type in the other": {nil, append(field(url("x/demo.shop.v1.CardPayment")), field(value)...)},
		"unknown type":      {[]string{"acme.A.b"}, field(append(url("x/acme.A"), value...))},
	} {
		t.Run(name, func(t *testing.T) {
			p := decode.NewRedactor(c.fields).Plan((&shopv1.GetOrderResponse{}).ProtoReflect().Descriptor())
			out, _, err := p.Apply("", false, c.data)
			if err != nil || bytes.Contains(out, []byte(secret)) {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

// What an Any holds is looked for although the file of Any itself is missing;
// of another message nobody knows what it holds.
func TestMessagesWhoseFileIsMissing(t *testing.T) {
	file, err := protodesc.FileOptions{AllowUnresolvable: true}.New(&descriptorpb.FileDescriptorProto{
		Name: new("lost.proto"), Package: new("lost"), Syntax: new("proto3"),
		Dependency: []string{"google/protobuf/any.proto", "card.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("M"), Field: []*descriptorpb.FieldDescriptorProto{
			{Name: new("any"), Number: proto.Int32(1), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: new(".google.protobuf.Any")},
			{Name: new("more"), Number: proto.Int32(2), Label: descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: new(".lost.M")},
			{Name: new("card"), Number: proto.Int32(3), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: new(".lost.Card")},
		}}},
	}, new(protoregistry.Files))
	if err != nil {
		t.Fatal(err)
	}
	anyField := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), marshal(t, order(t).GetOrder().GetPayment()))
	card := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), []byte("\x0a\x04card"))
	data := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), append(anyField, card...))
	for _, fields := range [][]string{nil, {"lost.Card.number"}} {
		out, _, err := decode.NewRedactor(fields).PlanWith(file.Messages().Get(0), protoregistry.GlobalTypes).Apply("", false, data)
		if err != nil || bytes.Contains(out, []byte(secret)) || !bytes.Contains(out, []byte("visa")) {
			t.Errorf("fields %v: %q, %v", fields, out, err)
		}
		if kept := bytes.Contains(out, []byte("card")); kept != (fields == nil) {
			t.Errorf("fields %v: the card is kept: %t", fields, kept)
		}
	}
}

func FuzzApply(f *testing.F) {
	whole := marshal(f, order(f))
	for n := 0; n <= len(whole); n += 7 {
		f.Add(whole[:n])
	}
	desc := (&shopv1.GetOrderResponse{}).ProtoReflect().Descriptor()
	p := decode.NewRedactor(nil).Plan(desc)
	f.Fuzz(func(t *testing.T, data []byte) {
		out, _, err := p.Apply("", false, data)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := p.Apply("", false, out)
		if err != nil || len(again) > len(out)+len(out)/2+64 {
			t.Fatalf("%d bytes became %d: %v", len(out), len(again), err)
		}
		var m shopv1.GetOrderResponse
		if proto.Unmarshal(out, &m) == nil {
			if e := m.GetOrder().GetCustomer().GetEmail(); e != "" && e != "[redacted]" {
				t.Fatalf("the email %q is still there", e)
			}
		}
	})
}

func BenchmarkApply(b *testing.B) {
	data := marshal(b, order(b))
	p := decode.NewRedactor(nil).Plan((&shopv1.GetOrderResponse{}).ProtoReflect().Descriptor())
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.Apply("", false, data); err != nil {
			b.Fatal(err)
		}
	}
}
