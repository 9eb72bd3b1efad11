package config

import (
	"strings"
	"testing"
)

// base is what the tests of Diff start from.
const base = `
listeners:
  - {name: plain, address: "127.0.0.1:9999"}
  - {name: local, address: "unix:/run/in.sock"}
backends:
  users: {targets: ["localhost:50051"]}
  orders: {targets: ["localhost:50052", "localhost:50053"]}
routes:
  - name: users
    match: {service: acme.Users, metadata: [{name: x-tier, value: gold}]}
    backend: users
    metadata: {request: {set: {x-via: loom, authorization: "Bearer ${env:WORD}"}, remove: [x-debug]}}
  - {name: orders, match: {service: acme.Orders}, backends: [{name: orders, weight: 9}, {name: users, weight: 1}]}
  - {name: rest, deny: UNIMPLEMENTED}
`

func TestDiff(t *testing.T) {
	for _, test := range []struct {
		name, old, new string
		want           string
	}{
		{"nothing", "", "", "no change"},
		{
			"listener added", "backends:\n", "  - {name: more, address: \":1\"}\nbackends:\n",
			"+ listener more",
		},
		{
			"listener changed", `"127.0.0.1:9999"`, `":9998"`,
			"~ listener plain: address: 127.0.0.1:9999 -> :9998",
		},
		{
			"listener renamed", "name: local", "name: socket",
			"+ listener socket\n- listener local",
		},
		{
			"socket mode", `in.sock"}`, `in.sock", mode: "0660"}`,
			"~ listener local: mode: 0600 -> 0660",
		},
		{
			"backend added", "backends:\n", "backends:\n  pay: {targets: [\"localhost:50054\"]}\n",
			"+ backend pay",
		},
		{
			"backend changed", `users: {targets: ["localhost:50051"]}`,
			`users: {targets: ["localhost:50051", "unix:/run/users.sock"], connect_timeout: 2s, limits: {pending: 7}, keepalive: {interval: 0}}`,
			"~ backend users: targets: [{target: localhost:50051, weight: 1}] -> [{target: localhost:50051, weight: 1}, {target: unix:/run/users.sock, weight: 1}]\n" +
				"~ backend users: connect_timeout: 5s -> 2s\n" +
				"~ backend users: keepalive.interval: 5m30s -> 0s\n" +
				"~ backend users: limits.pending: 4096 -> 7",
		},
		{
			"default written out", `users: {targets: ["localhost:50051"]}`,
			`users: {targets: [{target: "localhost:50051"}], connect_timeout: 5000ms, balance: round_robin}`,
			"no change",
		},
		{
			"route removed", "  - {name: rest, deny: UNIMPLEMENTED}\n", "",
			"- route rest",
		},
		{
			"route changed", "service: acme.Users, metadata: [{name: x-tier, value: gold}]", "service: acme.Users, method: Get",
			"~ route users: match.method: (none) -> Get\n~ route users: match.metadata: [{name: x-tier, value: gold, present: false}] -> (none)",
		},
		{
			"weights", "weight: 9", "weight: 8",
			"~ route orders: backends: [{name: orders, weight: 9}, {name: users, weight: 1}] -> [{name: orders, weight: 8}, {name: users, weight: 1}]",
		},
		{
			"deny", "deny: UNIMPLEMENTED", "deny: NOT_FOUND",
			"~ route rest: deny: UNIMPLEMENTED -> NOT_FOUND",
		},
		{
			"destination", "deny: UNIMPLEMENTED", "backend: users",
			"~ route rest: backend: (none) -> users\n~ route rest: deny: UNIMPLEMENTED -> (none)",
		},
		{
			"metadata", "x-via: loom,", "x-via: \"a, b\", x-new: \"\",",
			"~ route users: metadata.request.set.x-via: loom -> \"a, b\"\n~ route users: metadata.request.set.x-new: (none) -> \"\"",
		},
		{
			"metadata removed", "x-via: loom, ", "",
			"~ route users: metadata.request.set.x-via: loom -> (none)",
		},
		{
			"secret", "${env:WORD}", "other",
			"~ route users: metadata.request.set.authorization: (hidden) differs",
		},
		{
			"secret removed", `, authorization: "Bearer ${env:WORD}"`, "",
			"~ route users: metadata.request.set.authorization: (hidden) -> (none)",
		},
		{
			"settings", "routes:\n", "log: {level: debug}\nlimits: {streams: 5, header_list: 8KiB}\nrestart: {drain: 1h}\nroutes:\n",
			"~ limits.streams: 1000 -> 5\n~ limits.header_list: 64KiB -> 8KiB\n~ restart.drain: 30s -> 1h\n~ log.level: info -> debug",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := base
			if test.old != "" {
				if text = strings.Replace(base, test.old, test.new, 1); text == base {
					t.Fatal("the text is the same")
				}
			}
			c := Diff(mustParse(t, base), mustParse(t, text))
			if got := c.String(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if c.Empty() != (test.want == "no change") {
				t.Errorf("Empty is %v", c.Empty())
			}
		})
	}
}

// TestDiffOfBlocks: a block with nothing in it switches something on.
func TestDiffOfBlocks(t *testing.T) {
	before, after := mustParse(t, base), mustParse(t, base)
	after.Backends[0].TLS = &BackendTLS{}
	if got, want := Diff(before, after).String(), "~ backend users: tls: (none) -> on\n~ backend users: tls.insecure_skip_verify: (none) -> false"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := Diff(after, before).String(), "~ backend users: tls: on -> (none)\n~ backend users: tls.insecure_skip_verify: false -> (none)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	before.Backends[0].TLS = &BackendTLS{ServerName: "users.svc"}
	if got, want := Diff(before, after).String(), "~ backend users: tls.server_name: users.svc -> (none)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDiffOfRouteOrder(t *testing.T) {
	before := mustParse(t, base)
	after := mustParse(t, base)
	after.Routes[0], after.Routes[1] = after.Routes[1], after.Routes[0]
	c := Diff(before, after)
	if got, want := c.String(), "~ routes: order: users, orders, rest -> orders, users, rest"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	equal(t, "order", c.RouteOrder, &Order{Old: []string{"users", "orders", "rest"}, New: []string{"orders", "users", "rest"}})

	// A route that is added in between changes nothing in the order of the others.
	after = mustParse(t, base)
	after.Routes = append([]Route{{Name: "first", Deny: 7}}, after.Routes[1:]...)
	if got, want := Diff(before, after).String(), "+ route first\n- route users"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestDiffOfEveryField changes each field of a whole configuration by itself:
// none may be overlooked.
func TestDiffOfEveryField(t *testing.T) {
	count := 0
	for _, field := range everyField(t) {
		before, after := fullConfig(t), fullConfig(t)
		path := field(after)
		if Diff(before, after).Empty() {
			t.Errorf("Diff does not see a change of %s", path)
		}
		count++
	}
	if count < 80 {
		t.Errorf("only %d fields were tried", count)
	}
}
