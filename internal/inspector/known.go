package inspector

import (
	"context"
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
)

// schemaWait is how long a person waits for a backend's descriptors before a
// message is shown without them; the fetch goes on behind.
const schemaWait = 3 * time.Second

// known is what there is to decode a call with.
type known struct {
	method  *decode.Method // nil: schemaless
	problem string         // why there is no method
}

func (s *Records) known(ctx context.Context, c *loomv1.Call) known {
	if c.GetBackend() == "" {
		return known{problem: "the call went to no backend, so nobody knows its messages"}
	}
	ctx, stop := context.WithTimeout(ctx, schemaWait)
	defer stop()
	m, err := s.opts.Schemas.Method(ctx, c.GetBackend(), c.GetPath())
	if err != nil {
		return known{problem: err.Error()}
	}
	return known{method: m}
}

// types resolves what messages only name; nil if nothing is known.
func (s *Records) types(c *loomv1.Call, k known) decode.Resolver {
	if k.method != nil && k.method.Types != nil {
		return k.method.Types
	}
	return s.opts.Schemas.Types(c.GetBackend())
}

// encodingOf returns the grpc-encoding of the messages that go one way.
func encodingOf(c *loomv1.Call, d loomv1.Direction) string {
	fields := c.GetResponseHeaders()
	if d == loomv1.Direction_DIRECTION_REQUEST {
		fields = c.GetRequestHeaders()
	}
	for _, f := range fields {
		if f.GetName() == "grpc-encoding" {
			return f.GetText()
		}
	}
	return ""
}

// metadataText is the value as text: that of a -bin key in base64 as it came.
func metadataText(m *loomv1.Metadata) string {
	if b, ok := m.GetContent().(*loomv1.Metadata_Binary); ok {
		return base64.StdEncoding.EncodeToString(b.Binary)
	}
	return m.GetText()
}

// metadataView is one header field as the page shows it.
type metadataView struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Binary   bool   `json:"binary,omitempty"`   // value is base64
	Decoded  string `json:"decoded,omitempty"`  // what the base64 says, if it is text
	Secret   bool   `json:"secret,omitempty"`   // a credential by its name: masked until asked for
	Redacted bool   `json:"redacted,omitempty"` // the value was not stored
}

func metadataViews(fields []*loomv1.Metadata) []metadataView {
	out := make([]metadataView, len(fields))
	for i, m := range fields {
		v := metadataView{
			Name: m.GetName(), Value: metadataText(m), Redacted: m.GetRedacted(),
			Secret: secret(m.GetName()),
		}
		if _, v.Binary = m.GetContent().(*loomv1.Metadata_Binary); !v.Binary && strings.HasSuffix(v.Name, "-bin") {
			v.Binary = true
			if b, ok := decode.BinaryMetadata(v.Value); ok && len(b) > 0 && utf8.Valid(b) {
				v.Decoded = string(b)
			}
		}
		out[i] = v
	}
	return out
}

// secret tells credentials by the names that they usually have.
func secret(name string) bool {
	switch name {
	case "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key":
		return true
	}
	return strings.Contains(name, "token") || strings.Contains(name, "secret") || strings.Contains(name, "password")
}
