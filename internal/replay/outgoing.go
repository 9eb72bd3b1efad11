package replay

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"

	loomv1 "loom/api/loom/v1"
)

// binarySuffix is how names of metadata end whose values are bytes.
const binarySuffix = "-bin"

// Reserved tells names that belong to the transport, or to Do: they are not
// sent from Request.Metadata.
func Reserved(name string) bool {
	switch name {
	case "te", "content-type", "content-length", "user-agent", "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", Link:
		return true
	}
	return strings.HasPrefix(name, ":") || strings.HasPrefix(name, "grpc-")
}

// outgoing returns the metadata to send.
func (q *Request) outgoing() (metadata.MD, error) {
	if !strings.HasPrefix(q.Path, "/") {
		return nil, fmt.Errorf("replay: the path %q does not begin with /", q.Path)
	}
	md := metadata.MD{}
	for _, m := range q.Metadata {
		name := strings.ToLower(m.GetName())
		if Reserved(name) || m.GetRedacted() {
			continue
		}
		values, err := values(name, m)
		if err != nil {
			return nil, fmt.Errorf("replay: metadata %q: %w", name, err)
		}
		md.Append(name, values...)
	}
	if q.ReplayOf != "" {
		md.Set(Link, q.ReplayOf)
	}
	return md, nil
}

// values returns what grpc-go is to be given: bytes for a name that ends in
// -bin, of which several may stand in one field, with commas between them.
func values(name string, m *loomv1.Metadata) ([]string, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	text := m.GetText()
	if b, ok := m.GetContent().(*loomv1.Metadata_Binary); ok {
		if strings.HasSuffix(name, binarySuffix) {
			return []string{string(b.Binary)}, nil
		}
		text = string(b.Binary)
	}
	if !strings.HasSuffix(name, binarySuffix) {
		return []string{text}, checkValue(text)
	}
	var values []string
	for part := range strings.SplitSeq(text, ",") {
		// Padded or not, with blanks around: both are seen on the wire.
		part = strings.TrimRight(strings.TrimSpace(part), "=")
		data, err := base64.RawStdEncoding.DecodeString(part)
		if err != nil {
			return nil, errors.New("the value is not base64, as names ending in -bin want it")
		}
		values = append(values, string(data))
	}
	return values, nil
}

func checkName(name string) error {
	if name == "" {
		return errors.New("the name is empty")
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return errors.New("a name has letters, digits, '-', '_' and '.' only")
		}
	}
	return nil
}

func checkValue(value string) error {
	for _, c := range []byte(value) {
		if c < 0x20 || c > 0x7e {
			return errors.New("the value is not printable ASCII; a name ending in -bin may have any bytes")
		}
	}
	return nil
}

// subtype returns what stands behind application/grpc+ in the content-type, so
// that a server with several codecs picks the same one.
func (q *Request) subtype() string {
	for _, m := range q.Metadata {
		if m.GetName() != "content-type" {
			continue
		}
		if s, ok := strings.CutPrefix(strings.ToLower(m.GetText()), "application/grpc+"); ok && checkName(s) == nil {
			return s
		}
	}
	return ""
}
