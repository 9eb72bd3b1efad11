package decode_test

import (
	"encoding/json"
	"errors"
	"testing"

	"loom/internal/decode"
	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func orderDesc() protoreflect.MessageDescriptor { return (&shopv1.Order{}).ProtoReflect().Descriptor() }

func TestEncodeTakesWhatMessageShows(t *testing.T) {
	d := decode.New(decode.Limits{}, nil)
	want := order(t)
	want.Order.Customer.Email, want.Order.Payment = "e", nil
	res := d.Message(orderMethod(), response1, "", response(marshal(t, want)))
	desc := want.ProtoReflect().Descriptor()
	wire, err := d.Encode(desc, nil, res.JSON)
	var got shopv1.GetOrderResponse
	if err != nil || proto.Unmarshal(wire, &got) != nil {
		t.Fatal(err)
	}
	want.Order.Customer.Email = "[redacted]"
	if !proto.Equal(want, &got) {
		t.Errorf("%v, want %v", &got, want)
	}
}

func TestEncodeNamesEachFieldThatIsWrong(t *testing.T) {
	_, err := decode.New(decode.Limits{}, nil).Encode(orderDesc(), nil, []byte(
		`{"orderId":5,"items":[{"quantity":"x"},{"nope":1}],"placedAt":"yesterday","address":"a","locker":1,"status":"X","payment":{"@type":"a/b"}}`))
	var wrong *decode.EncodeError
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	at := map[string]bool{}
	for _, f := range wrong.Fields {
		at[f.Path] = true
	}
	for _, path := range []string{"/orderId", "/items/0/quantity", "/items/1/nope", "/placedAt", "/locker", "/status", "/payment/@type"} {
		if !at[path] {
			t.Errorf("nothing is said about %s: %v", path, err)
		}
	}
}

func TestEveryTemplateCanBeEncoded(t *testing.T) {
	d := decode.New(decode.Limits{}, nil)
	messages := orderDesc().ParentFile().Messages()
	for i := range messages.Len() {
		js := decode.Template(messages.Get(i))
		if _, err := d.Encode(messages.Get(i), nil, js); err != nil {
			t.Errorf("%s: %s: %v", messages.Get(i).FullName(), js, err)
		}
	}
	if js := decode.Template(old(t)); !json.Valid(js) {
		t.Errorf("%s", js)
	}
}

func TestShapeTellsTypesAndLabels(t *testing.T) {
	for _, f := range decode.Shape(orderDesc()).Fields {
		if f.Name == "labels" && (f.Type != "map<string, string>" || f.Label != "map") || f.Name == "locker" && f.OneOf != "delivery" {
			t.Errorf("%+v", f)
		}
	}
}

func TestDiffNamesPlaces(t *testing.T) {
	changes := decode.Diff([]byte(`{"a":[{"b":1},2],"c":"x"}`), []byte(`{"a":[{"b":9007199254740993}],"d/e":null}`))
	got, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"path":"/a/0/b","kind":"changed","old":1,"new":9007199254740993},{"path":"/a/1","kind":"removed","old":2},` +
		`{"path":"/c","kind":"removed","old":"x"},{"path":"/d~1e","kind":"added","new":null}]`
	if string(got) != want {
		t.Errorf("%s", got)
	}
}

func TestBinaryMetadataTakesEveryBase64(t *testing.T) {
	for v, want := range map[string]bool{"+/8=": true, "+/8": true, "-_8": true, "-_8=": true, "": true, "!": false} {
		b, ok := decode.BinaryMetadata(v)
		if ok != want || ok && v != "" && string(b) != "\xfb\xff" {
			t.Errorf("%q: %q, %v", v, b, ok)
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add(`{"orderId":"a","items":[{"price":{"cents":"5"}}],"payment":{"@type":"x/demo.shop.v1.Voucher","code":"c"}}`)
	f.Add(string(decode.Template(orderDesc())))
	d := decode.New(decode.Limits{}, nil)
	f.Fuzz(func(t *testing.T, js string) {
		wire, err := d.Encode(orderDesc(), nil, []byte(js))
		if err == nil && proto.Unmarshal(wire, &shopv1.Order{}) != nil {
			t.Fatalf("%q became %x", js, wire)
		}
	})
}
