package route

import (
	"strings"
	"testing"
)

func TestIdentities(t *testing.T) {
	table := mustCompile(t,
		to("prod web", Match{Service: "acme.Users", Identity: "spiffe://acme.test/ns/prod/web"}),
		to("prod", Match{Identity: "spiffe://acme.test/ns/prod/*"}),
		to("dns", Match{Identity: "*.clients.acme.test"}),
		to("anybody known", Match{Identity: "*"}),
		to("rest", Match{}),
	)
	for _, tc := range []struct{ identity, path, want string }{
		{"spiffe://acme.test/ns/prod/web", "/acme.Users/Get", "prod web"},
		{"spiffe://acme.test/ns/prod/web", "/acme.Other/Get", "prod"},
		{"spiffe://acme.test/ns/prod/a/b", "/acme.Users/Get", "prod"},
		{"spiffe://acme.test/ns/PROD/web", "/acme.Users/Get", "anybody known"},
		{"spiffe://acme.test/ns/prod", "/acme.Users/Get", "anybody known"},
		{"a.clients.acme.test", "/acme.Users/Get", "dns"},
		{"a.clients.acme.test.evil.test", "/acme.Users/Get", "anybody known"},
		{"", "/acme.Users/Get", "rest"},
		{strings.Repeat("x", maxIdentity+1), "/acme.Users/Get", "rest"},
	} {
		if r := table.FindAs(tc.identity, tc.path, "", nil); r.Rule.Name != tc.want {
			t.Errorf("%q calls %s: route %q, want %q", tc.identity, tc.path, r.Rule.Name, tc.want)
		}
	}
	if got := found(table, "/acme.Users/Get", ""); got != "rest" {
		t.Errorf("a caller that nobody knows: route %q, want rest", got)
	}
	if _, err := Compile([]Rule{to("long", Match{Identity: strings.Repeat("x", maxIdentity+1)})}); err == nil {
		t.Error("an identity that nobody can have is taken")
	}
}
