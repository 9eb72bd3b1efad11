package export

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	loomv1 "loom/api/loom/v1"
)

// archive reads back what HAR writes as any reader of JSON would.
func archive(t *testing.T, calls ...*loomv1.Call) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	if err := HAR(&out, slices.Values(calls)); err != nil {
		t.Fatal(err)
	}
	var file struct {
		Log struct {
			Version string `json:"version"`
			Creator struct {
				Name    string `json:"name"`
				Version string `json:"version"`
			} `json:"creator"`
			Entries []map[string]any `json:"entries"`
		} `json:"log"`
	}
	if err := json.Unmarshal(out.Bytes(), &file); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	if file.Log.Version != "1.2" || file.Log.Creator.Name == "" || file.Log.Creator.Version == "" || len(file.Log.Entries) != len(calls) {
		t.Fatalf("got %s", out.Bytes())
	}
	return file.Log.Entries
}

// at returns what stands under a path such as request.headers.
func at(t *testing.T, entry map[string]any, path string) any {
	t.Helper()
	var value any = entry
	for name := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("%s: %v is no object", path, value)
		}
		value = object[name]
	}
	return value
}

func TestHARHasWhatTheSpecificationWants(t *testing.T) {
	for _, c := range []*loomv1.Call{failedCall(), openCall(), {}} {
		entry := archive(t, c)[0]
		for _, path := range []string{
			"startedDateTime", "time", "cache", "timings.send", "timings.wait", "timings.receive",
			"request.method", "request.url", "request.httpVersion", "request.cookies", "request.headers", "request.queryString", "request.headersSize", "request.bodySize",
			"response.status", "response.statusText", "response.httpVersion", "response.cookies", "response.headers", "response.redirectURL", "response.headersSize", "response.bodySize",
			"response.content.size", "response.content.mimeType",
		} {
			if at(t, entry, path) == nil {
				t.Errorf("call %q: no %s", c.GetId(), path)
			}
		}
		sum := 0.0
		for _, name := range []string{"send", "wait", "receive"} {
			part := at(t, entry, "timings."+name).(float64)
			if part < 0 {
				t.Errorf("call %q: %s takes %v", c.GetId(), name, part)
			}
			sum += part
		}
		if total := at(t, entry, "time").(float64); math.Abs(total-sum) > 1e-6 {
			t.Errorf("call %q: time %v, timings %v", c.GetId(), total, sum)
		}
		if _, err := time.Parse(time.RFC3339Nano, at(t, entry, "startedDateTime").(string)); err != nil {
			t.Error(err)
		}
	}
}

func TestHAROfAFailedCall(t *testing.T) {
	entry := archive(t, openCall(), failedCall())[1]
	field := func(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }
	for path, want := range map[string]any{
		"startedDateTime":             "2026-05-01T10:20:30.123456Z",
		"request.method":              "POST",
		"request.url":                 "https://shop.example:443/shop.Orders/Watch",
		"request.httpVersion":         "HTTP/2",
		"request.postData.mimeType":   "application/grpc+proto",
		"request.postData.text":       base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x00\x03abc")),
		"request.postData._encoding":  "base64",
		"response.status":             200.0,
		"response.content.text":       base64.StdEncoding.EncodeToString([]byte("\x01\x00\x00\x00\x02\xff\x00" + "\x00\x00\x00\x00\x03cut")),
		"response.content.encoding":   "base64",
		"response.content.comment":    "message 12: the first 3 of 900 bytes; message 13: withheld: it may hold what is redacted; 10 messages were not recorded",
		"response.bodySize":           2000.0,
		"response._trailers":          []any{field("grpc-status", "5")},
		"comment":                     "grpc-status 5 NOT_FOUND: no order ö",
		"serverIPAddress":             "127.0.0.1",
		"timings.send":                2.0,
		"timings.wait":                8.0,
		"timings.receive":             40.0,
		"_id":                         "8f-7",
		"_backend":                    "shop",
		"_route":                      "orders",
		"response.content.mimeType":   "application/grpc",
		"request.postData.unexpected": nil,
	} {
		if got := at(t, entry, path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	headers := at(t, entry, "request.headers").([]any)
	want := []any{
		field(":scheme", "https"), field("content-type", "application/grpc+proto"), field("x", "1"), field("x", "</script>\x1b\u202e\x00"),
		field("authorization", "[redacted]"),
		map[string]any{"name": "raw", "value": "/wA=", "comment": "base64 of a value that is not UTF-8"},
	}
	if !reflect.DeepEqual(headers, want) {
		t.Errorf("headers: got %v, want %v", headers, want)
	}
	if messages := at(t, entry, "_messages").([]any); len(messages) != 4 || !reflect.DeepEqual(messages[1], map[string]any{
		"type": "receive", "time": 11.0, "sequence": 1.0, "size": 2.0, "compressed": true,
	}) {
		t.Errorf("messages: %v", messages)
	}
}

func TestHARSaysHowACallEnded(t *testing.T) {
	ended := loomv1.CallState_CALL_STATE_ENDED
	for _, test := range []struct {
		call   *loomv1.Call
		want   string
		status float64
	}{
		{openCall(), "still open", 0},
		{&loomv1.Call{State: ended, Status: &loomv1.Status{}, EndedBy: loomv1.Ender_ENDER_BACKEND}, "grpc-status 0 OK", 200},
		{&loomv1.Call{State: ended, EndedBy: loomv1.Ender_ENDER_CLIENT_CANCEL}, "no grpc-status (ended by client cancel)", 0},
		{&loomv1.Call{State: ended, Status: &loomv1.Status{Code: 99}, EndedBy: loomv1.Ender_ENDER_LOOM}, "grpc-status 99 unknown code (ended by loom)", 200},
		{&loomv1.Call{State: ended, Status: &loomv1.Status{Code: 14}, Trailers: []*loomv1.Metadata{text(":status", "503")}}, "grpc-status 14 UNAVAILABLE", 503},
	} {
		entry := archive(t, test.call)[0]
		if got := at(t, entry, "comment"); got != test.want {
			t.Errorf("got %v, want %s", got, test.want)
		}
		if got := at(t, entry, "response.status"); got != test.status {
			t.Errorf("%s: status %v, want %v", test.want, got, test.status)
		}
	}
}
