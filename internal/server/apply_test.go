package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/internal/backend"
	"loom/internal/breaker"
	"loom/internal/config"
	"loom/internal/loomtest"
)

// try applies a loom.yaml.
func (r *running) try(text string) (config.Changes, error) {
	r.t.Helper()
	cfg := parse(r.t, text)
	var changes config.Changes
	var err error
	eventually(r.t, "the server serves", func() bool {
		changes, err = r.Apply(r.t.Context(), cfg)
		return !errors.Is(err, errNotServing)
	})
	return changes, err
}

// apply is try for what has to succeed.
func (r *running) apply(text string) {
	r.t.Helper()
	if _, err := r.try(text); err != nil {
		r.t.Fatal(err)
	}
}

// setup is a loom.yaml in parts.
type setup struct{ listeners, backends, routes, rest string }

func (s setup) text() string {
	return "listeners: [" + s.listeners + "]\nbackends: {" + s.backends + "}\nroutes: [" + s.routes + "]\n" + s.rest
}

// Routes, backends and their policies change at once for the calls that come.
func TestApplyRoutes(t *testing.T) {
	one, two := newMoody(t), newMoody(t)
	c := setup{listeners: anyPort, backends: `a: {targets: ["` + one.address + `"]}`, routes: `{name: all, backend: a}`}
	r := serve(t, c.text())
	cc := r.client(0)
	want := func(code codes.Code, ones, twos int64) {
		t.Helper()
		if _, err := ask(cc, "/test.Moody/Call", "hello"); status.Code(err) != code {
			t.Fatalf("the call got %v, want %v", err, code)
		}
		if one.calls.Load() != ones || two.calls.Load() != twos {
			t.Fatalf("%d and %d calls, want %d and %d", one.calls.Load(), two.calls.Load(), ones, twos)
		}
	}
	want(codes.OK, 1, 0)
	c.backends += `, b: {targets: ["` + two.address + `"]}`
	c.routes = `{name: all, backend: b}`
	changes, err := r.try(c.text())
	if got := changes.String(); err != nil || got != "+ backend b\n~ route all: backend: a -> b" {
		t.Fatalf("changes %q, %v", got, err)
	}
	want(codes.OK, 1, 1)
	c.routes = `{name: no, match: {service: test.Moody}, deny: PERMISSION_DENIED}, {name: all, backend: a}`
	r.apply(c.text())
	want(codes.PermissionDenied, 1, 1)
	c.routes = `{name: all, backend: a}`
	c.backends = `a: {targets: ["` + two.address + `"]}`
	r.apply(c.text())
	want(codes.OK, 1, 2)
	if changes, err := r.try(c.text()); err != nil || !changes.Empty() {
		t.Errorf("the same once more: %v, %v", changes, err)
	}
	if got := r.now().shown.Text; !strings.Contains(got, two.address) {
		t.Errorf("the configuration is shown as %s", got)
	}
	if n := r.log.FilterMessage("configuration applied").Len(); n != 3 {
		t.Errorf("%d lines in the log, want 3", n)
	}
}

// A backend that stays the same keeps its connection and its figures, and so
// does one whose limits change; one that is removed is closed.
func TestApplyKeepsBackends(t *testing.T) {
	one := newMoody(t)
	c := setup{listeners: anyPort, routes: `{name: all, backend: a}`}
	backends := func(limits string) string {
		return `a: {targets: ["` + one.address + `"], limits: ` + limits + `}, b: {targets: ["` + nobody + `"]}`
	}
	c.backends = backends(`{pending: 10}`)
	r := serve(t, c.text())
	cc := r.client(0)
	for i, next := range []string{`{pending: 10}`, `{pending: 11}`, `{pending: 12, concurrent: 7}`} {
		if _, err := ask(cc, "/test.Moody/Call", "hello"); err != nil {
			t.Fatal(err)
		}
		c.backends = backends(next)
		c.rest = fmt.Sprintf("limits: {header_list: %dKiB, buffered_total: %dMiB}\n", 64+i, 100+i)
		r.apply(c.text())
		e := r.now().backends["a"].Status().Endpoints[0]
		if e.Connections != 1 || e.Good != uint64(i+1) {
			t.Fatalf("after change %d it has %d connections and %d good calls", i, e.Connections, e.Good)
		}
	}
	gone := r.now().backends["b"]
	c.backends, _, _ = strings.Cut(c.backends, ", b:")
	r.apply(c.text())
	if r.now().backends["b"] != nil {
		t.Error("backend b is still there")
	}
	eventually(t, "it is closed", func() bool { return !r.retired.has(gone) })
}

func (r *retirement) has(k *backend.Backend) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.backends, k)
}

// A call that is open when its backend is removed goes on to its end.
func TestApplyRemovesBackendInUse(t *testing.T) {
	hold := new(sync.Mutex)
	address := echo(t, hold)
	c := setup{listeners: anyPort, backends: `a: {targets: ["` + address + `"], breaker: {}}`, routes: `{name: all, backend: a}`}
	r := serve(t, c.text())
	down := loomtest.NewDownstream(t, r.dial(0))
	hold.Lock()
	id := down.Unary("/test.Echo/Call", []byte("slow"))
	eventually(t, "the call has come", func() bool { return r.now().backends["a"].Status().InFlight == 1 })
	gone := r.now().backends["a"]
	r.apply(setup{listeners: anyPort, backends: `b: {targets: ["` + nobody + `"]}`, routes: `{name: all, backend: b}`}.text())
	if !r.retired.has(gone) {
		t.Error("the backend is closed while a call is open")
	}
	hold.Unlock()
	down.WantStatus(id, codes.OK)
	eventually(t, "the backend is closed", func() bool { return !r.retired.has(gone) })
}

// A breaker keeps its state through changes of other things and of its own
// settings; one that comes begins closed, one that goes lets calls pass.
func TestApplyKeepsBreakers(t *testing.T) {
	one := newMoody(t)
	one.be(codes.Unavailable)
	text := guarded(one.address, `{trip: {consecutive: 1}, open_for: 1h, max_open_for: 2h}`)
	r := serve(t, text)
	cc := r.client(0)
	if _, err := ask(cc, "/test.Moody/Call", "hello"); status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	r.wantState(breaker.Open)
	for _, next := range []string{
		text + "limits: {streams: 17}\n",
		guarded(one.address, `{trip: {consecutive: 2}, open_for: 1h, max_open_for: 2h}`),
	} {
		r.apply(next)
		r.wantState(breaker.Open)
	}
	r.apply(guarded(one.address, `{trip: {consecutive: 2}, open_for: 10ms, max_open_for: 2h}`))
	r.wantState(breaker.HalfOpen)
	r.apply(oneBackend(one.address, anyPort))
	one.be(codes.OK)
	if _, err := ask(cc, "/test.Moody/Call", "hello"); err != nil {
		t.Error(err)
	}
	r.apply(text)
	r.wantState(breaker.Closed)
}

// Listeners come and go. Connections of one that stays are not touched,
// whatever it is called; those of one that goes drain.
func TestApplyListeners(t *testing.T) {
	hold := new(sync.Mutex)
	address, folder := echo(t, hold), socketFolder(t)
	socket := in(folder, "in.sock")
	r := serve(t, oneBackend(address, unixListener(socket, ""), `{name: other, address: "`+freeAddress(t)+`"}`))
	stays, goes := loomtest.NewDownstream(t, r.dial(0)), loomtest.NewDownstream(t, r.dial(1))
	was := r.Addresses()[1]
	hold.Lock()
	open := goes.Unary("/test.Echo/Call", []byte("slow"))
	eventually(t, "the call has come", func() bool { return r.relay.OpenCalls() == 1 })

	r.apply(oneBackend(address, `{name: renamed, address: "unix:`+socket+`", mode: "0600"}`, `{name: fresh, address: "`+freeAddress(t)+`"}`))
	if conn, err := dial(was); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection to the listener that is gone: %v, %v", conn, err)
	}
	goes.WantGoAway(http2.ErrCodeNo)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if got := r.listenerViews(); len(got) != 2 || got[0].Name != "renamed" || got[1].Name != "fresh" {
		t.Errorf("listeners %v", got)
	}
	if len(r.now().leaving) != 1 {
		t.Errorf("%d listeners drain", len(r.now().leaving))
	}
	hold.Unlock()
	goes.WantStatus(open, codes.OK)
	goes.WantClosed()
	goes.Close()
	stays.WantStatus(stays.Unary("/test.Echo/Call", []byte("hello")), codes.OK)
	fresh := loomtest.NewDownstream(t, r.dial(1))
	fresh.WantStatus(fresh.Unary("/test.Echo/Call", []byte("hello")), codes.OK)
	r.apply(oneBackend(address, unixListener(socket, "")))
	r.apply(oneBackend(address, unixListener(socket, `, mode: "0600"`)))
	if n := len(r.now().leaving); n > 1 {
		t.Errorf("%d listeners drain, one has connections", n)
	}
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// A listener that asks for something else drains those that came in before.
func TestApplyTerms(t *testing.T) {
	hold := new(sync.Mutex)
	address := echo(t, hold)
	at := freeAddress(t)
	r := serve(t, oneBackend(address, `{name: plain, address: "`+at+`"}`))
	old := loomtest.NewDownstream(t, r.dial(0))
	old.WantStatus(old.Unary("/test.Echo/Call", []byte("hello")), codes.OK)
	r.apply(oneBackend(address, `{name: plain, address: "`+at+`", max_connection_age: 1h}`))
	old.WantStatus(old.Unary("/test.Echo/Call", []byte("hello")), codes.OK)
	r.apply(oneBackend(address, `{name: plain, address: "`+at+`", proxy_protocol: true}`))
	old.WantGoAway(http2.ErrCodeNo)
	old.WantGoAway(http2.ErrCodeNo)
	old.WantClosed()
}

// What cannot be had leaves everything as it was, the parts before it included.
func TestApplyRefused(t *testing.T) {
	hold := new(sync.Mutex)
	address := echo(t, hold)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	at, free := freeAddress(t), freeAddress(t)
	plain := `{name: plain, address: "` + at + `"}`
	before := oneBackend(address, plain)
	r := serve(t, before)
	was := r.now()
	_, port, _ := net.SplitHostPort(at)
	for _, test := range []struct{ name, text, want string }{
		{"an address that is taken", oneBackend(nobody, plain, `{name: free, address: "`+free+`"}`, `{name: two, address: "`+taken.Addr().String()+`"}`),
			`nothing is applied: listener "two": listen on ` + taken.Addr().String() + `: address already in use`},
		{"an address of our own", oneBackend(address, `{name: wide, address: ":`+port+`"}`),
			`nothing is applied: listener "wide": listen on :` + port + `: address already in use by listener "plain" of this loomd: take that out first, in a change of its own`},
		{"a certificate that is not there", oneBackend(nobody, plain, `{name: tls, address: "`+free+`", tls: {cert_file: /nowhere/c.pem, key_file: /nowhere/k.pem}}`),
			`nothing is applied: listener "tls": load the certificate: `},
		{"the admin socket", before + "admin: {socket: /run/other.sock}\nlog: {level: debug}\n",
			`admin.socket: (none) -> /run/other.sock cannot be changed in a running process: run 'loomctl reload'`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := r.try(test.text); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v,\nwant  %s", err, test.want)
			}
			if r.now() != was {
				t.Error("something else is in force")
			}
			cc := r.client(0)
			if got, err := ask(cc, "/test.Echo/Call", "hello"); err != nil || got != "hello" {
				t.Errorf("a call got %q, %v", got, err)
			}
			if ln, err := net.Listen("tcp", free); err != nil {
				t.Errorf("an address is still bound: %v", err)
			} else {
				_ = ln.Close()
			}
		})
	}
}

// Nothing is applied before the server serves, nor when it has begun to stop.
func TestApplyNotServing(t *testing.T) {
	hold := new(sync.Mutex)
	text := oneBackend(echo(t, hold), anyPort)
	other := parse(t, text+"limits: {streams: 5}\n")
	r := serve(t, text)
	r.apply(text)
	r.stop()
	r.wantServed()
	if _, err := r.Apply(t.Context(), other); !errors.Is(err, errNotServing) {
		t.Errorf("error %v", err)
	}
}

// More backends than may be out of use while a call knows them: it goes on.
func TestRetiredMost(t *testing.T) {
	hold := new(sync.Mutex)
	address := echo(t, hold)
	c := setup{listeners: anyPort, routes: `{name: all, backend: a}`}
	with := func(extra string) string {
		c.backends = `a: {targets: ["` + address + `"]}` + extra
		return c.text()
	}
	r := serve(t, with(""))
	down := loomtest.NewDownstream(t, r.dial(0))
	hold.Lock()
	// Each backend goes while a call knows it that began when it was there.
	var ids []uint32
	for i := range retiredMost + 2 {
		r.apply(with(fmt.Sprintf(`, b%d: {targets: [%q]}`, i, nobody)))
		ids = append(ids, down.Unary("/test.Echo/Call", []byte("slow")))
		eventually(t, "the call has come", func() bool { return r.relay.OpenCalls() == len(ids) })
	}
	r.apply(with(""))
	if n := r.counters.RetiredEarly.Load(); n != 2 {
		t.Errorf("%d backends were given up early, want 2", n)
	}
	hold.Unlock()
	for _, id := range ids {
		down.WantStatus(id, codes.OK)
	}
	eventually(t, "all are closed", func() bool {
		r.retired.mu.Lock()
		defer r.retired.mu.Unlock()
		return len(r.retired.backends) == 0
	})
}
