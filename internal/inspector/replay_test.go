package inspector

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
	"loom/internal/capture"
	"loom/internal/replay"
)

// fakeReplayer answers what it is told to, and records calls via the route as
// the relay would.
type fakeReplayer struct {
	mu sync.Mutex
	// Guarded by mu.
	asked  []replay.Request
	answer replay.Answer
	err    error
	store  *capture.Store // nil: capture is off
	reply  []byte
	n      uint64
}

func (f *fakeReplayer) Do(_ context.Context, q replay.Request) (replay.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	if f.store == nil || q.Target == replay.Direct || f.err != nil {
		return f.answer, f.err
	}
	f.n++
	var fields []hpack.HeaderField
	for _, m := range q.Metadata {
		fields = append(fields, hpack.HeaderField{Name: m.GetName(), Value: m.GetText()})
	}
	if q.ReplayOf != "" {
		fields = append(fields, hpack.HeaderField{Name: replay.Link, Value: q.ReplayOf})
	}
	now := time.Now()
	c := f.store.Begin(callevent.Call{ID: f.n, At: now, Peer: "127.0.0.1:1", Path: q.Path, Fields: fields})
	c.Routed(now, "all", "users")
	c.Piece(now, callevent.Piece{Direction: callevent.Down, First: true, Last: true, Size: uint32(len(f.reply)), Data: f.reply})
	c.Ended(now, &callevent.Summary{
		Took: time.Millisecond, HasCode: true, Backend: "users", Down: callevent.Traffic{Messages: 1}, Path: q.Path,
	})
	return f.answer, nil
}

func (f *fakeReplayer) last(t *testing.T) replay.Request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		t.Fatal("no call was made")
	}
	return f.asked[len(f.asked)-1]
}

func replayRig(t *testing.T) (*rig, *fakeReplayer) {
	t.Helper()
	f := &fakeReplayer{answer: replay.Answer{Started: time.Now(), Took: time.Millisecond}}
	r := newRig(t, func(o *Options) {
		o.Replayer = f
		o.Redact = func(c *loomv1.Call) { c.Trailers = nil }
	})
	f.store, f.n = r.store, 1000
	f.reply = r.schemas.user(t, `{"name":"Ann","age":"42"}`)
	r.add(r.aCall("7-1", `{"name":"ann"}`, `{"name":"Ann","age":"41"}`))
	return r, f
}

func names(fields []*loomv1.Metadata) string {
	var out []string
	for _, m := range fields {
		if m.GetName() != mark {
			out = append(out, m.GetName()+"="+m.GetText())
		}
	}
	return strings.Join(out, " ")
}

func TestReplayViaRoute(t *testing.T) {
	r, f := replayRig(t)
	var got replayed
	r.post("/api/calls/7-1/replay", `{"target":"route","deadlineMs":1500}`).want(200).into(&got)
	if got.ID != "7-1001" || got.Status.Name != "OK" || got.Note != "" {
		t.Errorf("%+v", got)
	}
	if len(got.Diff) != 1 || got.Diff[0].Path != "/age" || string(got.Diff[0].Old) != `"41"` || string(got.Diff[0].New) != `"42"` {
		t.Errorf("diff %+v, want age from 41 to 42", got.Diff)
	}
	q := f.last(t)
	if q.ReplayOf != "7-1" || q.Target != replay.ViaRoute || q.Deadline != 1500*time.Millisecond || q.Authority != "users.test" {
		t.Errorf("%+v", q)
	}
	if !bytes.Equal(q.Messages[0], r.schemas.user(t, `{"name":"ann"}`)) {
		t.Error("other bytes were sent than recorded")
	}
	if md := names(q.Metadata); strings.Contains(md, "s3cret") || !strings.Contains(md, "x-tier=gold") {
		t.Errorf("metadata %s, want the recorded without credentials", md)
	}
	var detail struct{ View detailView }
	r.get("/api/calls/7-1001").want(200).into(&detail)
	if len(detail.View.Diff) != 1 {
		t.Errorf("the replay's detail has the diff %+v", detail.View.Diff)
	}
	// A replay of the replay bears neither the mark of the first nor its link.
	r.post("/api/calls/7-1001/replay", `{"messages":[{"name":"x"}]}`).want(200).into(&got)
	marks := 0
	for _, m := range f.last(t).Metadata {
		if m.GetName() == mark {
			marks++
		}
	}
	if marks != 1 {
		t.Errorf("%d marks, want 1", marks)
	}
}

func TestEditAndResend(t *testing.T) {
	r, f := replayRig(t)
	r.post("/api/calls/7-1/replay", `{"messages":[{"name":"eve","age":"7"}],
		"metadata":[{"name":"Authorization","text":"Bearer again"},{"name":":path","text":"/x"},{"name":"content-type","text":"x"}]}`).want(200)
	q := f.last(t)
	if !bytes.Equal(q.Messages[0], r.schemas.user(t, `{"name":"eve","age":"7"}`)) {
		t.Errorf("sent %x", q.Messages[0])
	}
	if md := names(q.Metadata); md != "content-type=application/grpc authorization=Bearer again" {
		t.Errorf("metadata %s", md)
	}
	var wrong struct {
		Error  string
		Fields []FieldError
	}
	r.post("/api/calls/7-1/replay", `{"messages":[{"name":"a"},{"nme":1,"boss":{"age":"x"}}]}`).want(422).into(&wrong)
	paths := map[string]bool{}
	for _, f := range wrong.Fields {
		paths[f.Path] = f.Message != ""
	}
	if len(paths) != 2 || !paths["/messages/1/nme"] || !paths["/messages/1/boss/age"] {
		t.Errorf("%+v", wrong)
	}
	r.post("/api/calls/7-1/replay", `{"metadata":[{"name":"grpc-timeout","text":"1S"}]}`).want(422).into(&wrong)
	if len(wrong.Fields) != 1 || wrong.Fields[0].Path != "/metadata/0/name" {
		t.Errorf("%+v", wrong)
	}
}

func TestReplayDirect(t *testing.T) {
	r, f := replayRig(t)
	f.answer = replay.Answer{
		Started: time.Now(), Took: time.Millisecond, Sent: []time.Duration{0}, At: []time.Duration{time.Millisecond},
		Messages: [][]byte{f.reply}, Received: 1, Code: codes.OK, Trailers: metadata.MD{"x-t": {"1"}},
	}
	var got replayed
	r.post("/api/calls/7-1/replay", `{"target":"direct"}`).want(200).into(&got)
	if got.ID == "" || len(got.Diff) != 1 {
		t.Fatalf("%+v", got)
	}
	var detail struct {
		Call struct{ ReplayOf, Backend string }
		View detailView
	}
	r.get("/api/calls/" + got.ID).want(200).into(&detail)
	if detail.Call.ReplayOf != "7-1" || detail.Call.Backend != "users" || detail.View.Response.Messages != 1 {
		t.Errorf("%+v", detail)
	}
	if len(detail.View.Metadata.Trailers) != 0 {
		t.Error("the call was stored without what Redact does to it")
	}
	if f.last(t).Target != replay.Direct {
		t.Error("it was not sent straight to the backend")
	}
}

// TestReplayRefusesWhatIsNotWhole holds that nothing is sent that was not in
// the call, and that the reason is told before and after trying.
func TestReplayRefusesWhatIsNotWhole(t *testing.T) {
	r, f := replayRig(t)
	for i, test := range []struct {
		change func(*loomv1.Call)
		want   string
	}{
		{func(c *loomv1.Call) {
			c.Messages[0].Truncated, c.Messages[0].Data = true, c.GetMessages()[0].GetData()[:2]
		}, "only 2 of the"},
		{func(c *loomv1.Call) { c.Messages[0].Withheld = "no descriptors yet" }, "no descriptors yet"},
		{func(c *loomv1.Call) { c.Messages[0].Redacted = true }, "fields were taken out"},
		{func(c *loomv1.Call) { c.Omission = &loomv1.Omission{BodiesOff: true} }, "only metadata was recorded"},
		{func(c *loomv1.Call) { c.Request.Unrecorded = 3 }, "3 messages of the request are not in the record"},
		{func(c *loomv1.Call) { c.Messages = c.GetMessages()[1:] }, "missing"},
	} {
		id := fmt.Sprintf("7-%d", 10+i)
		c := r.aCall(id, `{"name":"ann"}`, `{"name":"Ann"}`)
		test.change(c)
		r.add(c)
		if got := r.post("/api/calls/"+id+"/replay", `{}`).want(http.StatusConflict).problem(); !strings.Contains(got, test.want) {
			t.Errorf("%q, want %q in it", got, test.want)
		}
		var detail struct{ View detailView }
		r.get("/api/calls/" + id).want(200).into(&detail)
		if detail.View.Replayable || !strings.Contains(detail.View.ReplayProblem, test.want) {
			t.Errorf("detail: replayable %t, %q", detail.View.Replayable, detail.View.ReplayProblem)
		}
	}
	if len(f.asked) != 0 {
		t.Errorf("%d calls were made", len(f.asked))
	}
	// Edited messages do not need the record.
	r.post("/api/calls/7-10/replay", `{"messages":[{"name":"x"}]}`).want(200)
}

func TestReplayOfStreams(t *testing.T) {
	r, f := replayRig(t)
	c := r.aCall("7-2", `{"name":"one"}`, `{"name":"Ann"}`)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(r.schemas.user(t, `{"name":"two"}`)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	c.RequestHeaders = append(c.RequestHeaders, text("grpc-encoding", "gzip"))
	c.Messages = append(c.Messages, &loomv1.Message{
		Direction: loomv1.Direction_DIRECTION_REQUEST, Sequence: 2, Size: uint64(z.Len()), Data: z.Bytes(), Compressed: true,
		FirstByte: r.aCall("7-3", "{}", "{}").GetTimings().GetEnd(),
	})
	c.Request.Messages = 2
	r.add(c)
	r.post("/api/calls/7-2/replay", `{"timing":"recorded"}`).want(200)
	q := f.last(t)
	if len(q.Messages) != 2 || !bytes.Equal(q.Messages[1], r.schemas.user(t, `{"name":"two"}`)) {
		t.Errorf("sent %x, want the second uncompressed", q.Messages)
	}
	if len(q.Delays) != 2 || q.Delays[0] != ms(1) || q.Delays[1] != ms(13) {
		t.Errorf("delays %v", q.Delays)
	}
	r.post("/api/calls/7-2/replay", `{"timing":"zero"}`).want(200)
	if f.last(t).Delays != nil {
		t.Error("zero delays are not zero")
	}
}

func TestReplayThatFails(t *testing.T) {
	r, f := replayRig(t)
	for _, test := range []struct {
		answer replay.Answer
		err    error
		want   int
	}{
		{replay.Answer{}, replay.ErrBusy, http.StatusTooManyRequests},
		{replay.Answer{}, errors.New("replay: connect: refused"), http.StatusBadGateway},
		{replay.Answer{Started: time.Now()}, errors.New("too long"), http.StatusGatewayTimeout},
	} {
		f.answer, f.err = test.answer, test.err
		r.post("/api/calls/7-1/replay", `{}`).want(test.want).problem()
	}
	f.answer, f.err, f.store = replay.Answer{Started: time.Now(), Code: codes.NotFound, Message: "no"}, nil, nil
	var got replayed
	r.post("/api/calls/7-1/replay", `{}`).want(200).into(&got)
	if got.ID != "" || got.Note == "" || got.Status.Name != "NOT_FOUND" {
		t.Errorf("with capture off: %+v", got)
	}
	for _, body := range []string{`{"target":"moon"}`, `{"timing":"later"}`, `{"deadlineMs":-1}`, `{"deadlineMs":9999999999999999}`} {
		r.post("/api/calls/7-1/replay", body).want(400).problem()
	}
	r.post("/api/calls/7-999/replay", `{}`).want(404)
}

func TestCompose(t *testing.T) {
	r, f := replayRig(t)
	var got replayed
	r.post("/api/compose", `{"backend":"users","method":"/acme.Users/Get","target":"route",
		"metadata":[{"name":"x-a","text":"1"}],"messages":[{"name":"new"}],"deadlineMs":100}`).want(200).into(&got)
	if got.ID == "" || got.Diff != nil {
		t.Errorf("%+v", got)
	}
	if q := f.last(t); q.ReplayOf != "" || names(q.Metadata) != "x-a=1" || !bytes.Equal(q.Messages[0], r.schemas.user(t, `{"name":"new"}`)) {
		t.Errorf("%+v", q)
	}
	r.post("/api/compose", `{"backend":"users","method":"Get"}`).want(400)
	r.post("/api/compose", `{"backend":"","method":"/a.B/C","target":"direct"}`).want(400)
	r.post("/api/compose", `{"backend":"nobody","method":"/a.B/C","messages":[{}]}`).want(409).problem()
	r.post("/api/compose", `{"backend":"users","method":"/acme.Users/Get","messages":[{"x":1}]}`).want(422).problem()
}

func TestValidate(t *testing.T) {
	r := newRig(t, nil)
	var got struct{ Errors []messageError }
	r.post("/api/validate", `{"backend":"users","path":"/acme.Users/Get","messages":[{"name":"x"},{"boss":{"age":"y"}}]}`).want(200).into(&got)
	if len(got.Errors) != 1 || got.Errors[0].Message != 1 || got.Errors[0].Path != "/boss/age" || got.Errors[0].Text == "" {
		t.Errorf("%+v", got)
	}
	if body := string(r.post("/api/validate", `{"backend":"users","path":"/acme.Users/Get","messages":[]}`).want(200).body); body != `{"errors":[]}` {
		t.Errorf("%s", body)
	}
}

func TestGrpcurl(t *testing.T) {
	r := newRig(t, nil)
	r.add(r.aCall("7-1", `{"name":"it's"}`, `{"name":"Ann"}`))
	var got struct {
		Command        string
		Omitted, Notes []string
	}
	r.get("/api/calls/7-1/grpcurl").want(200).into(&got)
	for _, want := range []string{"-plaintext", "127.0.0.1:9999", "acme.Users/Get", `"it'\''s"`, "x-tier: gold"} {
		if !strings.Contains(got.Command, want) {
			t.Errorf("no %s in %s", want, got.Command)
		}
	}
	if strings.Contains(got.Command, "s3cret") || len(got.Omitted) != 1 || got.Omitted[0] != "authorization" {
		t.Errorf("omitted %v of %s", got.Omitted, got.Command)
	}
	r.get("/api/calls/7-1/grpcurl?credentials=1").want(200).into(&got)
	if !strings.Contains(got.Command, "s3cret") {
		t.Errorf("no credentials in %s", got.Command)
	}
	r.schemas.down = true
	r.get("/api/calls/7-1/grpcurl").want(200).into(&got)
	if len(got.Notes) == 0 || !strings.Contains(strings.Join(got.Notes, " "), "-protoset") {
		t.Errorf("without reflection the notes are %q", got.Notes)
	}
}
