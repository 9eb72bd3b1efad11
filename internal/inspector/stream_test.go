package inspector

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"loom/internal/callevent"
)

// events follows the stream of a rig.
type events struct {
	t    *testing.T
	body *bufio.Reader
	end  func()
}

type event struct{ name, id, data string }

func (r *rig) follow(lastEventID string) *events {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/api/stream", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Cookie", r.cookie)
	if lastEventID != "" {
		q.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := r.client.Do(q) //nolint:bodyclose // end closes it
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("status %d, %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	e := &events{t: r.t, body: bufio.NewReader(res.Body), end: func() { cancel(); res.Body.Close() }}
	r.t.Cleanup(e.end)
	return e
}

// next returns the next event of that name; the others pass by.
func (e *events) next(name string) event {
	e.t.Helper()
	var got event
	for {
		line, err := e.body.ReadString('\n')
		if err != nil {
			e.t.Fatalf("waiting for %s: %v", name, err)
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "event":
			got.name = value
		case "id":
			got.id = value
		case "data":
			got.data = value
		case "":
			if got.name == name {
				return got
			}
			got = event{}
		}
	}
}

// begin records a call as the relay would.
func (r *rig) begin(n uint64, path string) callevent.Follower {
	f := r.store.Begin(callevent.Call{ID: n, At: time.Now(), Peer: "127.0.0.1:1", Path: path})
	f.Routed(time.Now(), "all", "users")
	return f
}

func (r *rig) finish(f callevent.Follower) {
	s := &callevent.Summary{Took: time.Millisecond, HasCode: true}
	f.Ended(time.Now(), s)
}

type callsEvent struct {
	Calls []struct {
		ID    string `json:"id"`
		Path  string `json:"path"`
		State string `json:"state"`
	} `json:"calls"`
	Missed int `json:"missed"`
}

func TestCallAppearsWhileItIsOpen(t *testing.T) {
	r := newRig(t, nil)
	e := r.follow("")
	var hello struct {
		Generation int  `json:"generation"`
		Resumed    bool `json:"resumed"`
	}
	if err := json.Unmarshal([]byte(e.next("hello").data), &hello); err != nil || hello.Generation != 7 || hello.Resumed {
		t.Fatalf("hello %+v, %v", hello, err)
	}
	began := time.Now()
	f := r.begin(1, "/acme.Users/Watch")
	var got callsEvent
	if err := json.Unmarshal([]byte(e.next("calls").data), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Calls) != 1 || got.Calls[0].ID != "7-1" || got.Calls[0].State != "CALL_STATE_OPEN" {
		t.Errorf("%+v, want call 7-1, open", got)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it appeared after %v", took)
	}
	r.finish(f)
	if err := json.Unmarshal([]byte(e.next("calls").data), &got); err != nil || got.Calls[0].State != "CALL_STATE_ENDED" {
		t.Errorf("%+v, %v, want its end", got, err)
	}
	var st statusView
	for st.Seen == 0 {
		if err := json.Unmarshal([]byte(e.next("status").data), &st); err != nil {
			t.Fatal(err)
		}
	}
	if st.Seen != 1 || st.Kept != 1 || st.Capture != "full" {
		t.Errorf("status %+v", st)
	}
}

// TestStreamResumes reconnects as EventSource does.
func TestStreamResumes(t *testing.T) {
	r := newRig(t, nil)
	e := r.follow("")
	e.next("hello")
	r.finish(r.begin(1, "/a.B/First"))
	last := e.next("calls").id
	if !strings.HasPrefix(last, "7-") {
		t.Fatalf("id %q", last)
	}
	e.end()
	r.finish(r.begin(2, "/a.B/Second"))

	e = r.follow(last)
	if hello := e.next("hello"); !strings.Contains(hello.data, `"resumed":true`) {
		t.Errorf("%s, want it resumed", hello.data)
	}
	for saw := ""; !strings.Contains(saw, "/a.B/Second"); {
		saw = e.next("calls").data
	}
	e.end()
	// A page of the process before, one of the future, and garbage.
	for _, id := range []string{"6-1", "7-999999", "7-", "-", "7", "x-1", "7-1-1", strings.Repeat("9", 4000)} {
		e := r.follow(id)
		if hello := e.next("hello"); !strings.Contains(hello.data, `"resumed":false`) {
			t.Errorf("Last-Event-ID %.20q: %s, want it not resumed", id, hello.data)
		}
		e.end()
	}
}

// TestStreamContinues tells pages whether this process has the calls of the one
// before.
func TestStreamContinues(t *testing.T) {
	r := newRig(t, nil)
	want := func(what string) {
		t.Helper()
		if hello := r.firstEvent("/api/stream?since=6-1"); !strings.Contains(hello, what) {
			t.Errorf("%s, want %s", hello, what)
		}
	}
	want(`"continues":0`)
	r.server.Continue(3)
	want(`"continues":3`)
}

// TestCursorOfTheList follows on from the list without a gap.
func TestCursorOfTheList(t *testing.T) {
	r := newRig(t, nil)
	e := r.follow("")
	e.next("hello")
	r.finish(r.begin(1, "/a.B/C"))
	e.next("calls")
	var got struct {
		Calls  []struct{ ID string }
		Cursor string
	}
	r.get("/api/calls").want(200).into(&got)
	if len(got.Calls) != 1 || got.Calls[0].ID != "7-1" {
		t.Errorf("calls %+v", got.Calls)
	}
	hello := r.firstEvent("/api/stream?since=" + got.Cursor)
	if !strings.Contains(hello, `"resumed":true`) {
		t.Errorf("since=%s: %s", got.Cursor, hello)
	}
}

// firstEvent reads the first event of a stream.
func (r *rig) firstEvent(path string) string {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Cookie", r.cookie)
	res, err := r.client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	e := &events{t: r.t, body: bufio.NewReader(res.Body)}
	return e.next("hello").data
}

// TestSlowReaders opens streams and never reads from them. The others and the
// calls go on, and the server still ends.
func TestSlowReaders(t *testing.T) {
	r := newRig(t, nil)
	for range 4 {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "GET /api/stream HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", r.address, r.cookie); err != nil {
			t.Fatal(err)
		}
	}
	e := r.follow("")
	e.next("hello")
	path := "/a.B/" + strings.Repeat("x", 4000)
	began := time.Now()
	n := uint64(0)
	for time.Since(began) < 2*time.Second {
		for range 50 {
			n++
			r.finish(r.begin(n, path))
		}
		time.Sleep(10 * time.Millisecond)
	}
	for !strings.Contains(e.next("calls").data, fmt.Sprintf(`"7-%d"`, n)) {
		continue
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the reader that reads was %v behind", took-2*time.Second)
	}
}

// TestFramesOfOneReader counts what a flood makes of the stream.
func TestFramesOfOneReader(t *testing.T) {
	r := newRig(t, nil)
	e := r.follow("")
	e.next("hello")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
				r.finish(r.begin(n, "/a.B/C"))
			}
		}
	}()
	frames := 0
	for began := time.Now(); time.Since(began) < time.Second; frames++ {
		e.next("calls")
	}
	close(stop)
	<-done
	if frames > 21 {
		t.Errorf("%d frames of calls in a second, want 20 at most", frames)
	}
}

func TestTooManyStreams(t *testing.T) {
	r := newRig(t, nil)
	for range maxStreams {
		r.follow("").next("hello")
	}
	if got := r.get("/api/stream").want(http.StatusServiceUnavailable).problem(); !strings.Contains(got, "close some") {
		t.Errorf("%q", got)
	}
}

// TestStreamsEndWithTheServer cancels while a page follows: newRig's cleanup
// fails if Serve waits for it, or if a goroutine is left.
func TestStreamsEndWithTheServer(t *testing.T) {
	r := newRig(t, nil)
	e := r.follow("")
	e.next("hello")
	began := time.Now()
	t.Cleanup(func() {
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("Serve took %v to end", took)
		}
	})
}
