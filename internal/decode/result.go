package decode

import (
	"encoding/json"
	"fmt"

	loomv1 "loom/api/loom/v1"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Result is a message as it is shown.
type Result struct {
	// protojson, or the tree of a schemaless message (see Node). nil if
	// nothing of it can be read.
	JSON    json.RawMessage `json:"json,omitempty"`
	Source  Source          `json:"-"`
	Type    string          `json:"type,omitempty"` // full name; empty if schemaless
	Size    int             `json:"size"`           // bytes on the wire
	Decoded int             `json:"decoded"`        // bytes after decompression
	// Of a compressed message.
	Encoding string `json:"encoding,omitempty"`
	// Fields that the descriptors do not have: schema drift.
	Unknown []UnknownField `json:"unknown,omitempty"`
	// JSON holds less than was sent: the message was captured in part, or a
	// limit was hit.
	Truncated bool `json:"truncated,omitempty"`
	// What could not be decoded, and where, in one sentence. Never empty if
	// JSON is nil.
	Err string `json:"err,omitempty"`
}

// UnknownField is a field that a descriptor does not have.
type UnknownField struct {
	Path   string `json:"path"` // of the message that has it, such as /order/items/0
	Number int32  `json:"number"`
	Wire   string `json:"wire"` // varint, fixed32, fixed64, bytes or group
}

// Message decodes one captured message of the method; with a nil method,
// schemaless. encoding is that of the message's direction (grpc-encoding).
func (d *Decoder) Message(m *Method, dir loomv1.Direction, encoding string, msg *loomv1.Message) Result {
	res := Result{Source: Schemaless, Size: int(msg.GetSize()), Truncated: msg.GetTruncated()}
	data := msg.GetData()
	if res.Size == 0 {
		res.Size = len(data)
	}
	if w := msg.GetWithheld(); w != "" {
		res.Err = "the message was not recorded: " + w
		return res
	}
	if msg.GetCompressed() {
		res.Encoding = encoding
		if len(data) > 0 {
			out, whole, err := d.inflater.inflate(encoding, data, d.limits.Decoded)
			if err != nil {
				res.Err = err.Error()
				return res
			}
			res.cut(!whole, "the compressed message ends early")
			data = out
		}
	}
	res.Decoded = len(data)
	if len(data) > d.limits.Decoded {
		data = data[:d.limits.Decoded]
		res.cut(true, fmt.Sprintf("only the first %d bytes are decoded", len(data)))
	}
	desc := m.message(dir)
	if desc == nil {
		d.schemaless(&res, data)
		return res
	}
	res.Source = m.Source
	d.typed(&res, desc, m.Types, data)
	return res
}

// message is the type of the messages that go this way; nil if not known.
func (m *Method) message(dir loomv1.Direction) protoreflect.MessageDescriptor {
	if m == nil || m.Desc == nil {
		return nil
	}
	desc := m.Desc.Output()
	if dir == loomv1.Direction_DIRECTION_REQUEST {
		desc = m.Desc.Input()
	}
	if desc == nil || desc.IsPlaceholder() {
		return nil // its file is missing
	}
	return desc
}

// cut notes that something is missing, unless the record said so already.
func (r *Result) cut(is bool, why string) {
	if !is {
		return
	}
	if !r.Truncated {
		r.problem(why)
	}
	r.Truncated = true
}

// problem notes what went wrong first: what follows is often the same.
func (r *Result) problem(text string) {
	if r.Err == "" {
		r.Err = text
	}
}

// typed decodes data as a message of desc.
func (d *Decoder) typed(res *Result, desc protoreflect.MessageDescriptor, types Resolver, data []byte) {
	res.Type = string(desc.FullName())
	r := resolverOf(desc, types)
	if p := d.redactor.Load().PlanWith(desc, types); p != nil {
		// Again, although messages are redacted before they are stored: the
		// type may have been unknown then, and older records stay.
		out, cut := p.plain(data)
		res.cut(cut, "the message ends inside a field")
		data = out
	}
	w := &writer{limits: d.limits, types: r, res: res}
	w.root(desc, data)
	res.JSON = w.out
}

// Status decodes a google.rpc.Status, as in grpc-status-details-bin. Details
// of unknown type are shown schemaless. The text says what could not be read;
// the JSON is nil only if nothing could.
func (d *Decoder) Status(details []byte, types Resolver) (json.RawMessage, string) {
	var res Result
	if len(details) > d.limits.Decoded {
		details = details[:d.limits.Decoded]
		res.cut(true, fmt.Sprintf("only the first %d bytes are decoded", len(details)))
	}
	d.typed(&res, (&rpcstatus.Status{}).ProtoReflect().Descriptor(), types, details)
	return res.JSON, res.Err
}

// unmarshal makes a message of what repair has made safe.
func unmarshal(desc protoreflect.MessageDescriptor, r resolver, data []byte, depth int) (protoreflect.Message, error) {
	m := dynamicpb.NewMessage(desc)
	// repair counts messages; well-known types are marshalled with some more.
	err := proto.UnmarshalOptions{AllowPartial: true, Resolver: r, RecursionLimit: depth + 10}.Unmarshal(data, m)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", desc.FullName(), err)
	}
	return m, nil
}
