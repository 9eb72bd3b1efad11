package decode_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"
)

const response1 = loomv1.Direction_DIRECTION_RESPONSE

func TestAMessageIsShownAsProtojsonWithoutItsSecrets(t *testing.T) {
	for _, encoding := range []string{"", "gzip", "deflate", "zstd"} {
		t.Run("encoding "+encoding, func(t *testing.T) {
			plain := marshal(t, order(t))
			msg := response(plain)
			if encoding != "" {
				msg = response(compress(t, encoding, plain))
				msg.Compressed = true
			}
			res := decode.New(decode.Limits{}, nil).Message(orderMethod(), response1, encoding, msg)
			want := `{"order":{"orderId":"ord-1","customer":{"customerId":"c1","name":"Ada","email":"[redacted]"},` +
				`"status":"ORDER_STATUS_PAID","items":[{"sku":"a","quantity":2,"price":{"currency":"EUR","cents":"1152921504606846976"}}],` +
				`"placedAt":"2023-11-14T22:13:20Z","payment":{"@type":"type.googleapis.com/demo.shop.v1.CardPayment",` +
				`"brand":"visa","lastFour":"1234","token":"[redacted]"},"labels":{"k":"v"},"giftNote":"hello","locker":7}}`
			if string(res.JSON) != want || res.Err != "" || res.Truncated {
				t.Errorf("shown %s\nwant  %s\nerror %q, truncated %v", res.JSON, want, res.Err, res.Truncated)
			}
			if res.Decoded != len(plain) || res.Size != len(msg.GetData()) || res.Encoding != encoding {
				t.Errorf("sizes %d and %d of %q, want %d and %d", res.Size, res.Decoded, res.Encoding, len(msg.GetData()), len(plain))
			}
		})
	}
}

func TestATruncatedMessageIsShownAsFarAsItGoes(t *testing.T) {
	whole := marshal(t, order(t))
	d := decode.New(decode.Limits{}, nil)
	for n := range whole {
		msg := response(whole[:n])
		msg.Truncated, msg.Size = true, uint64(len(whole))
		res := d.Message(orderMethod(), response1, "", msg)
		if !json.Valid(res.JSON) || !res.Truncated || bytes.Contains(res.JSON, []byte("SECRET")) {
			t.Fatalf("the first %d bytes: %+v", n, res)
		}
		if n == len(whole)/2 && !bytes.Contains(res.JSON, []byte("Ada")) {
			t.Errorf("half of the message shows no customer: %s", res.JSON)
		}
	}
}

func TestWhatCannotBeDecodedSaysWhy(t *testing.T) {
	bomb := compress(t, "gzip", make([]byte, 3<<20))
	for name, c := range map[string]struct {
		encoding string
		data     []byte
		want     string
	}{
		"unknown encoding": {"snappy", []byte("x"), `encoding "snappy" is not one that loom can decompress`},
		"no encoding":      {"", []byte("x"), "names no encoding"},
		"not gzip":         {"gzip", []byte("this is no gzip"), "decompress gzip"},
		"bomb gzip":        {"gzip", bomb, "which is the limit"},
		"bomb zstd":        {"zstd", compress(t, "zstd", make([]byte, 3<<20)), "which is the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			msg := response(c.data)
			msg.Compressed = true
			res := decode.New(decode.Limits{Decoded: 1 << 20}, nil).Message(orderMethod(), response1, c.encoding, msg)
			if res.JSON != nil || !strings.Contains(res.Err, c.want) {
				t.Errorf("%+v, want error with %q", res, c.want)
			}
		})
	}
}

func TestUnknownFieldsAreNamedWithTheirPath(t *testing.T) {
	money := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 5)
	item := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), money)
	o := protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), item)
	data := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), o)
	res := decode.New(decode.Limits{}, nil).Message(orderMethod(), response1, "", response(data))
	want := decode.UnknownField{Path: "/order/items/0/price", Number: 99, Wire: "varint"}
	if len(res.Unknown) != 1 || res.Unknown[0] != want {
		t.Errorf("unknown %v, want %v", res.Unknown, want)
	}
}

func TestAStatusShowsItsDetails(t *testing.T) {
	info, err := anypb.New(&errdetails.ErrorInfo{Reason: "R", Domain: "loom"})
	if err != nil {
		t.Fatal(err)
	}
	stranger := &anypb.Any{TypeUrl: "type.googleapis.com/acme.Unknown", Value: []byte("\x0a\x02hi")}
	js, text := decode.New(decode.Limits{}, nil).Status(marshal(t, &rpcstatus.Status{Code: 5, Message: "no", Details: []*anypb.Any{info, stranger}}), nil)
	want := `{"code":5,"message":"no","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R","domain":"loom"},` +
		`{"@type":"type.googleapis.com/acme.Unknown","value":"CgJoaQ==","@fields":[{"field":1,"wire":"bytes","guess":"text","value":"hi"}]}]}`
	if string(js) != want || text != "" {
		t.Errorf("%s %q\nwant %s", js, text, want)
	}
}

func TestHugeAndDeepInputIsBounded(t *testing.T) {
	var deep []byte
	for range 10_000 {
		deep = protowire.AppendBytes([]byte{0x1a}, deep)
	}
	groups := append(bytes.Repeat([]byte{0x13}, 20_000), bytes.Repeat([]byte{0x14}, 20_000)...)
	d := decode.New(decode.Limits{}, nil)
	desc := old(t)
	for name, data := range map[string][]byte{
		"deep": deep, "groups": groups,
		"empty messages": bytes.Repeat([]byte{0x1a, 0}, 50<<20),
		"zeros":          make([]byte, 100<<20),
		"text":           protowire.AppendBytes([]byte{0x1a}, bytes.Repeat([]byte("aaaa"), 25<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			any1 := marshal(t, &rpcstatus.Status{Details: []*anypb.Any{{TypeUrl: "x/old.M", Value: data}}})
			js, text := d.Status(any1, types{desc})
			if len(js) > 100<<20 || text == "" {
				t.Errorf("%d bytes of JSON, error %q", len(js), text)
			}
			res := d.Message(nil, response1, "", response(data))
			if len(res.JSON) > 100<<20 || !json.Valid(res.JSON) {
				t.Errorf("schemaless: %d bytes of JSON", len(res.JSON))
			}
			if took := time.Since(began); took > 3*time.Minute { // a second or two, and ten times that under the race detector
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestOldAndForeignThingsAreShown(t *testing.T) {
	desc := old(t)
	d := decode.New(decode.Limits{}, nil)
	js := `{"id":1,"pair":[{"key":"k"}],"next":{"id":2},"byName":{"a":{"id":3}},"[old.extra]":"x","[old.inner]":{"id":4}}`
	wire, err := d.Encode(desc, types{desc}, []byte(js))
	if err != nil {
		t.Fatal(err)
	}
	any1 := &rpcstatus.Status{Details: []*anypb.Any{{TypeUrl: "x/old.M", Value: wire}}}
	out, text := d.Status(marshal(t, any1), types{desc})
	want := `{"details":[{"@type":"x/old.M","id":1,"pair":[{"key":"k"}],"next":{"id":2},"byName":{"a":{"id":3}},"[old.extra]":"x","[old.inner]":{"id":4}}]}`
	if string(out) != want || text != "" {
		t.Errorf("%s %q\nwant %s", out, text, want)
	}
}

func TestAnEnumNumberWithoutNameIsShownAsNumber(t *testing.T) {
	data := marshal(t, &shopv1.GetOrderResponse{Order: &shopv1.Order{Status: 77}})
	res := decode.New(decode.Limits{}, nil).Message(orderMethod(), response1, "", response(data))
	if string(res.JSON) != `{"order":{"status":77}}` {
		t.Errorf("%s", res.JSON)
	}
}

func TestEditionsAreDecoded(t *testing.T) {
	for _, edition := range []string{"EDITION_2023", "EDITION_2024"} {
		desc := file(t, `name: "new.proto" package: "new" syntax: "editions" edition: `+edition+`
			message_type { name: "M"
				field { name: "n" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL }
				field { name: "next" number: 2 type: TYPE_MESSAGE type_name: ".new.M" label: LABEL_OPTIONAL
					options { features { message_encoding: DELIMITED } } }
				field { name: "secret" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL options { debug_redact: true } } }`).Messages().ByName("M")
		d := decode.New(decode.Limits{}, nil)
		wire, err := d.Encode(desc, nil, []byte(`{"n":0,"next":{"n":5,"secret":"`+secret+`"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(wire, []byte{0x13}) {
			t.Errorf("%s: next is not a group on the wire: %x", edition, wire)
		}
		js, text := d.Status(marshal(t, &rpcstatus.Status{Details: []*anypb.Any{{TypeUrl: "x/new.M", Value: wire}}}), types{desc})
		if want := `{"details":[{"@type":"x/new.M","n":0,"next":{"n":5,"secret":"[redacted]"}}]}`; string(js) != want {
			t.Errorf("%s: %s %q", edition, js, text)
		}
	}
}

func FuzzMessage(f *testing.F) {
	whole := marshal(f, order(f))
	f.Add(whole, true)
	f.Add(whole[:len(whole)/2], true)
	f.Add([]byte("\xff\xff\xff"), false)
	d := decode.New(decode.Limits{Output: 1 << 16, Fields: 1000}, nil)
	f.Fuzz(func(t *testing.T, data []byte, typed bool) {
		m := orderMethod()
		if !typed {
			m = nil
		}
		res := d.Message(m, response1, "", response(data))
		if !json.Valid(res.JSON) || res.JSON == nil && res.Err == "" {
			t.Fatalf("%+v", res)
		}
	})
}

func FuzzSchemaless(f *testing.F) {
	f.Add(marshal(f, order(f)))
	f.Add([]byte("\x0b\x0c\x00"))
	d := decode.New(decode.Limits{Output: 1 << 16, Fields: 1000}, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		if js := d.Schemaless(data); !json.Valid(js) {
			t.Fatalf("%q", js)
		}
	})
}
