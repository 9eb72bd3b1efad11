package server

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"loom/internal/decode"
)

// openSchemas returns what is known by a loom.yaml.
func openSchemas(t *testing.T, text string) *schemas {
	t.Helper()
	f := newInForce(parse(t, text))
	s := newSchemas(func() *inForce { return f }, Options{Log: zap.NewNop()})
	t.Cleanup(s.cache.Close)
	return s
}

func TestDescriptorsAreFreshAsLongAsConfigured(t *testing.T) {
	s := openSchemas(t, `
listeners: [{name: plain, address: "127.0.0.1:0"}]
backends:
  quick: {targets: ["127.0.0.1:1"], reflection: {ttl: 7s}}
  usual: {targets: ["127.0.0.1:1"], reflection: {metadata: {a: b}}}
  plain: {targets: ["127.0.0.1:1"]}
routes: [{name: all, backend: quick}, {name: more, match: {service: a.B}, backend: usual}, {name: most, match: {service: a.C}, backend: plain}]
`)
	for name, want := range map[string]time.Duration{"quick": 7 * time.Second, "usual": 5 * time.Minute, "plain": 0, "nobody": 0} {
		if got := s.ttl(name); got != want {
			t.Errorf("the descriptors of %s are fresh for %v, want %v", name, got, want)
		}
	}
}

// partly has a service of which a file is missing: that of the request, and of
// a field of the answer.
func partly() *descriptorpb.FileDescriptorSet {
	return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: new("shop.proto"), Package: new("shop"), Syntax: new("proto3"),
		Dependency: []string{"card.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Receipt"), Field: []*descriptorpb.FieldDescriptorProto{
			{Name: new("id"), Number: proto.Int32(1), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()},
			{Name: new("card"), Number: proto.Int32(2), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: new(".shop.Card")},
		}}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("Shop"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: new("Pay"), InputType: new(".shop.Card"), OutputType: new(".shop.Receipt")},
		}}},
	}}}
}

// Of a message whose file is missing nobody knows which of its bytes are the
// fields that must not be stored.
func TestMissingFilesLeakNoConfiguredField(t *testing.T) {
	for _, test := range []struct {
		name, more, answer string
		withheld           bool
	}{
		{"a field is configured", "capture: {redact: {fields: [shop.Card.number]}}\n", "\x0a\x02ab", true},
		{"none is", "", "\x0a\x02ab\x12\x03123", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := openSchemas(t, oneBackend(nobody, anyPort)+test.more)
			if err := s.cache.AddFileSet("b", partly(), decode.FromFiles); err != nil {
				t.Fatal(err)
			}
			request, response := s.rules("b", "/shop.Shop/Pay")
			if (request.Withhold != "") != test.withheld || response.Withhold != "" {
				t.Errorf("withheld: %q, %q", request.Withhold, response.Withhold)
			}
			answer := []byte("\x0a\x02ab\x12\x03123")
			if response.Body != nil {
				var err error
				if answer, _, err = response.Body.Apply("", false, answer); err != nil {
					t.Fatalf("redact the answer: %v", err)
				}
			}
			if string(answer) != test.answer {
				t.Errorf("stored as %q, want %q", answer, test.answer)
			}
		})
	}
}
