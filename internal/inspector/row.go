package inspector

import (
	"encoding/json"
	"strconv"

	loomv1 "loom/api/loom/v1"
)

// appendRow appends the protojson of a summary. It is written by hand because
// a page gets thousands a second of them, and protojson takes seven times as
// long.
func appendRow(to []byte, s *loomv1.CallSummary) []byte {
	to = append(to, `{"id":`...)
	to = appendText(to, s.GetId())
	to = appendNumber(to, "at", s.GetAt())
	to = appendField(to, "path", s.GetPath())
	to = appendField(to, "route", s.GetRoute())
	to = appendField(to, "backend", s.GetBackend())
	to = appendField(to, "endpoint", s.GetEndpoint())
	to = appendField(to, "peer", s.GetPeer())
	if s.GetKind() != 0 {
		to = appendField(to, "kind", s.GetKind().String())
	}
	if s.GetState() != 0 {
		to = appendField(to, "state", s.GetState().String())
	}
	if s.Code != nil {
		to = append(to, `,"code":`...)
		to = strconv.AppendUint(to, uint64(s.GetCode()), 10)
	}
	if s.GetBy() != 0 {
		to = appendField(to, "by", s.GetBy().String())
	}
	to = appendField(to, "reason", s.GetReason())
	to = appendNumber(to, "took", s.GetTook())
	to = appendNumber(to, "timeout", s.GetTimeout())
	to = appendNumber(to, "up", int64(s.GetUp()))
	to = appendNumber(to, "down", int64(s.GetDown()))
	to = appendNumber(to, "upBytes", int64(s.GetUpBytes()))
	to = appendNumber(to, "downBytes", int64(s.GetDownBytes()))
	if s.GetAttempts() != 0 {
		to = append(to, `,"attempts":`...)
		to = strconv.AppendUint(to, uint64(s.GetAttempts()), 10)
	}
	to = appendField(to, "replayOf", s.GetReplayOf())
	if s.GetCut() {
		to = append(to, `,"cut":true`...)
	}
	if s.GetDrift() {
		to = append(to, `,"drift":true`...)
	}
	to = appendField(to, "trace", s.GetTrace())
	to = appendNumber(to, "revision", int64(s.GetRevision()))
	return append(to, '}')
}

// appendRows appends a JSON array.
func appendRows(to []byte, rows []*loomv1.CallSummary) []byte {
	to = append(to, '[')
	for i, row := range rows {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendRow(to, row)
	}
	return append(to, ']')
}

func appendField(to []byte, name, value string) []byte {
	if value == "" {
		return to
	}
	to = append(to, ',', '"')
	to = append(to, name...)
	to = append(to, '"', ':')
	return appendText(to, value)
}

// appendNumber appends what protojson writes as text: a number of 64 bits.
func appendNumber(to []byte, name string, value int64) []byte {
	if value == 0 {
		return to
	}
	to = append(to, ',', '"')
	to = append(to, name...)
	to = append(to, '"', ':', '"')
	to = strconv.AppendInt(to, value, 10)
	return append(to, '"')
}

func appendText(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(to, `""`...) // never: text always encodes
			}
			return append(to, quoted...)
		}
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}
