package backend_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/loomtest"
)

// Each form of a target leads where gRPC says it does.
func TestTargets(t *testing.T) {
	for _, tt := range []struct{ uri, network, address, name string }{
		{"127.0.0.1:80", "tcp", "127.0.0.1:80", "127.0.0.1:80"},
		{"[::1]:80", "tcp", "[::1]:80", "[::1]:80"},
		{"dns:///127.0.0.1:80", "tcp", "127.0.0.1:80", "127.0.0.1:80"},
		{"dns:127.0.0.1:80", "tcp", "127.0.0.1:80", "127.0.0.1:80"},
		{"dns://8.8.8.8/127.0.0.1:80", "tcp", "127.0.0.1:80", "127.0.0.1:80"},
		{"passthrough:///some.host:80", "tcp", "some.host:80", "some.host:80"},
		{"unix:/run/b.sock", "unix", "/run/b.sock", "unix:/run/b.sock"},
		{"unix:///run/b.sock", "unix", "/run/b.sock", "unix:/run/b.sock"},
		{"unix-abstract:b.sock", "unix", "@b.sock", "unix-abstract:b.sock"},
	} {
		t.Run(tt.uri, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := loomtest.Listen()
				ups := loomtest.ServeUpstream(t, l)
				r := newRig(t, func(o *backend.Options) {
					o.Targets = []backend.Target{{URI: tt.uri}}
					o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
						if network != tt.network || address != tt.address {
							t.Errorf("dialled %s %q, want %s %q", network, address, tt.network, tt.address)
						}
						return l.DialAddr(ctx, address)
					}
				})
				c := r.call("c")
				wantCall(t, ups.Accept(), "c")
				if c.placedAt() != tt.name {
					t.Fatalf("endpoint %q, want %q", c.placedAt(), tt.name)
				}
			})
		})
	}
}

func TestWrongTargets(t *testing.T) {
	const form = "neither host:port nor a URI of a known scheme"
	for uri, want := range map[string]string{
		"":                        form,
		"localhost":               form,
		"xds:///service":          form,
		"http://example.test":     form,
		"http://example.test:80/": form,
		"passthrough:///":         `resolve "passthrough:///": `,
		"unix://host/path":        `resolve "unix://host/path": `,
		"dns:///host:":            `resolve "dns:///host:": `,
		"names:///broken":         `resolve "names:///broken": the name is broken`,
	} {
		t.Run(uri, func(t *testing.T) {
			_, err := backend.New(backend.Options{
				Name: "orders", Targets: []backend.Target{{URI: "names:///good of " + t.Name()}, {URI: uri}}, Connections: 1, H2: h2Options(),
			})
			if err == nil || !strings.HasPrefix(err.Error(), `backend "orders": `) || !strings.Contains(err.Error(), want) {
				t.Fatalf("error %v, want one that says %s", err, want)
			}
			if want != form && directory.find(t, "good of "+t.Name()).closed != 1 {
				t.Fatal("the resolver of the other target still runs")
			}
		})
	}
}

// A Unix socket, for real.
func TestUnixSocket(t *testing.T) {
	path := t.TempDir() + "/b.sock"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ups := loomtest.ServeUpstream(t, ln)
	r := newRig(t, func(o *backend.Options) { o.Targets, o.Dial = []backend.Target{{URI: "unix:" + path}}, nil })
	r.call("c")
	wantCall(t, ups.Accept(), "c")
}

// Calls go round the endpoints of all targets; an address that two targets
// lead to counts once.
func TestRoundRobin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///some", "passthrough:///c", "passthrough:///a"))
		if err := directory.find(t, "some").resolveTo("b", "a", "b"); err != nil {
			t.Fatal(err)
		}
		ups := make(map[string]*loomtest.Upstream)
		first := r.call("first")
		for _, address := range []string{"a", "b", "c"} {
			ups[address] = r.accept(address)
		}
		first.want(t, "placed")
		ups[first.placedAt()].TrailersOnly(wantCall(t, ups[first.placedAt()], "first"), codes.OK)
		count := make(map[string]int)
		for i := range 300 {
			c := r.call(strconv.Itoa(i))
			c.want(t, "placed")
			count[c.placedAt()]++
			up := ups[c.placedAt()]
			up.TrailersOnly(wantCall(t, up, c.name), codes.OK)
			synctest.Wait()
		}
		if count["a"] != 100 || count["b"] != 100 || count["c"] != 100 {
			t.Fatalf("300 calls went to %v", count)
		}
	})
}

// Calls wait for the first answer about a name, and hear if it is bad news.
func TestUnresolvedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///slow"))
		name := directory.find(t, "slow")
		c := r.call("c")
		time.Sleep(time.Hour)
		c.want(t, "waits")
		name.cc.ReportError(errors.New("server failure"))
		c.want(t, "refused: resolve names:///slow: server failure")
		r.call("d").want(t, "refused: resolve names:///slow: server failure")
		if err := name.resolveTo("a"); err != nil {
			t.Fatal(err)
		}
		r.call("e")
		wantCall(t, r.accept("a"), "e")
	})
}

// One name that cannot be resolved does not fail calls while another may be.
func TestOneOfTwoNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///bad", "names:///good"))
		c := r.call("c")
		directory.find(t, "bad").cc.ReportError(errors.New("no such host"))
		c.want(t, "waits")
		if err := directory.find(t, "good").resolveTo("a"); err != nil {
			t.Fatal(err)
		}
		wantCall(t, r.accept("a"), "c")
	})
}

// What a name resolved to stays in force when it can no longer be resolved.
func TestLastGoodAnswerIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///shaky"))
		name := directory.find(t, "shaky")
		if err := name.resolveTo("a"); err != nil {
			t.Fatal(err)
		}
		up, _ := r.warm()
		name.cc.ReportError(errors.New("server failure"))
		if name.resolveTo() == nil {
			t.Fatal("an empty answer was taken, so that the resolver does not ask again")
		}
		if name.resolveTo("") == nil {
			t.Fatal("an empty address was taken")
		}
		r.call("second")
		wantCall(t, up, "second")
		up.Close()
		synctest.Wait()
		r.call("third")
		wantCall(t, r.accept("a"), "third")
	})
}

// An endpoint that leaves lets its calls end and takes no more; calls that
// wait go to the one that came.
func TestEndpointsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///moving"), connections(1))
		name := directory.find(t, "moving")
		if err := name.resolveTo("a"); err != nil {
			t.Fatal(err)
		}
		old, c := r.warm(maxStreams(1))
		d := r.call("waits")
		if err := name.resolveTo("b"); err != nil {
			t.Fatal(err)
		}
		up := r.accept("b")
		wantCall(t, up, "waits")
		d.want(t, "placed")
		old.TrailersOnly(1, codes.OK)
		c.want(t, "replied")
		old.WantClosed()

		// One that stays keeps its connection.
		if err := name.resolveTo("b", "c"); err != nil {
			t.Fatal(err)
		}
		e, f := r.call("e"), r.call("f")
		e.want(t, "placed")
		f.want(t, "placed")
		if e.placedAt() != "b" || f.placedAt() != "b" || r.dialled("b") != 1 {
			t.Fatalf("calls went to %s and %s; %d connections to b", e.placedAt(), f.placedAt(), r.dialled("b"))
		}
		r.accept("c")
	})
}

// A connection that is on its way to an endpoint which leaves takes no call.
func TestEndpointLeavesWhileDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///gone"))
		name := directory.find(t, "gone")
		if err := name.resolveTo("a"); err != nil {
			t.Fatal(err)
		}
		c := r.call("c")
		up := r.accept("a", loomtest.Silent(), loomtest.Without(loomtest.AutoSettingsAck))
		if err := name.resolveTo("b"); err != nil {
			t.Fatal(err)
		}
		wantCall(t, r.accept("b"), "c")
		up.Settings()
		up.SettingsAck()
		up.WantClosed()
		c.want(t, "placed")
	})
}

// Names are asked for again when a connection is lost or cannot be had, and
// from time to time while there are calls.
func TestNamesAreAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///again"))
		name := directory.find(t, "again")
		if err := name.resolveTo("a"); err != nil {
			t.Fatal(err)
		}
		asked := 0
		wantAsked := func(why string, more int) {
			t.Helper()
			synctest.Wait()
			if asked += more; name.timesAsked() != asked {
				t.Fatalf("%s: asked %d times, want %d", why, name.timesAsked(), asked)
			}
		}
		up, _ := r.warm()
		wantAsked("a first call", 0)
		time.Sleep(time.Hour)
		wantAsked("an hour without calls", 0)
		for range 10 {
			r.call("later")
		}
		wantAsked("calls after a while", 1)
		time.Sleep(backend.ReresolveEvery + 1)
		r.call("yet later")
		wantAsked("a call after a while", 1)
		up.Close()
		wantAsked("a connection is lost", 1)
		_ = r.listener("a").Close()
		r.call("in vain")
		wantAsked("a connection is refused", 1)
	})
}

// A name with more addresses than anybody needs costs only so many endpoints.
func TestTooManyAddresses(t *testing.T) {
	r := newRig(t, targets("names:///many", "passthrough:///one"))
	var addresses []string
	for i := range 1500 {
		addresses = append(addresses, strconv.Itoa(i))
	}
	if err := directory.find(t, "many").resolveTo(addresses...); err != nil {
		t.Fatal(err)
	}
	st := r.backend.Status()
	if len(st.Endpoints) != 1000 || st.LeftOut != 501 {
		t.Fatalf("%d endpoints, %d addresses left out", len(st.Endpoints), st.LeftOut)
	}
	if n := r.counters.EndpointsLeftOut.Load(); n < 500 {
		t.Fatalf("EndpointsLeftOut = %d", n)
	}
}

func TestResolversAreClosed(t *testing.T) {
	for name, end := range map[string]func(k *backend.Backend){
		"close": (*backend.Backend).Close,
		"drain": func(k *backend.Backend) {
			b := h2.NewBatch()
			k.Drain(b)
			b.Flush()
			k.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, targets("names:///closing"))
				n := directory.find(t, "closing")
				end(r.backend)
				if n.closed != 1 {
					t.Fatalf("the resolver was closed %d times", n.closed)
				}
				if err := n.resolveTo("a"); err != nil {
					t.Fatalf("a late answer: %v", err)
				}
				n.cc.ReportError(errors.New("late"))
				r.call("c").want(t, "refused: "+backend.ErrStopped.Error())
			})
		})
	}
}
