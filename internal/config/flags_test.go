package config

import (
	"errors"
	"strings"
	"testing"
)

func TestForBackend(t *testing.T) {
	cfg, err := ForBackend("127.0.0.1:9999", "localhost:50051", "127.0.0.1:9998", "")
	if err != nil {
		t.Fatal(err)
	}
	want := mustParse(t, `
listeners: [{name: plain, address: "127.0.0.1:9999"}]
backends: {default: {targets: ["localhost:50051"]}}
routes: [{name: all, backend: default}]
inspector: {address: "127.0.0.1:9998"}
`)
	if c := Diff(want, cfg); !c.Empty() {
		t.Errorf("differs from the same in a file:\n%v", c)
	}
	equal(t, "configuration", cfg, want)
}

func TestForBackendTakesSockets(t *testing.T) {
	cfg, err := ForBackend("unix:/run/in.sock", "unix:///run/users.sock", "", "")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "address", cfg.Listeners[0].Address, Address{"unix", "/run/in.sock"})
}

func TestForBackendNamesTheFlag(t *testing.T) {
	for _, test := range []struct{ listen, target, want string }{
		{"9999", "localhost:50051", `-listen: "9999" has no host (did you mean 127.0.0.1:9999?)`},
		{":9999", "50051", `-backend: "50051" has no host (did you mean localhost:50051?)`},
		{":9999", "http://localhost:50051", `-backend: a target is not a URL: "http://localhost:50051" (did you mean localhost:50051?)`},
		{":9999", "", `-backend: "" has no port (write HOST:PORT)`},
		{"", "localhost:1", `-listen: the address is empty`},
		{"127.0.0.1:9999", "localhost:9999", `-backend: the target localhost:9999 is listener plain itself: calls would go round for ever (see -listen)`},
		{":9999", "127.0.0.1:9999", `-backend: the target 127.0.0.1:9999 is listener plain itself: calls would go round for ever (see -listen)`},
		{"unix:/a.sock", "unix:/a.sock", `-backend: the target unix:/a.sock is listener plain itself: calls would go round for ever (see -listen)`},
		{"x", "y", "-listen: \"x\" has no port (write HOST:PORT)\n-backend: \"y\" has no port (write HOST:PORT)"},
	} {
		cfg, err := ForBackend(test.listen, test.target, "", "")
		var list Errors
		if cfg != nil || !errors.As(err, &list) {
			t.Errorf("-listen %q -backend %q: got %v and error %v", test.listen, test.target, cfg, err)
			continue
		}
		if err.Error() != test.want {
			t.Errorf("-listen %q -backend %q: got\n%v\nwant\n%v", test.listen, test.target, err, test.want)
		}
	}
}

func TestForBackendLeavesOthersAlone(t *testing.T) {
	for _, target := range []string{"10.0.0.1:9999", "users.svc:9999", "localhost:9998", "unix:/run/x.sock"} {
		if _, err := ForBackend("127.0.0.1:9999", target, "", ""); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	if _, err := ForBackend("127.0.0.1:0", "127.0.0.1:50051", "", ""); err != nil {
		t.Errorf("any free port: %v", err)
	}
}

func TestDefault(t *testing.T) {
	if got := strings.Join([]string{Default().Log.Level, Default().Limits.HeaderList.String()}, " "); got != "info 64KiB" {
		t.Errorf("got %s", got)
	}
}

func TestForBackendAndWhoWatches(t *testing.T) {
	for _, test := range []struct{ inspector, metrics, want string }{
		{"127.0.0.1:9999", "", `-inspector: the address is taken by listener plain (see -listen)`},
		{"127.0.0.1:9998", ":9998", `-metrics: the address is taken by the inspector (see -inspector)`},
		{":9998", "", `-inspector: other machines reach :9998, so the inspector needs tls and token_file (did you mean 127.0.0.1:9998?)`},
		{"unix:/a.sock", "", `-inspector: the inspector is for browsers, which reach no Unix socket (write 127.0.0.1:9998)`},
		{"", "9997", `-metrics: "9997" has no host (did you mean 127.0.0.1:9997?)`},
		{"127.0.0.1:50051", "", `-backend: the target localhost:50051 is the inspector itself: callers must not reach it (see -inspector)`},
		{"", ":50051", `-backend: the target localhost:50051 is metrics itself: callers must not reach it (see -metrics)`},
	} {
		_, err := ForBackend("127.0.0.1:9999", "localhost:50051", test.inspector, test.metrics)
		if err == nil || err.Error() != test.want {
			t.Errorf("-inspector %q -metrics %q: got\n%v\nwant\n%v", test.inspector, test.metrics, err, test.want)
		}
	}
}
