package decode

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Node is one field of a schemaless message, which is shown as an array of
// them. A last one without Field stands for bytes that are no field.
type Node struct {
	Field int32  `json:"field,omitempty"`
	Wire  string `json:"wire,omitempty"` // varint, fixed32, fixed64, bytes or group
	// What the value is taken for: number, message, text or bytes. A guess.
	Guess string `json:"guess,omitempty"`
	// Decimal text of a number or of fixed bits; text as it is; base64 of
	// bytes; an array of Nodes for a message.
	Value json.RawMessage `json:"value,omitempty"`
	// The other readings of a number: negative, zigzag (signed), as float.
	Signed string `json:"signed,omitempty"`
	Zigzag string `json:"zigzag,omitempty"`
	Float  string `json:"float,omitempty"`
	// Why the bytes are no field.
	Error string `json:"error,omitempty"`
}

// maxGuessDepth bounds guesses within guesses: random bytes nest some levels
// deep, real messages seldom more than ten.
const maxGuessDepth = 64

// maxGuessedText bounds the search for bytes that are no text.
const maxGuessedText = 4 << 20

// Schemaless shows any bytes as a tree of Nodes.
func (d *Decoder) Schemaless(data []byte) json.RawMessage {
	var res Result
	d.schemaless(&res, data)
	return res.JSON
}

func (d *Decoder) schemaless(res *Result, data []byte) {
	t := tree{limits: d.limits, fields: d.limits.Fields}
	t.message(data, 0)
	res.JSON = t.out
	if t.limit != "" {
		res.cut(true, t.limit)
	} else if t.bad != "" && !res.Truncated {
		res.problem(t.bad)
	}
}

// tree writes Nodes.
type tree struct {
	limits Limits
	out    []byte
	fields int    // that may still come
	bad    string // what is no field, and where
	limit  string // the limit that was hit
}

func (t *tree) message(data []byte, depth int) {
	t.out = append(t.out, '[')
	for at := 0; at < len(data); {
		if at > 0 {
			t.out = append(t.out, ',')
		}
		if t.fields--; t.fields < 0 || len(t.out) >= t.limits.Output {
			t.limit = "only the first fields of the message are shown: it has too many, or they are too long"
			t.node(Node{Error: t.limit})
			break
		}
		number, wire, size := protowire.ConsumeTag(data[at:])
		length := -1
		if size >= 0 && wire != protowire.EndGroupType {
			length = protowire.ConsumeFieldValue(number, wire, data[at+size:])
		}
		if length < 0 {
			t.rest(data[at:], at)
			break
		}
		t.field(number, wire, data[at+size:at+size+length], depth)
		at += size + length
	}
	t.out = append(t.out, ']')
}

func (t *tree) node(n Node) {
	b, err := json.Marshal(n)
	if err != nil {
		b = []byte(`{"error":"the field cannot be shown"}`)
	}
	t.out = append(t.out, b...)
}

// rest writes the bytes that are no field: where the message was cut, or all
// of what is no protobuf.
func (t *tree) rest(data []byte, at int) {
	t.bad = "byte " + strconv.Itoa(at) + " begins no field that ends within the message"
	t.node(Node{Guess: "bytes", Value: t.base64(data), Error: t.bad})
}

func (t *tree) base64(b []byte) json.RawMessage {
	if room := max(t.limits.Output-len(t.out), 0) / 4 * 3; len(b) > room {
		b = b[:room]
		t.limit = "the bytes are too long to be shown whole"
	}
	out := append(make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2), '"')
	return append(base64.StdEncoding.AppendEncode(out, b), '"')
}

func (t *tree) field(number protowire.Number, wire protowire.Type, value []byte, depth int) {
	n := Node{Field: int32(number), Wire: wireName(wire), Guess: "number"}
	switch wire {
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(value)
		n.Value = jsonOf(strconv.FormatUint(v, 10))
		if v > math.MaxInt64 {
			n.Signed = strconv.FormatInt(int64(v), 10)
		}
		if v > 1 {
			n.Zigzag = strconv.FormatInt(protowire.DecodeZigZag(v), 10)
		}
	case protowire.Fixed32Type:
		v, _ := protowire.ConsumeFixed32(value)
		n.Value = jsonOf(strconv.FormatUint(uint64(v), 10))
		n.Float = strconv.FormatFloat(float64(math.Float32frombits(v)), 'g', -1, 32)
		if v > math.MaxInt32 {
			n.Signed = strconv.FormatInt(int64(int32(v)), 10)
		}
	case protowire.Fixed64Type:
		v, _ := protowire.ConsumeFixed64(value)
		n.Value = jsonOf(strconv.FormatUint(v, 10))
		n.Float = strconv.FormatFloat(math.Float64frombits(v), 'g', -1, 64)
		if v > math.MaxInt64 {
			n.Signed = strconv.FormatInt(int64(v), 10)
		}
	case protowire.StartGroupType:
		body, _ := protowire.ConsumeGroup(number, value)
		t.nested(n, body, depth)
		return
	default:
		body, _ := protowire.ConsumeBytes(value)
		switch {
		case isText(body) && len(body) <= max(t.limits.Output-len(t.out), 0):
			n.Guess, n.Value = "text", jsonOf(string(body))
		case depth < maxGuessDepth && isMessage(body):
			t.nested(n, body, depth)
			return
		default:
			n.Guess, n.Value = "bytes", t.base64(body)
		}
	}
	t.node(n)
}

// nested writes a node whose value is a message.
func (t *tree) nested(n Node, body []byte, depth int) {
	if depth >= maxGuessDepth {
		n.Guess, n.Value = "bytes", t.base64(body)
		t.node(n)
		return
	}
	t.out = append(t.out, `{"field":`...)
	t.out = strconv.AppendInt(t.out, int64(n.Field), 10)
	t.out = append(t.out, `,"wire":"`+n.Wire+`","guess":"message","value":`...)
	t.message(body, depth+1)
	t.out = append(t.out, '}')
}

// isText says that a person can read it.
func isText(b []byte) bool {
	if len(b) > maxGuessedText || !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if r == utf8.RuneError || !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
	}
	return true
}

// isMessage says that the bytes are fields to their end.
func isMessage(b []byte) bool {
	for len(b) > 0 {
		_, wire, n := protowire.ConsumeField(b)
		if n < 0 || wire == protowire.EndGroupType {
			return false
		}
		b = b[n:]
	}
	return true
}
