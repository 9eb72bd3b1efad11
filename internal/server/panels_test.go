package server

import (
	"net"
	"slices"
	"sync"
	"testing"

	"loom/internal/config"
	"loom/internal/inspector"
)

func TestDescribeMatch(t *testing.T) {
	empty, gold := "", "gold"
	for _, test := range []struct {
		match config.Match
		want  string
	}{
		{config.Match{}, "every call"},
		{config.Match{Service: "acme.Users"}, "/acme.Users/*"},
		{config.Match{Method: "Get"}, "/*/Get"},
		{config.Match{Service: "acme.Users", Method: "Get"}, "/acme.Users/Get"},
		{config.Match{PathRegex: "^/acme"}, "path ~ ^/acme"},
		{config.Match{Authority: "*.acme.test"}, "authority *.acme.test"},
		{config.Match{Metadata: []config.MetadataMatch{{Name: "x-tier", Value: &gold}}}, "x-tier = gold"},
		{config.Match{Metadata: []config.MetadataMatch{{Name: "x-tier", Value: &empty}}}, "x-tier = "},
		{config.Match{Metadata: []config.MetadataMatch{{Name: "x-tier", Regex: "^g"}}}, "x-tier ~ ^g"},
		{config.Match{Metadata: []config.MetadataMatch{{Name: "x-tier", Present: true}}}, "x-tier is present"},
		{
			config.Match{Service: "a.B", Authority: "c", PathRegex: "d", Metadata: []config.MetadataMatch{{Name: "e", Present: true}, {Name: "f", Regex: "g"}}},
			"/a.B/*, path ~ d, authority c, e is present, f ~ g",
		},
	} {
		if got := describeMatch(&test.match); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestSampleAddress(t *testing.T) {
	for address, want := range map[string]string{"127.0.0.1:9999": "127.0.0.1:9999", "unix:/run/in.sock": "-unix /run/in.sock"} {
		if got := sampleAddress(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// TestPanels looks at backends before, during and after calls.
func TestPanels(t *testing.T) {
	hold := new(sync.Mutex)
	address := echo(t, hold)
	text := `
listeners: [` + anyPort + `]
backends:
  up: {targets: ["` + address + `"]}
  down: {targets: ["` + refused(t) + `"], connect_timeout: 1s}
routes:
  - {name: no, match: {service: test.No}, deny: PERMISSION_DENIED}
  - {name: lost, match: {service: test.Lost}, backend: down}
  - {name: rest, backends: [{name: up, weight: 3}, {name: down, weight: 0}]}
`
	r := serve(t, text)
	p := r.panels(Options{Version: "v1"}, 5)
	wantBackend(t, p, "up", "idle", 0)

	cc := r.client(0)
	hold.Lock()
	done := make(chan error, 1)
	go func() {
		_, err := ask(cc, "/test.Echo/Call", "q")
		done <- err
	}()
	eventually(t, "the open call is shown", func() bool { return backendView(t, p, "up").Load.Open == 1 })
	wantBackend(t, p, "up", "ready", 1)
	hold.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/test.No/Call", "/test.Lost/Call"} {
		if _, err := ask(cc, path, "q"); err == nil {
			t.Errorf("%s was answered", path)
		}
	}
	eventually(t, "the call is counted", func() bool { return backendView(t, p, "up").Load.Calls == 1 })
	wantBackend(t, p, "down", "backing off", 0)

	routes := p.Routes()
	if len(routes) != 3 || routes[0].Deny != "PERMISSION_DENIED" || routes[0].Load.Errors != 1 || routes[1].Load.Errors != 1 || routes[2].Load.Errors != 0 ||
		routes[2].Match != "every call" || routes[2].Load.Calls != 1 || len(routes[2].Backends) != 2 {
		t.Errorf("routes %+v", routes)
	}
	if c := p.Config(); c.Path != "" || c.Text == "" || c.Loaded.IsZero() {
		t.Errorf("configuration %+v", c)
	}
	s := p.Status()
	if s.Version != "v1" || s.Generation != 5 || s.PID == 0 || s.Goroutines == 0 || s.Memory == 0 || len(s.Listeners) != 1 || len(s.Limits) == 0 {
		t.Errorf("status %+v", s)
	}
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func backendView(t *testing.T, p inspector.Panels, name string) inspector.BackendView {
	t.Helper()
	all := p.Backends()
	i := slices.IndexFunc(all, func(v inspector.BackendView) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("no backend %s in %+v", name, all)
	}
	return all[i]
}

func wantBackend(t *testing.T, p inspector.Panels, name, state string, open int) {
	t.Helper()
	v := backendView(t, p, name)
	if len(v.Targets) != 1 || len(v.Endpoints) != 1 || v.Endpoints[0].State != state || v.Endpoints[0].Open != open {
		t.Errorf("backend %+v, want one endpoint that is %s, with %d open calls", v, state, open)
	}
}
