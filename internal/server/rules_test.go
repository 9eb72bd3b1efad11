package server

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"

	"loom/internal/capture"
	"loom/internal/decode"
)

const secret = "ada@acme.test"

// usersFiles describes acme.Users/Get, from acme.User{name, email} to acme.Done{}.
func usersFiles() *descriptorpb.FileDescriptorSet {
	field := func(name string, number int32) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &number, Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: new("acme/users.proto"), Package: new("acme"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: new("User"), Field: []*descriptorpb.FieldDescriptorProto{field("name", 1), field("email", 2)}},
			{Name: new("Done")},
		},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("Users"), Method: []*descriptorpb.MethodDescriptorProto{{Name: new("Get"), InputType: new(".acme.User"), OutputType: new(".acme.Done")}},
		}},
	}}}
}

// user is an acme.User on the wire.
func user() []byte {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "Ada")
	return protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), secret)
}

// knowing returns schemas that know acme.Users of backend b.
func knowing(t *testing.T, more string) *schemas {
	t.Helper()
	s := openSchemas(t, oneBackend(nobody, anyPort)+more)
	if err := s.cache.AddFileSet("b", usersFiles(), decode.FromFiles); err != nil {
		t.Fatal(err)
	}
	return s
}

const redactEmail = "capture: {redact: {fields: [acme.User.email]}}\n"

// TestRules wants nothing stored that may be secret, and the rest stored.
func TestRules(t *testing.T) {
	for _, test := range []struct {
		name, config, path string
		withheld, plan     bool
	}{
		{"nothing is secret", "", "/acme.Users/Get", false, false},
		{"nothing is secret, type unknown", "", "/acme.Other/Get", false, false},
		{"a field is", redactEmail, "/acme.Users/Get", false, true},
		{"a field is, of another type", "capture: {redact: {fields: [acme.Card.number]}}\n", "/acme.Users/Get", false, false},
		{"a field is, type unknown", redactEmail, "/acme.Other/Get", true, false},
		{"a field is, method unknown", redactEmail, "/acme.Users/Gone", true, false},
		{"a field is, odd path", redactEmail, "odd", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			request, response := knowing(t, test.config).rules("b", test.path)
			for name, rule := range map[string]capture.Rule{"requests": request, "responses": response} {
				if (rule.Withhold != "") != test.withheld {
					t.Errorf("%s are withheld: %q", name, rule.Withhold)
				}
			}
			if (request.Body != nil) != test.plan || response.Body != nil {
				t.Fatalf("requests are redacted by %v, responses by %v", request.Body, response.Body)
			}
			if !test.plan {
				return
			}
			out, changed, err := request.Body.Apply("", false, user())
			if err != nil || !changed || bytes.Contains(out, []byte(secret)) || !bytes.Contains(out, []byte("Ada")) {
				t.Errorf("%q is left, changed %v, error %v", out, changed, err)
			}
		})
	}
}

// TestSchemasOfStranger asks about a backend that the configuration does not have.
func TestSchemasOfStranger(t *testing.T) {
	s := knowing(t, redactEmail)
	if _, _, err := s.dial(t.Context(), "stranger"); err == nil {
		t.Error("a connection to a backend that is not there")
	}
	if md, files := s.metadata("stranger"), s.files("stranger"); len(md) != 0 || len(files) != 0 {
		t.Errorf("metadata %v, files %v", md, files)
	}
	if request, _ := s.rules("stranger", "/acme.Users/Get"); request.Withhold == "" {
		t.Error("messages of a stranger are stored")
	}
}
