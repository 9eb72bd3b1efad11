package loomd

import (
	"bytes"
	"context"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	grpcmetadata "google.golang.org/grpc/metadata"

	"loom/test/rawbytes"
)

// Each test here is named after something that an earlier gRPC debugging proxy
// got wrong.

// field1 is a protobuf message with the text in its field 1.
func field1(text string) []byte {
	if len(text) > 127 {
		panic("the length takes more than one byte")
	}
	return append([]byte{0x0a, byte(len(text))}, text...)
}

// begin starts a call of the method, with metadata in pairs.
func begin(t *testing.T, address, path string, pairs []string, options ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(grpcmetadata.AppendToOutgoingContext(t.Context(), pairs...), time.Minute)
	t.Cleanup(cancel)
	stream, err := dial(t, address).conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path, options...)
	if err != nil {
		t.Fatalf("begin a call of %s: %v", path, err)
	}
	return stream
}

// echoed makes a whole call with one message, which comes back.
func echoed(t *testing.T, address, text string, pairs []string, options ...grpc.CallOption) {
	t.Helper()
	stream := begin(t, address, echo, pairs, options...)
	send(t, stream, text)
	wantMessage(t, stream, text)
	if s := finish(t, stream); s.Code() != codes.OK {
		t.Fatalf("the call ended with %v", s)
	}
}

// failed makes a call that ends with a status and nothing else.
func failed(t *testing.T, address string) {
	t.Helper()
	stream := begin(t, address, fail, nil)
	if s := finish(t, stream); s.Code() != codes.NotFound || s.Message() != "there is no user 7" {
		t.Fatalf("the caller got %v", s)
	}
}

func TestDefect01TrailersOnlyErrorIsRecorded(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	failed(t, loomd.address)
	row, record := loomd.ended(t, fail)
	if row.Code == nil || codes.Code(*row.Code) != codes.NotFound {
		t.Errorf("the row says code %v, want NOT_FOUND", row.Code)
	}
	if s := record.Call.Status; codes.Code(s.Code) != codes.NotFound || s.Message != "there is no user 7" {
		t.Errorf("recorded status %+v", s)
	}
	if !strings.Contains(string(record.View.StatusDetails), "NO_SUCH_USER") {
		t.Errorf("the details are %s", record.View.StatusDetails)
	}
}

func TestDefect02PingPongWithoutReflection(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	stream := begin(t, loomd.address, echo, nil)
	for range 20 {
		send(t, stream, "ping")
		wantMessage(t, stream, "ping") // before the next is sent
	}
	if s := finish(t, stream); s.Code() != codes.OK {
		t.Errorf("the call ended with %v", s)
	}
	if row, _ := loomd.ended(t, echo); row.Up != "20" || row.Down != "20" {
		t.Errorf("%s messages up and %s down were recorded, want 20", row.Up, row.Down)
	}
}

func TestDefect03CallsLeaveNoDescriptors(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	client := dial(t, loomd.address)
	call := func() {
		question, reply := field1("again"), []byte(nil)
		if err := client.conn.Invoke(t.Context(), echo, &question, &reply); err != nil {
			t.Fatalf("call: %v", err)
		}
	}
	call()
	before := loomd.Footprint(t).Descriptors
	for range 3000 {
		call()
	}
	if after := loomd.Footprint(t).Descriptors; after > before+5 {
		t.Errorf("%d descriptors are open after 3000 calls, %d were before", after, before)
	}
}

func TestDefect05GzipIsDecoded(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	text := string(field1(strings.Repeat("again and ", 12)))
	echoed(t, loomd.address, text, nil, grpc.UseCompressor(gzip.Name))
	_, record := loomd.ended(t, echo)
	first := record.View.Response.First
	if first == nil {
		t.Fatal("no message is shown")
	}
	if first.Encoding != gzip.Name || first.DecodedSize != len(text) || first.Size >= len(text) || !strings.Contains(string(first.JSON), "again and again") {
		t.Errorf("%+v with %s", first, first.JSON)
	}
}

func TestDefect06MetadataAndTrailersAreKept(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	echoed(t, loomd.address, "x", []string{"x-tenant", "acme", "x-tenant", "second"})
	first, record := loomd.ended(t, echo)
	for _, want := range []struct {
		block []metadata
		name  string
		text  string
	}{
		{record.Call.Request, "x-tenant", "acme,second"},
		{record.Call.Response, "x-twice", "1,2"},
		{record.Call.Trailers, "x-came-tenant", "acme,second"},
		{record.Call.Trailers, "grpc-status", "0"},
	} {
		if got := strings.Join(values(want.block, want.name), ","); got != want.text {
			t.Errorf("%s is recorded as %q, want %q", want.name, got, want.text)
		}
	}
	// A replay sends them again.
	answer := loomd.ask(t, http.MethodPost, "/api/calls/"+first.ID+"/replay", "{}", nil)
	if answer.code != http.StatusOK {
		t.Fatalf("replay: %d %s", answer.code, answer.body)
	}
	loomd.Await(t, "the replay is recorded with its metadata", func() bool {
		return slices.ContainsFunc(loomd.rows(t, ""), func(again row) bool {
			if again.ID == first.ID || again.State != "CALL_STATE_ENDED" {
				return false
			}
			loomd.get(t, "/api/calls/"+again.ID, &record)
			return record.Call.ReplayOf == first.ID && strings.Join(values(record.Call.Trailers, "x-came-tenant"), ",") == "acme,second"
		})
	})
}

func TestDefect07GrpcurlIsQuotedForTheShell(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	const hostile = `it's $(echo here) "now"; exit 3 #`
	echoed(t, loomd.address, "x", []string{"x-note", hostile})
	row, _ := loomd.ended(t, echo)
	var got struct {
		Command string `json:"command"`
	}
	loomd.get(t, "/api/calls/"+row.ID+"/grpcurl", &got)
	// A shell splits the command; a function in place of grpcurl shows how.
	shell := exec.CommandContext(t.Context(), "sh", "-c", "grpcurl() { printf '%s\\n' \"$@\"; }\n"+got.Command)
	out, err := shell.CombinedOutput()
	if err != nil || !slices.Contains(strings.Split(string(out), "\n"), "x-note: "+hostile) {
		t.Errorf("%v: a shell makes of the command\n%s\nthe arguments\n%s", err, got.Command, out)
	}
}

func TestDefect08ReplayTellsItsStatus(t *testing.T) {
	b := startService(t, false)
	loomd := startInspected(t, b.address, "")
	failed(t, loomd.address)
	row, _ := loomd.ended(t, fail)
	for _, target := range []string{"route", "direct"} {
		answer := loomd.ask(t, http.MethodPost, "/api/calls/"+row.ID+"/replay", `{"target":"`+target+`"}`, nil)
		text := string(answer.body)
		if answer.code != http.StatusOK || !strings.Contains(text, `"NOT_FOUND"`) || !strings.Contains(text, "there is no user 7") || !strings.Contains(text, `"diff":[]`) {
			t.Errorf("replay by %s: %d %s", target, answer.code, answer.body)
		}
	}
	if n := b.failed.Load(); n != 3 {
		t.Errorf("the backend saw %d calls, want 3", n)
	}
}

func TestDefect09OtherSitesAreRefused(t *testing.T) {
	b := startService(t, false)
	loomd := startInspected(t, b.address, "")
	failed(t, loomd.address)
	row, _ := loomd.ended(t, fail)
	for _, test := range []struct {
		name string
		edit func(*http.Request)
		code int
	}{
		{"another origin", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
		{"another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		{"a name that was rebound", func(r *http.Request) { r.Host = "evil.example:9998" }, http.StatusMisdirectedRequest},
	} {
		answer := loomd.ask(t, http.MethodPost, "/api/calls/"+row.ID+"/replay", "{}", test.edit)
		if answer.code != test.code {
			t.Errorf("%s: %d %s, want %d", test.name, answer.code, answer.body, test.code)
		}
		// A GET changes nothing, and no other origin may read its answer.
		for _, header := range []http.Header{answer.header, loomd.ask(t, http.MethodGet, "/api/calls", "", test.edit).header} {
			if allowed := header.Get("Access-Control-Allow-Origin"); allowed != "" {
				t.Errorf("%s: the answer is open to %s", test.name, allowed)
			}
		}
	}
	loomd.browser.Jar = nil
	if answer := loomd.ask(t, http.MethodGet, "/api/calls", "", nil); answer.code != http.StatusUnauthorized {
		t.Errorf("without the cookie: %d %s", answer.code, answer.body)
	}
	if n := b.failed.Load(); n != 1 {
		t.Errorf("the backend saw %d calls, want only that of the test", n)
	}
}

func TestDefect10OpenCallIsShown(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	stream := begin(t, loomd.address, echo, nil)
	send(t, stream, "first")
	wantMessage(t, stream, "first")
	const pause = 50 * time.Millisecond
	time.Sleep(pause) // the time that the record is to show
	send(t, stream, "second")
	wantMessage(t, stream, "second")
	row, _ := loomd.one(t, echo, "CALL_STATE_OPEN")
	var shown struct {
		Messages []message `json:"messages"`
	}
	loomd.Await(t, "the messages of the open call are shown", func() bool {
		loomd.get(t, "/api/calls/"+row.ID+"/messages", &shown)
		return len(shown.Messages) == 4
	})
	if apart := time.Duration(shown.Messages[2].At-shown.Messages[1].At) * time.Microsecond; apart < pause/2 {
		t.Errorf("the second message is shown %v after the answer to the first, it came %v later", apart, pause)
	}
	if s := finish(t, stream); s.Code() != codes.OK {
		t.Errorf("the call ended with %v", s)
	}
	loomd.ended(t, echo)
}

func TestDefect11RecordsAreBoundedAndPrivate(t *testing.T) {
	const ring, file = 1 << 20, 256 << 10
	loomd := startInspected(t, startService(t, false).address, `
capture: {ring: {calls: 1000, bytes: 1MiB}, session: defects, session_size: 256KiB, session_files: 2}
`)
	payload := strings.Repeat("x", 32<<10)
	client := dial(t, loomd.address)
	for range 200 {
		question, reply := []byte(payload), []byte(nil)
		if err := client.conn.Invoke(t.Context(), echo, &question, &reply); err != nil {
			t.Fatalf("call: %v", err)
		}
	}
	loomd.ended(t, echo)
	if kept := len(loomd.rows(t, "")); kept == 0 || kept > ring/(2*len(payload)) {
		t.Errorf("%d calls with %d bytes each are kept, which is not within %d bytes", kept, 2*len(payload), ring)
	}
	var size int64
	look := func() (files int) {
		size = 0
		err := filepath.WalkDir(os.Getenv("STATE_DIRECTORY"), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return nil //nolint:nilerr // loomd has removed it meanwhile
			}
			files, size = files+1, size+info.Size()
			if mode := info.Mode().Perm(); mode != 0o600 {
				t.Errorf("%s has mode %v", path, mode)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("look at what loomd wrote: %v", err)
		}
		return files
	}
	loomd.Await(t, "a session file is written", func() bool { return look() > 0 && size > 0 })
	// A file ends with the call that fills it.
	if most := int64(2 * (file + 4*len(payload))); size > most {
		t.Errorf("the session takes %d bytes, want at most %d", size, most)
	}
}

func TestDefect12HangingReflectionDelaysNoCall(t *testing.T) {
	b := startService(t, true)
	loomd := startInspected(t, b.address, "")
	client := dial(t, loomd.address)
	const calls = 300
	took := make([]time.Duration, 0, calls)
	for range calls {
		question, reply := field1("x"), []byte(nil)
		start := time.Now()
		if err := client.conn.Invoke(t.Context(), echo, &question, &reply); err != nil {
			t.Fatalf("call: %v", err)
		}
		took = append(took, time.Since(start))
	}
	loomd.Await(t, "loomd asks for reflection", func() bool { return b.asked.Load() > 0 })
	slices.Sort(took)
	t.Logf("while reflection hangs a call takes %v (p50), %v (slowest)", took[calls/2], took[calls-1])
	// It would be the timeout of reflection, 10 seconds.
	if took[calls/2] > 100*time.Millisecond || took[calls-1] > 3*time.Second {
		t.Errorf("calls wait: p50 %v, slowest %v", took[calls/2], took[calls-1])
	}
	if asked := b.asked.Load(); asked > 2 {
		t.Errorf("%d calls asked for reflection %d times", calls, asked)
	}
}

func TestDefect13LargeMessagePasses(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	stream := begin(t, loomd.address, echo, nil, grpc.MaxCallRecvMsgSize(largest), grpc.MaxCallSendMsgSize(largest))
	for range 2 {
		large := bytes.Repeat([]byte("0123456789abcdef"), 40<<16) // 40 MiB
		if err := stream.SendMsg(&large); err != nil {
			t.Fatalf("send: %v", err)
		}
		got, err := rawbytes.Receive(stream)
		if err != nil || !bytes.Equal(got, large) {
			t.Fatalf("%d bytes came back of %d, or others: %v", len(got), len(large), err)
		}
	}
	if s := finish(t, stream); s.Code() != codes.OK {
		t.Errorf("the call ended with %v", s)
	}
	header, err := stream.Header()
	if err != nil {
		t.Fatal(err)
	}
	const kind = "application/grpc+bytes"
	if up, down := header.Get("x-came-type"), header.Get("content-type"); !slices.Equal(up, []string{kind}) || !slices.Equal(down, []string{kind}) {
		t.Errorf("content-type is %v at the backend and %v at the caller, want %s", up, down, kind)
	}
}

func TestDefect15CallsAreSearchedAndSecretsTakenOut(t *testing.T) {
	loomd := startInspected(t, startService(t, false).address, "")
	echoed(t, loomd.address, string(field1("hay")), []string{"x-tenant", "other"})
	echoed(t, loomd.address, string(field1("needle")), []string{"x-tenant", "acme", "authorization", "Bearer s3cret"})
	loomd.Await(t, "both calls are listed", func() bool { return len(loomd.rows(t, "")) == 2 })
	for _, filter := range []string{"md.x-tenant:acme", "body:needle"} {
		rows := loomd.rows(t, filter)
		if len(rows) != 1 {
			t.Errorf("%s finds %d calls, want 1", filter, len(rows))
			continue
		}
		answer := loomd.ask(t, http.MethodGet, "/api/calls/"+rows[0].ID, "", nil)
		if text := string(answer.body); !strings.Contains(text, "acme") || strings.Contains(text, "s3cret") {
			t.Errorf("%s finds %s", filter, text)
		}
	}
}
