package server

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/internal/loomtest"
)

// A whole loom.yaml at work: listeners of both kinds, routes, limits.
func TestServe(t *testing.T) {
	address := echo(t, new(sync.Mutex))
	r := serve(t, `
listeners:
  - `+anyPort+`
  - `+unixListener(in(socketFolder(t), "in.sock"), "")+`
backends:
  b: {targets: ["`+address+`"]}
routes:
  - {name: secret, match: {service: test.Admin}, deny: PERMISSION_DENIED}
  - {name: marked, match: {path_regex: "^/test.Echo/.*$", metadata: [{name: x-tier, value: gold}]}, backend: b,
     metadata: {response: {set: {x-via: loom}}}}
  - {name: echo, match: {service: test.Echo}, backend: b}
limits: {header_list: 20KiB, streams: 7}
`)
	for i, name := range []string{"tcp", "unix"} {
		t.Run(name, func(t *testing.T) {
			cc := r.client(i)
			if answer, err := ask(cc, "/test.Echo/Call", "hello"); err != nil || answer != "hello" {
				t.Fatalf("answer %q, error %v", answer, err)
			}
			if _, err := ask(cc, "/test.Admin/Call", ""); status.Code(err) != codes.PermissionDenied {
				t.Fatalf("denied call: %v", err)
			}
			if _, err := ask(cc, "/test.Other/Call", ""); status.Code(err) != codes.Unimplemented {
				t.Fatalf("call without a route: %v", err)
			}
			wantMarked(t, cc)
		})
	}
	down := loomtest.NewDownstream(t, r.dial(0))
	told := make(map[http2.SettingID]uint32)
	for _, s := range down.WantSettings() {
		told[s.ID] = s.Val
	}
	if told[http2.SettingMaxConcurrentStreams] != 7 || told[http2.SettingMaxHeaderListSize] != 20<<10 {
		t.Fatalf("settings %v", told)
	}
}

// wantMarked makes a call that matches by its metadata.
func wantMarked(t *testing.T, cc *grpc.ClientConn) {
	t.Helper()
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tier", "gold")
	question, answer := []byte("q"), []byte(nil)
	if err := cc.Invoke(ctx, "/test.Echo/Call", &question, &answer, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if via := header.Get("x-via"); len(via) != 1 || via[0] != "loom" {
		t.Fatalf("response metadata %v", header)
	}
}

func TestAddresses(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	r := serve(t, oneBackend(nobody, anyPort, unixListener(path, "")))
	all := r.Addresses()
	if len(all) != 2 || !strings.HasPrefix(all[0], "127.0.0.1:") || strings.HasSuffix(all[0], ":0") || all[1] != "unix:"+path {
		t.Fatalf("addresses %q", all)
	}
}

// A New that fails has let go of the sockets that it had bound already.
func TestNewFails(t *testing.T) {
	folder := socketFolder(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	text := oneBackend(nobody,
		`{name: one, address: "`+free.Addr().String()+`"}`,
		unixListener(in(folder, "in.sock"), ""),
		`{name: two, address: "`+taken.Addr().String()+`"}`)
	_, err = New(parse(t, text), Options{Log: zap.NewNop()})
	var le *ListenError
	if !errors.As(err, &le) || le.Listener != "two" || le.Address != taken.Addr().String() || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("error %v", err)
	}
	want := `listener "two": listen on ` + taken.Addr().String() + ": address already in use"
	if err.Error() != want {
		t.Fatalf("error %q, want %q", err, want)
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Fatalf("the first listener is still bound: %v", err)
	}
	_ = again.Close()
	if _, err := os.Lstat(in(folder, "in.sock")); !os.IsNotExist(err) {
		t.Fatalf("the socket is still there: %v", err)
	}
}

// When the server drains, connections without calls end in two steps, new ones
// are not taken, and calls that are open go on to their end.
func TestDrain(t *testing.T) {
	hold := new(sync.Mutex)
	r := serve(t, oneBackend(echo(t, hold), anyPort))
	hold.Lock()
	idle, busy := loomtest.NewDownstream(t, r.dial(0)), loomtest.NewDownstream(t, r.dial(0))
	id := busy.Unary("/test.Echo/Call", []byte("slow"))
	idle.WantSettingsAck()
	eventually(t, "the call has come", func() bool { return r.relay.OpenCalls() == 1 })

	r.stop()
	for _, down := range []*loomtest.Downstream{idle, busy} {
		if first := down.WantGoAway(http2.ErrCodeNo); first.LastStreamID != 1<<31-1 {
			t.Fatalf("first GOAWAY %+v", first)
		}
	}
	if last := busy.WantGoAway(http2.ErrCodeNo); last.LastStreamID != id {
		t.Fatalf("last GOAWAY %+v", last)
	}
	idle.WantGoAway(http2.ErrCodeNo)
	idle.WantClosed()
	idle.Close()
	if conn, err := dial(r.Addresses()[0]); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("a connection after the drain began: %v, %v", conn, err)
	}
	r.wantServing()
	hold.Unlock()
	busy.WantStatus(id, codes.OK)
	busy.WantClosed()
	busy.Close()
	r.wantServed()
	if n := r.log.FilterMessage("drain cut off").Len(); n != 0 {
		t.Fatal("a drain that came to its end says that it was cut off")
	}
}

// openCall makes the first call, to a backend that holds it, and returns where
// its end is told.
func (r *running) openCall() <-chan error {
	r.t.Helper()
	cc := r.client(0)
	ended := make(chan error, 1)
	go func() {
		_, err := ask(cc, "/test.Echo/Call", "slow")
		ended <- err
	}()
	eventually(r.t, "the call has come", func() bool { return r.relay.OpenCalls() == 1 })
	return ended
}

// A drain that is cut ends the calls that are open, and says how many.
func TestCut(t *testing.T) {
	hold := new(sync.Mutex)
	r := serve(t, oneBackend(echo(t, hold), anyPort))
	hold.Lock()
	defer hold.Unlock()
	ended := r.openCall()
	r.stop()
	select {
	case err := <-ended:
		t.Fatalf("the call ended before the drain was cut: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	r.cut()
	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Fatalf("a call that was cut: %v", err)
	}
	r.wantServed()
	cuts := r.log.FilterMessage("drain cut off").All()
	if len(cuts) != 1 || cuts[0].ContextMap()["open_calls"] != int64(1) {
		t.Fatalf("logged %v", cuts)
	}
}
