package h2

import (
	"strings"
	"testing"
)

// kv makes fields of names and values that take turns.
func kv(kv ...string) []Field {
	var fields []Field
	for i := 0; i < len(kv); i += 2 {
		fields = append(fields, Field{Name: kv[i], Value: kv[i+1]})
	}
	return fields
}

func request(more ...string) []Field {
	return append(kv(":method", "POST", ":scheme", "http", ":path", "/s/m", ":authority", "a"), kv(more...)...)
}

func response(more ...string) []Field { return append(kv(":status", "200"), kv(more...)...) }

func TestRequests(t *testing.T) {
	tests := []struct {
		name   string
		fields []Field
		length int64
		bad    bool
	}{
		{"whole", request("content-type", "application/grpc", "te", "trailers"), -1, false},
		{"without authority", kv(":method", "POST", ":scheme", "http", ":path", "/"), -1, false},
		{"any order", kv(":path", "/", ":scheme", "http", ":method", "POST"), -1, false},
		{"content-length", request("content-length", "12"), 12, false},
		{"the same content-length twice", request("content-length", "12", "content-length", "12"), 12, false},
		{"a content-length of zeros", request("content-length", "000"), 0, false},
		{"the longest content-length", request("content-length", strings.Repeat("9", 18)), 999999999999999999, false},
		{"an empty value", request("x", ""), -1, false},
		{"any bytes in a value", request("x", "\x01\x7f\xff\t."), -1, false},
		{"odd names", request("!#$%&'*+-.^_`|~09az", "1", "a\"(),/;<=>?@[\\]{}", "1"), -1, false},

		{"nothing", nil, -1, true},
		{"no method", kv(":scheme", "http", ":path", "/"), -1, true},
		{"no scheme", kv(":method", "POST", ":path", "/"), -1, true},
		{"no path", kv(":method", "POST", ":scheme", "http"), -1, true},
		{"an empty path", kv(":method", "POST", ":scheme", "http", ":path", ""), -1, true},
		{"CONNECT", kv(":method", "CONNECT", ":authority", "a"), -1, true},
		{"two methods", append(request(), kv(":method", "POST")...), -1, true},
		{"two paths", append(kv(":path", "/"), request()...), -1, true},
		{"a status", append(kv(":status", "200"), request()...), -1, true},
		{"an unknown pseudo-header", append(kv(":protocol", "websocket"), request()...), -1, true},
		{"a colon and nothing else", append(kv(":", ""), request()...), -1, true},
		{"pseudo-header after a field", kv(":method", "POST", "x", "1", ":scheme", "http", ":path", "/"), -1, true},
		{"pseudo-header with a bad value", kv(":method", "POST", ":scheme", "http", ":path", "/\r\nx: y"), -1, true},

		{"upper case", request("X-A", "1"), -1, true},
		{"an empty name", request("", "1"), -1, true},
		{"a space in a name", request("x a", "1"), -1, true},
		{"a colon in a name", request("x:a", "1"), -1, true},
		{"a control character in a name", request("x\x1f", "1"), -1, true},
		{"DEL in a name", request("x\x7f", "1"), -1, true},
		{"beyond ASCII in a name", request("x\x80", "1"), -1, true},
		{"NUL in a value", request("x", "a\x00b"), -1, true},
		{"LF in a value", request("x", "a\nb"), -1, true},
		{"CR in a value", request("x", "a\rb"), -1, true},
		{"space before a value", request("x", " a"), -1, true},
		{"tab behind a value", request("x", "a\t"), -1, true},
		{"space for a value", request("x", " "), -1, true},

		{"connection", request("connection", "close"), -1, true},
		{"keep-alive", request("keep-alive", "1"), -1, true},
		{"proxy-connection", request("proxy-connection", "close"), -1, true},
		{"transfer-encoding", request("transfer-encoding", "chunked"), -1, true},
		{"upgrade", request("upgrade", "h2c"), -1, true},
		{"te gzip", request("te", "gzip"), -1, true},
		{"te trailers and more", request("te", "trailers, gzip"), -1, true},
		{"no number", request("content-length", "1x"), -1, true},
		{"an empty content-length", request("content-length", ""), -1, true},
		{"below zero", request("content-length", "-1"), -1, true},
		{"plus", request("content-length", "+1"), -1, true},
		{"a list", request("content-length", "1, 1"), -1, true},
		{"too long a content-length", request("content-length", strings.Repeat("9", 19)), -1, true},
		{"two that differ", request("content-length", "1", "content-length", "2"), -1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			length, fault := checkRequest(tt.fields)
			switch {
			case (fault != "") != tt.bad:
				t.Errorf("fault %q, want one: %v", fault, tt.bad)
			case fault == "" && length != tt.length:
				t.Errorf("content-length %d, want %d", length, tt.length)
			}
		})
	}
}

func TestResponses(t *testing.T) {
	tests := []struct {
		name    string
		fields  []Field
		interim bool
		length  int64
		bad     bool
	}{
		{"200", response(), false, -1, false},
		{"999", kv(":status", "999"), false, -1, false},
		{"interim", kv(":status", "103", "link", "x"), true, -1, false},
		{"content-length", response("content-length", "7"), false, 7, false},

		{"nothing", nil, false, -1, true},
		{"no status", kv("x", "1"), false, -1, true},
		{"an empty status", kv(":status", ""), false, -1, true},
		{"two digits", kv(":status", "20"), false, -1, true},
		{"four digits", kv(":status", "2000"), false, -1, true},
		{"below 100", kv(":status", "099"), false, -1, true},
		{"letters", kv(":status", "2xx"), false, -1, true},
		{"two", append(response(), kv(":status", "200")...), false, -1, true},
		{"behind a field", kv("x", "1", ":status", "200"), false, -1, true},
		{"that of a request", append(response(), kv(":path", "/")...), false, -1, true},
		{"connection", response("connection", "close"), false, -1, true},
		{"upper case", response("X", ""), false, -1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			interim, length, fault := checkResponse(tt.fields)
			switch {
			case (fault != "") != tt.bad:
				t.Errorf("fault %q, want one: %v", fault, tt.bad)
			case fault == "" && (interim != tt.interim || length != tt.length):
				t.Errorf("interim %v, content-length %d; want %v, %d", interim, length, tt.interim, tt.length)
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	tests := []struct {
		name   string
		fields []Field
		bad    bool
	}{
		{"none", nil, false},
		{"status", kv("grpc-status", "0", "grpc-message", ""), false},
		{"a pseudo-header", kv(":status", "200"), true},
		{"an unknown one", kv(":x", "200"), true},
		{"connection", kv("connection", "close"), true},
		{"a bad value", kv("grpc-message", "a\nb"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if fault := checkTrailers(tt.fields); (fault != "") != tt.bad {
				t.Errorf("fault %q, want one: %v", fault, tt.bad)
			}
		})
	}
}

// A block that comes again, as another kind of block, is judged anew.
func TestVerdictIsOfItsKind(t *testing.T) {
	h := &headerBlock{fields: kv("grpc-status", "0"), length: -1}
	for range 2 {
		if h.check(checkedTrailers); h.fault != "" {
			t.Errorf("trailers: %s", h.fault)
		}
		if h.check(checkedRequest); h.fault == "" {
			t.Error("trailers pass for a request")
		}
		if h.check(checkedResponse); h.fault == "" {
			t.Error("trailers pass for a response")
		}
	}
	h = &headerBlock{fields: kv(":status", "100"), length: -1}
	for range 2 {
		if h.check(checkedResponse); h.fault != "" || !h.interim {
			t.Errorf("interim %v, fault %q", h.interim, h.fault)
		}
		if h.check(checkedTrailers); h.fault == "" {
			t.Error("a response passes for trailers")
		}
	}
}
