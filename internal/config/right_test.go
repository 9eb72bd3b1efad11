package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// mustLoad reads a file that has to be right.
func mustLoad(t *testing.T, file string) (*Config, Warnings) {
	t.Helper()
	cfg, warnings, err := Load(file, environment)
	if err != nil {
		t.Fatalf("%s:\n%v", file, err)
	}
	return cfg, warnings
}

// mustParse reads a text that has to be right.
func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	cfg, _, err := Parse("test.yaml", []byte(text), environment)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is\n%+v, want\n%+v", what, got, want)
	}
}

func TestMinimalFileHasDefaults(t *testing.T) {
	cfg, warnings := mustLoad(t, "testdata/right/minimal.yaml")
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	equal(t, "listeners", cfg.Listeners, []Listener{{
		Name: "plain", Address: Address{"tcp", "127.0.0.1:9999"}, Mode: 0o600,
	}})
	equal(t, "backends", cfg.Backends, []Backend{{
		Name: "users", Targets: []Target{{Target: "localhost:50051", Weight: 1}},
		Balance: "round_robin", ConnectTimeout: Duration(5 * time.Second),
		Keepalive: Keepalive{Interval: Duration(330 * time.Second), Timeout: Duration(10 * time.Second)},
		Limits:    BackendLimits{Connections: 4, Pending: 4096},
	}})
	equal(t, "routes", cfg.Routes, []Route{{Name: "all", Backend: "users"}})
	equal(t, "limits", cfg.Limits, Limits{
		PrefaceTimeout: Duration(10 * time.Second), TLSHandshakeTimeout: Duration(10 * time.Second), TLSHandshakes: 512, Connections: 10_000, Streams: 1000,
		HeaderList: 64 << 10, HeaderFields: 200, Continuations: 16,
		BufferedPerConnection: 4 << 20, StreamStall: Duration(5 * time.Minute), KeptRequest: 64 << 10,
	})
	equal(t, "restart", cfg.Restart, Restart{ReadyTimeout: Duration(time.Minute), Drain: Duration(30 * time.Second), Probation: Duration(3 * time.Second), Generations: 4})
	equal(t, "log", cfg.Log, Log{Level: "info", Format: "auto"})
	equal(t, "inspector", cfg.Inspector, (*Inspector)(nil))
}

func TestEverySupportedKey(t *testing.T) {
	cfg, warnings := mustLoad(t, "testdata/right/supported.yaml")
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	equal(t, "listeners", cfg.Listeners, []Listener{
		{Name: "plain", Address: Address{"tcp", ":9999"}, Mode: 0o600},
		{Name: "six", Address: Address{"tcp", "[2001:db8::1]:9998"}, Mode: 0o600},
		{Name: "any", Address: Address{"tcp", "127.0.0.1:0"}, Mode: 0o600},
		{Name: "other", Address: Address{"tcp", "127.0.0.1:0"}, Mode: 0o600},
		{Name: "local", Address: Address{"unix", "/run/loomd/in.sock"}, Mode: 0o660},
		{Name: "slashes", Address: Address{"unix", "/run/loomd/in2.sock"}, Mode: 0o666},
	})
	b := cfg.Backend("users")
	if b == nil {
		t.Fatal("there is no backend users")
	}
	equal(t, "targets", b.Targets, []Target{
		{"localhost:50051", 1}, {"dns:///users.svc:9000", 1}, {"dns://10.0.0.53:53/users.svc:9000", 1},
		{"passthrough:///users:9000", 1}, {"unix:/run/users.sock", 2}, {"[2001:db8::2]:9000", 1},
	})
	equal(t, "connect_timeout", b.ConnectTimeout, Duration(1500*time.Millisecond))
	equal(t, "keepalive", b.Keepalive, Keepalive{Interval: 0, Timeout: Duration(time.Second)})
	equal(t, "limits", b.Limits, BackendLimits{Connections: 2, Concurrent: 1000, Pending: 0})
	equal(t, "balance", b.Balance, "ring_hash")
	equal(t, "ring_hash", b.RingHash, &RingHash{Metadata: "x-user"})
	equal(t, "health", b.Health, &Health{Interval: Duration(2 * time.Second), Timeout: Duration(500 * time.Millisecond), Fall: 4, Rise: 1, Service: "acme.users.v1.Users"})
	equal(t, "outlier", b.Outlier, &Outlier{Consecutive: 7, EjectFor: Duration(10 * time.Second), MaxEjectFor: Duration(time.Minute), MaxEjectedPercent: 34})
	equal(t, "slow_start", b.SlowStart, Duration(30*time.Second))
	equal(t, "other backend", cfg.Backend("users.v2").Targets, []Target{{"localhost:50052", 1}})
	if cfg.Backend("nobody") != nil {
		t.Error("there is a backend nobody")
	}

	gold := "gold"
	equal(t, "first route", cfg.Routes[0], Route{
		Name: "first",
		Match: Match{
			Service: "acme.users.v1.Users", Method: "GetUser", Authority: "*.acme.test:443", PathRegex: `^/acme\.users\.`,
			Metadata: []MetadataMatch{{Name: "x-tier", Value: &gold}, {Name: "x-region", Regex: "^eu-"}, {Name: "trace-bin", Present: true}},
		},
		Backends: []WeightedBackend{{"users", 95}, {"users.v2", 1}},
		Metadata: MetadataEdits{
			Request:  MetadataEdit{Set: []MetadataField{{"x-via", "loom"}, {"token-bin", "AAEC"}, {"x-empty", ""}}, Remove: []string{"x-debug"}},
			Response: MetadataEdit{Set: []MetadataField{{"x-served-by", "loom 1"}}, Remove: []string{"server", "x-powered-by"}},
		},
	})
	equal(t, "second route", cfg.Routes[1], Route{Name: "refused", Match: Match{Service: "acme.admin.v1.Admin"}, Deny: 7})
	equal(t, "split of the first", cfg.Routes[0].Split(), []WeightedBackend{{"users", 95}, {"users.v2", 1}})
	equal(t, "split of the second", len(cfg.Routes[1].Split()), 0)
	equal(t, "split of the third", cfg.Routes[2].Split(), []WeightedBackend{{"users", 1}})
	equal(t, "limits", cfg.Limits, Limits{
		PrefaceTimeout: Duration(time.Second), TLSHandshakeTimeout: Duration(10 * time.Second), TLSHandshakes: 512, Connections: 10, Streams: 100,
		HeaderList: 8 << 10, HeaderFields: 50, Continuations: 4,
		BufferedPerConnection: 1 << 20, BufferedTotal: 1 << 30, StreamStall: Duration(90 * time.Second), KeptRequest: 0,
	})
	equal(t, "drain", cfg.Restart.Drain, Duration(0))
	equal(t, "log", cfg.Log, Log{Level: "debug", Format: "json"})
	equal(t, "reflection", *b.Reflection, Reflection{Metadata: []MetadataField{{"authorization", "Bearer x"}}, TTL: Duration(time.Minute)})
	equal(t, "descriptors", b.Descriptors, []string{"users.protoset", "/etc/loom/users.proto"})
	equal(t, "capture of the third route", cfg.Routes[2].Capture, "metadata")
	equal(t, "capture", cfg.Capture, Capture{
		Mode: "off", Ring: Ring{100, 1 << 20}, MessageBytes: 0,
		Redact:  Redact{Metadata: []string{"x-token"}, Fields: []string{"acme.users.v1.User.email"}},
		Session: "monday.1", SessionSize: 1 << 20, SessionFiles: 2,
	})
	equal(t, "inspector", *cfg.Inspector, Inspector{
		Address:    Address{"tcp", "0.0.0.0:8443"},
		AllowHosts: []string{"loom.acme.test", "localhost:8080", "[2001:db8::1]:8443", "2001:db8::2"},
		TokenFile:  "/etc/loom/token", TLS: &InspectorTLS{CertFile: "/etc/loom/tls.crt", KeyFile: "/etc/loom/tls.key"},
	})
	equal(t, "metrics", *cfg.Metrics, Metrics{Address: Address{"unix", "/run/loomd/metrics.sock"}})
	equal(t, "admin", cfg.Admin, Admin{Socket: "/run/loomd/control.sock", Group: "loom", ReadOnly: []string{"monitor", "1003"}})
}

func TestKeysAroundTLS(t *testing.T) {
	cfg, warnings := mustLoad(t, "testdata/right/tls.yaml")
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	equal(t, "listeners", cfg.Listeners, []Listener{
		{
			Name: "edge", Address: Address{"tcp", ":7443"}, Mode: 0o600,
			TLS: &ListenerTLS{
				CertFile: "/etc/loom/tls.crt", KeyFile: "/etc/loom/tls.key",
				Certificates: []Certificate{{"/etc/loom/b.crt", "/etc/loom/b.key"}},
				ClientCAFile: "/etc/loom/ca.crt", ClientAuth: "optional",
			},
			ProxyProtocol: true, IdentityMetadata: "x-client-identity",
			MaxConnectionAge: Duration(time.Hour), AgeGrace: Duration(5 * time.Minute),
			Limits: ListenerLimits{Connections: 100, Streams: 50},
		},
		{
			Name: "open", Address: Address{"tcp", ":7444"}, Mode: 0o600,
			TLS: &ListenerTLS{CertFile: "tls.crt", KeyFile: "tls.key", ClientAuth: "none"},
		},
	})
	equal(t, "tls of users", *cfg.Backend("users").TLS, BackendTLS{
		CAFile: "/etc/loom/ca.crt", ServerName: "users.svc", CertFile: "/etc/loom/loomd.crt", KeyFile: "/etc/loom/loomd.key",
	})
	equal(t, "tls of tests", *cfg.Backend("tests").TLS, BackendTLS{InsecureSkipVerify: true})
	equal(t, "idle_timeout", cfg.Backend("users").IdleTimeout, Duration(10*time.Minute))
	equal(t, "identity", cfg.Routes[0].Match, Match{Identity: "spiffe://acme.test/ns/prod/*"})
	equal(t, "tls_handshake_timeout", cfg.Limits.TLSHandshakeTimeout, Duration(2*time.Second))
	equal(t, "tls_handshakes", cfg.Limits.TLSHandshakes, 10)
}

func TestEnvironment(t *testing.T) {
	cfg, _ := mustLoad(t, "testdata/right/environment.yaml")
	b := cfg.Backends[0]
	equal(t, "targets", b.Targets, []Target{{"users.internal:50051", 1}, {"fallback:50052", 1}, {"localhost:9999", 1}, {"localhost:50054", 1}})
	equal(t, "connect_timeout", b.ConnectTimeout, Duration(7*time.Second))
	equal(t, "connections", b.Limits.Connections, 7)
	equal(t, "pending", b.Limits.Pending, 70)
	equal(t, "set", cfg.Routes[0].Metadata.Request.Set, []MetadataField{
		{"x-literal", "${env:HOST}"},
		{"x-dollar", "$5 and $ and $$ and {}"},
		{"x-mixed", "users.internal, ${, and default: with:-signs"},
		{"x-empty", ""},
		{"x-spaces", "Bearer"},
		{"x-yaml", "{connections: 5}"},
		{"x-number", "7"},
	})
	equal(t, "regex", cfg.Routes[0].Match.PathRegex, "^/a{2}$")
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	cfg, _ := mustLoad(t, "testdata/right/anchors.yaml")
	equal(t, "keepalive of b", cfg.Backend("b").Keepalive, Keepalive{Interval: Duration(time.Minute), Timeout: Duration(time.Second)})
	equal(t, "targets of b", cfg.Backend("b").Targets, []Target{{"localhost:50052", 1}})
	equal(t, "connect_timeout of b", cfg.Backend("b").ConnectTimeout, Duration(2*time.Second))
	equal(t, "connect_timeout of c", cfg.Backend("c").ConnectTimeout, Duration(3*time.Second))
	equal(t, "pending of c", cfg.Backend("c").Limits.Pending, 9)
	equal(t, "targets of d", cfg.Backend("d").Targets, []Target{{"localhost:50053", 1}})
	equal(t, "limits of d", cfg.Backend("d").Limits, BackendLimits{Connections: 3, Pending: 9})
}

// TestEveryKey reads all that is in the example of the design: each key lands in
// its place.
func TestEveryKey(t *testing.T) {
	src, err := os.ReadFile("testdata/wrong/every_key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, mistakes := parseDocument("every_key.yaml", src)
	d, cfg := newDecoder(mistakes, environment), &Config{}
	d.decode(doc.root, cfg)
	if len(mistakes.list) > 0 {
		t.Fatal(Errors(mistakes.list))
	}
	l := cfg.Listeners[1]
	equal(t, "listener", *l.TLS, ListenerTLS{CertFile: "/etc/loom/tls.crt", KeyFile: "/etc/loom/tls.key", ClientCAFile: "/etc/loom/ca.crt", ClientAuth: "require", Certificates: []Certificate{{"/etc/loom/b.crt", "/etc/loom/b.key"}}})
	equal(t, "max_connection_age", cfg.Listeners[0].MaxConnectionAge, Duration(time.Hour))
	b := cfg.Backends[0]
	equal(t, "targets", b.Targets, []Target{{"dns:///users.svc:9000", 1}, {"unix:/run/users.sock", 2}})
	equal(t, "tls", *b.TLS, BackendTLS{CAFile: "/etc/loom/ca.crt", ServerName: "users.svc", CertFile: "/etc/loom/loomd.crt", KeyFile: "/etc/loom/loomd.key"})
	equal(t, "health", *b.Health, Health{Interval: Duration(5 * time.Second), Timeout: Duration(time.Second), Fall: 3, Rise: 2})
	equal(t, "breaker", *b.Breaker, Breaker{
		Window: Duration(time.Minute), Trip: Trip{Consecutive: 5, FailureRatio: 0.5, MinRequests: 20},
		Failures: []Code{14, 4, 13, 2, 15}, MinDeadline: Duration(time.Second), OpenFor: Duration(10 * time.Second), MaxOpenFor: Duration(2 * time.Minute),
		HalfOpen: HalfOpen{Probes: 3, ProbeTimeout: Duration(5 * time.Second)},
	})
	equal(t, "outlier", *b.Outlier, Outlier{Consecutive: 5, EjectFor: Duration(30 * time.Second), MaxEjectFor: Duration(5 * time.Minute), MaxEjectedPercent: 50})
	equal(t, "reflection", *b.Reflection, Reflection{Metadata: []MetadataField{{"authorization", "Bearer"}}, TTL: Duration(5 * time.Minute)})
	r := cfg.Routes[0]
	equal(t, "timeout", *r.Timeout, Timeout{Overall: Duration(2 * time.Second), PerTry: Duration(800 * time.Millisecond)})
	equal(t, "retry", *r.Retry, Retry{MaxAttempts: 3, On: []Code{14}, Backoff: Backoff{Duration(50 * time.Millisecond), Duration(time.Second)}, BudgetPercent: 20})
	equal(t, "mirror", *r.Mirror, Mirror{Backend: "users-v2", Percent: 1})
	equal(t, "capture", cfg.Capture, Capture{
		Mode: "full", SessionSize: 64 << 20, SessionFiles: 5,
		Ring: Ring{10_000, 64 << 20}, MessageBytes: 256 << 10,
		Redact: Redact{Metadata: []string{"authorization", "cookie"}, Fields: []string{"acme.users.v1.User.email"}},
	})
	equal(t, "inspector", cfg.Inspector.Address.Text, "127.0.0.1:9998")
	equal(t, "metrics", cfg.Metrics.Address.Text, "127.0.0.1:9997")
	equal(t, "admin", cfg.Admin, Admin{Socket: "/run/loomd/admin.sock", Group: "loom"})
}

func TestWarnings(t *testing.T) {
	found := files(t, "testdata/doubtful/*.yaml")
	for _, file := range found {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, warnings, err := Parse(filepath.Base(file), src, environment)
			if err != nil || cfg == nil || len(warnings) == 0 {
				t.Fatalf("got %v and error %v, want a Config and warnings", warnings, err)
			}
			checkPlaces(t, src, warnings)
			golden(t, strings.TrimSuffix(file, ".yaml")+".want", warnings.String()+"\n")
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, _, err := Load(filepath.Join(t.TempDir(), "loom.yaml"), environment)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want an error that says that there is no file", err)
	}
	if _, _, err := Load(t.TempDir(), environment); err == nil || !strings.Contains(err.Error(), "read configuration") {
		t.Errorf("got %v for a folder, want an error that says what failed", err)
	}
}

func TestByteOrderMarkAndLineEnds(t *testing.T) {
	src, err := os.ReadFile("testdata/right/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"byte order mark":  "\ufeff" + string(src),
		"CR LF":            strings.ReplaceAll(string(src), "\n", "\r\n"),
		"no last line end": strings.TrimRight(string(src), "\n"),
		"document markers": "---\n" + string(src) + "...\n",
	} {
		if _, _, err := Parse("test.yaml", []byte(text), environment); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
