package inspector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
	"loom/internal/export"
	"loom/internal/reflectcache"
)

func TestFilteredCalls(t *testing.T) {
	r := newRig(t, nil)
	r.add(r.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann <b>","age":"41"}`))
	r.add(r.aCall("7-2", `{"name":"bob"}`, `{"name":"Bob"}`))
	third := r.aCall("7-3", `{"name":"cay"}`, `{"name":"Cay"}`)
	third.Path, third.Status.Code = "/acme.Users/Other", 5
	r.add(third)
	for q, want := range map[string][]string{
		"":                         {"7-1", "7-2", "7-3"},
		"method:Get":               {"7-1", "7-2"},
		"body:ann":                 {"7-1"},
		`body:"<b>"`:               {"7-1"},
		"-body:ann method:Get":     {"7-2"},
		"md.x-tier:gold":           {"7-1", "7-2", "7-3"},
		"md.x-tier:lead":           {},
		"body:nothing-has-this":    {},
		"body:bob OR method:Other": {"7-2", "7-3"},
	} {
		var got struct{ IDs []string }
		r.get("/api/match?q=" + url.QueryEscape(q)).want(200).into(&got)
		slices.Sort(got.IDs)
		if !slices.Equal(got.IDs, want) {
			t.Errorf("%q matches %v, want %v", q, got.IDs, want)
		}
		var list struct{ Calls []struct{ ID string } }
		r.get("/api/calls?q=" + url.QueryEscape(q)).want(200).into(&list)
		if len(list.Calls) != len(want) {
			t.Errorf("%q lists %v, want %v", q, list.Calls, want)
		}
	}
	for _, path := range []string{"/api/match?q=" + url.QueryEscape("("), "/api/calls?limit=0", "/api/calls?limit=x"} {
		r.get(path).want(http.StatusBadRequest).problem()
	}
	var list struct{ Calls []struct{ ID string } }
	r.get("/api/calls?limit=1").want(200).into(&list)
	if len(list.Calls) != 1 {
		t.Errorf("limit=1 lists %v", list.Calls)
	}
}

// TestFilterIsBounded judges bodies of a backend whose reflection hangs.
func TestFilterIsBounded(t *testing.T) {
	r := newRig(t, nil)
	r.add(r.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann"}`))
	r.add(r.aCall("7-2", `{"name":"bob"}`, `{"name":"Bob"}`))
	r.schemas.hangs = true
	began := time.Now()
	var got struct {
		IDs     []string
		Partial bool
	}
	r.get("/api/match?q=body:ann").want(200).into(&got)
	if took := time.Since(began); took > 2*judging || !got.Partial {
		t.Errorf("took %v, partial %t", took, got.Partial)
	}
	r.get("/api/export?format=ndjson&q=body:ann").want(409).problem()
}

func TestTooManyRequests(t *testing.T) {
	r := newRig(t, nil)
	r.get("/").want(200)
	for range maxRequests {
		r.server.requests <- struct{}{}
	}
	got := r.get("/api/session").want(http.StatusServiceUnavailable)
	if got.problem() == "" || got.header.Get("Retry-After") == "" || got.header.Get("Content-Security-Policy") == "" {
		t.Errorf("%s, %v", got.body, got.header)
	}
	for range maxRequests {
		<-r.server.requests
	}
	r.get("/api/session").want(200)
}

func TestDetail(t *testing.T) {
	r := newRig(t, nil)
	r.add(r.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann","age":"41"}`))
	var got struct {
		Call map[string]any
		View detailView
	}
	r.get("/api/calls/7-1").want(200).into(&got)
	v := got.View
	if v.Verdict != "The backend answered OK after 14 ms, with 1 message." || v.Source != "reflection" || len(v.Phases) != 4 {
		t.Errorf("verdict %q, source %s, phases %v", v.Verdict, v.Source, v.Phases)
	}
	if js := compact(t, v.Response.First.JSON); js != `{"name":"Ann","age":"41"}` {
		t.Errorf("response %s", js)
	}
	if v.Response.First.Type != "acme.User" || v.Response.First.Hex == "" || v.Response.First.At != 12000 || v.Response.First.Delta != 11000 {
		t.Errorf("response %+v", v.Response.First)
	}
	want := map[string]metadataView{
		"authorization": {Name: "authorization", Value: "Bearer s3cret", Secret: true},
		"x-trace-bin":   {Name: "x-trace-bin", Value: "aGVsbG8", Binary: true, Decoded: "hello"},
		"x-tier":        {Name: "x-tier", Value: "gold"},
	}
	for _, m := range v.Metadata.Request {
		if w, ok := want[m.Name]; ok && m != w {
			t.Errorf("metadata %+v, want %+v", m, w)
		}
	}
	if strings.Contains(fmt.Sprint(got.Call["messages"]), "data") {
		t.Error("the record holds the bytes of messages")
	}
	if v.Diff != nil || v.SchemaChange != "" || v.Replayable {
		t.Errorf("diff %v, change %q, replayable %t", v.Diff, v.SchemaChange, v.Replayable)
	}
	r.get("/api/calls/7-99").want(404).problem()
	r.get("/api/calls/nonsense").want(400).problem()
}

func TestSchemaDrift(t *testing.T) {
	r := newRig(t, nil)
	c := r.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann"}`)
	data := append(slices.Clone(c.GetMessages()[1].GetData()), 0x78, 1) // field 15
	c.Messages[1].Data, c.Messages[1].Size = data, uint64(len(data))
	r.add(c)
	r.schemas.changes = []reflectcache.Change{
		{Backend: "users", Method: "/acme.Users/Get", Time: c.GetStart().AsTime(), What: "changed"},
		{Backend: "users", Method: "/acme.Users/Other", Time: c.GetStart().AsTime().AddDate(1, 0, 0), What: "changed"},
	}
	var got struct{ View detailView }
	r.get("/api/calls/7-1").want(200).into(&got)
	if len(got.View.Drift) != 1 || got.View.Drift[0].Number != 15 {
		t.Errorf("drift %+v, want field 15", got.View.Drift)
	}
	if want := "schema changed at " + c.GetStart().AsTime().Format("15:04"); got.View.SchemaChange != want {
		t.Errorf("%q, want %q", got.View.SchemaChange, want)
	}
	if row := r.store.Summaries(0)[0]; !row.GetDrift() {
		t.Errorf("the row does not say so: %v", row)
	}
	r.schemas.down = true
	r.get("/api/calls/7-1").want(200).into(&got)
	if got.View.Source != "schemaless" || got.View.SchemaProblem == "" || got.View.Response.First.JSON == nil {
		t.Errorf("without reflection: %s, %q", got.View.Source, got.View.SchemaProblem)
	}
}

// A later message than those of the detail flags its call too, also where
// nothing can be changed.
func TestDriftOfALaterMessage(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ReadOnly = true })
	c := r.aCall("7-1", `{}`, `{}`)
	later := proto.CloneOf(c.GetMessages()[1])
	later.Data, later.Sequence = append(later.GetData(), 0x78, 1), 2 // field 15
	later.Size = uint64(len(later.GetData()))
	c.Messages = append(c.Messages, later)
	r.add(c)
	r.get("/api/calls/7-1").want(200)
	if r.store.Summaries(0)[0].GetDrift() {
		t.Error("the row says so although the first messages fit")
	}
	r.get("/api/calls/7-1/messages").want(200)
	if !r.store.Summaries(0)[0].GetDrift() {
		t.Error("the row does not say so")
	}
}

// TestHostilePayloads puts into every place what would run or mislead if it
// were anything but text, and reads it back unchanged as JSON or as a
// download.
func TestHostilePayloads(t *testing.T) {
	r := newRig(t, nil)
	for i, hostile := range []string{
		"</script><script>alert(1)</script>", "\x1b[2J\x1b]0;owned\x07", "\u202egnp.exe\u202c", "a\x00b",
		strings.Repeat("😀", 1<<18), "\r\ndata: x\r\n\r\nevent: calls\r\n", "\u2028\u2029", `"}],"calls":[{"id":"`,
	} {
		id := fmt.Sprintf("7-%d", i+1)
		js, err := json.Marshal(map[string]string{"name": hostile})
		if err != nil {
			t.Fatal(err)
		}
		c := r.aCall(id, string(js), string(js))
		c.Path, c.Peer = "/acme.Users/Get", hostile
		c.Status = &loomv1.Status{Code: 3, Message: hostile}
		c.RequestHeaders = append(c.RequestHeaders, text("x-hostile", hostile))
		r.add(c)

		got := r.get("/api/calls/" + id).want(200)
		safe(t, got)
		var detail struct {
			Call struct{ Peer string }
			View detailView
		}
		got.into(&detail)
		if detail.Call.Peer != hostile {
			t.Errorf("peer %.40q, want %.40q", detail.Call.Peer, hostile)
		}
		list := r.get("/api/calls").want(200)
		safe(t, list)
		var rows struct{ Calls []struct{ ID, Peer string } }
		list.into(&rows)
		if len(rows.Calls) != i+1 || !slices.ContainsFunc(rows.Calls, func(c struct{ ID, Peer string }) bool { return c.Peer == hostile }) {
			t.Errorf("the list has no peer %.40q", hostile)
		}
		full := r.get("/api/calls/" + id + "/messages?dir=response&full=1").want(200)
		safe(t, full)
		var messages struct{ Messages []decoded }
		full.into(&messages)
		var user struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(messages.Messages[0].JSON, &user); err != nil || user.Name != hostile {
			t.Errorf("name %.40q, want %.40q, %v", user.Name, hostile, err)
		}
		if n := len([]rune(messages.Messages[0].Preview)); n > previewText+1 {
			t.Errorf("the preview has %d characters", n)
		}
		if large := detail.View.Response.First.Large; large != (len(hostile) > largeJSON) {
			t.Errorf("%d bytes: large is %t", len(hostile), large)
		}
		raw := r.get("/api/calls/" + id + "/raw/response/1").want(200)
		if !bytes.Equal(raw.body, c.GetMessages()[1].GetData()) {
			t.Error("the raw bytes differ")
		}
		if raw.header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(raw.header.Get("Content-Disposition"), "attachment") {
			t.Errorf("raw bytes come as %s, %s", raw.header.Get("Content-Type"), raw.header.Get("Content-Disposition"))
		}
	}
}

// safe holds that no browser could take an answer for a document.
func safe(t *testing.T, a *answered) {
	t.Helper()
	if kind := a.header.Get("Content-Type"); kind != "application/json; charset=utf-8" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("content type %q", kind)
	}
	if bytes.Contains(a.body, []byte("</script")) {
		t.Error("</script stands in the answer as it is")
	}
}

func TestMessagesInParts(t *testing.T) {
	r := newRig(t, nil)
	c := r.aCall("7-1", `{"name":"ann"}`, `{"name":"0"}`)
	for i := range 300 {
		m := proto.CloneOf(c.GetMessages()[1])
		m.Sequence = uint64(i + 2)
		c.Messages = append(c.Messages, m)
	}
	c.Messages[5].Withheld, c.Messages[5].Data = "too busy", nil
	r.add(c)
	var got struct{ Messages []decoded }
	for _, test := range []struct {
		query       string
		n           int
		first, last uint64
	}{
		{"", maxDecoded, 1, 199}, {"?dir=request", 1, 1, 1}, {"?dir=response&from=290", 12, 290, 301},
		{"?dir=response&from=5&count=2", 2, 5, 6}, {"?dir=response&from=999", 0, 0, 0}, {"?count=9999", maxDecoded, 1, 199},
	} {
		r.get("/api/calls/7-1/messages" + test.query).want(200).into(&got)
		if len(got.Messages) != test.n {
			t.Errorf("%q: %d messages, want %d", test.query, len(got.Messages), test.n)
		} else if test.n > 0 && (got.Messages[0].Seq != test.first || got.Messages[test.n-1].Seq != test.last) {
			t.Errorf("%q: from %d to %d", test.query, got.Messages[0].Seq, got.Messages[test.n-1].Seq)
		}
	}
	r.get("/api/calls/7-1/messages?dir=response&from=5&count=1").into(&got)
	if m := got.Messages[0]; m.Withheld != "too busy" || m.JSON != nil && string(m.JSON) != "null" || m.Error == "" {
		t.Errorf("a message that was withheld: %+v", m)
	}
	r.get("/api/calls/7-1/raw/response/5").want(404).problem()
	r.get("/api/calls/7-1/raw/response/999").want(404).problem()
	for _, bad := range []string{"?dir=up", "?from=x", "?count=0"} {
		r.get("/api/calls/7-1/messages" + bad).want(400).problem()
	}
}

func TestExport(t *testing.T) {
	r := newRig(t, nil)
	r.add(r.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann"}`))
	r.add(r.aCall("7-2", `{"name":"bob"}`, `{"name":"Bob"}`))
	for _, test := range []struct {
		query string
		lines int
	}{{"", 2}, {"&ids=7-2", 1}, {"&q=body:ann", 1}, {"&ids=7-1,7-2,7-3", 2}} {
		got := r.get("/api/export?format=ndjson" + test.query).want(200)
		if n := bytes.Count(got.body, []byte("\n")); n != test.lines {
			t.Errorf("%q: %d calls, want %d", test.query, n, test.lines)
		}
		if !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") {
			t.Error("the export is no download")
		}
	}
	var har struct {
		Log struct{ Entries []any }
	}
	r.get("/api/export?format=har").want(200).into(&har)
	if len(har.Log.Entries) != 2 {
		t.Errorf("%d HAR entries", len(har.Log.Entries))
	}
	saved, err := export.ReadLoom(bytes.NewReader(r.get("/api/export?format=loom").want(200).body), export.DefaultLimits())
	if err != nil || len(saved.Calls) != 2 || len(saved.Descriptors["users"].GetFile()) != 1 || len(saved.Warnings) > 0 {
		t.Errorf("%+v, %v", saved, err)
	}
	for _, bad := range []string{"", "?format=pdf", "?format=har&ids=x", "?format=har&q=("} {
		r.get("/api/export" + bad).want(400).problem()
	}
}

// TestOpenedCapture saves calls, and looks at them in another inspector that
// has no backend and only the file.
func TestOpenedCapture(t *testing.T) {
	first := newRig(t, nil)
	first.add(first.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann","age":"41"}`))
	data := first.get("/api/export?format=loom").want(200).body
	saved, err := export.ReadLoom(bytes.NewReader(data), export.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	cache := reflectcache.New(reflectcache.Options{})
	t.Cleanup(cache.Close)
	for backend, set := range saved.Descriptors {
		if err := cache.AddFileSet(backend, set, decode.FromFiles); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, func(o *Options) { o.ReadOnly, o.Schemas = true, cache })
	for _, c := range saved.Calls {
		r.add(c)
	}
	var got struct{ View detailView }
	r.get("/api/calls/7-1").want(200).into(&got)
	if js := compact(t, got.View.Response.First.JSON); js != `{"name":"Ann","age":"41"}` || got.View.Source != "files" {
		t.Errorf("%s from %s", js, got.View.Source)
	}
	r.post("/api/clear", "{}").want(http.StatusForbidden)
}

// TestReadOnly is a saved capture: everything can be looked at, nothing done.
func TestReadOnly(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ReadOnly, o.Replayer = true, &fakeReplayer{} })
	r.add(r.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann"}`))
	var session struct{ ReadOnly, Replay bool }
	r.get("/api/session").want(200).into(&session)
	if !session.ReadOnly || session.Replay {
		t.Errorf("%+v", session)
	}
	for _, path := range []string{"/api/calls/7-1/replay", "/api/compose", "/api/clear", "/api/capture"} {
		r.post(path, "{}").want(http.StatusForbidden).problem()
	}
	r.get("/api/calls/7-1").want(200)
	r.get("/api/export?format=loom").want(200)
}

func TestClearAndMode(t *testing.T) {
	r := newRig(t, nil)
	r.add(r.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann"}`))
	r.post("/api/clear", "{}").want(204)
	r.get("/api/calls/7-1").want(404)
	r.post("/api/capture", `{"mode":"off"}`).want(204)
	var session struct{ Capture captureView }
	r.get("/api/session").into(&session)
	if session.Capture.Mode != "off" {
		t.Errorf("mode %q", session.Capture.Mode)
	}
	r.post("/api/capture", `{"mode":"sometimes"}`).want(400).problem()
}

func TestPanels(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Panels = Panels{
			Routes: func() []RouteView { return []RouteView{{Name: "all", Match: "every call"}} },
			Config: func() ConfigView { return ConfigView{Hash: "7f3a", Error: "loom.yaml:1:1: no"} },
		}
	})
	var got struct{ Items []RouteView }
	r.get("/api/routes").want(200).into(&got)
	if len(got.Items) != 1 || got.Items[0].Name != "all" {
		t.Errorf("%+v", got)
	}
	for _, path := range []string{"/api/backends", "/api/breakers"} {
		if body := string(r.get(path).want(200).body); body != `{"items":[]}` {
			t.Errorf("%s without data: %s", path, body)
		}
	}
	if body := string(r.get("/api/status").want(200).body); body != `{}` {
		t.Errorf("status without data: %s", body)
	}
	var config ConfigView
	r.get("/api/config").want(200).into(&config)
	if config.Hash != "7f3a" || config.Error == "" {
		t.Errorf("%+v", config)
	}
}

func TestServices(t *testing.T) {
	r := newRig(t, nil)
	var got struct {
		Services []serviceView
		Problems []string
		Error    string
	}
	r.get("/api/backends/users/services").want(200).into(&got)
	if len(got.Services) != 2 || len(got.Problems) != 1 || got.Error != "" {
		t.Fatalf("%+v", got)
	}
	want := methodView{"Watch", "/acme.Users/Watch", "STREAM_KIND_SERVER_STREAM", "acme.User", "acme.User"}
	if s := got.Services[0]; s.Source != "reflection" || len(s.Methods) != 2 || s.Methods[1] != want {
		t.Errorf("%+v", s)
	}
	if got.Services[1].Error == "" {
		t.Error("a service without descriptors has no error")
	}
	var message struct {
		Shape    struct{ Fields []any }
		Template map[string]any
	}
	r.get("/api/backends/users/message/acme.User").want(200).into(&message)
	if len(message.Shape.Fields) != 4 || message.Template["age"] != "0" {
		t.Errorf("%+v", message)
	}
	r.get("/api/backends/users/message/acme.Nobody").want(404).problem()
	r.get("/api/backends/users/message/-").want(400).problem()
	r.schemas.down = true
	r.get("/api/backends/users/services").want(200).into(&got)
	if got.Error == "" {
		t.Error("a backend without reflection has no error")
	}
}
