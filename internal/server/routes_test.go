package server

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/relay"
	"loom/internal/route"
)

// What the file says of a route and of a backend's calls is what the relay gets.
func TestRulesOfTheFile(t *testing.T) {
	cfg := parse(t, `
listeners: [{name: plain, address: "127.0.0.1:0"}]
backends:
  users:
    targets: ["localhost:1"]
    authority: users.internal
    breaker: {failures: [ABORTED], min_deadline: 3s}
  files: {targets: ["localhost:2"]}
routes:
  - name: users
    backend: users
    match: {service: acme.users.v1.Users}
    timeout: {overall: 2s, per_try: 800ms, idle: 1m}
    retry: {max_attempts: 4, on: [UNAVAILABLE, ABORTED], backoff: {initial: 20ms, max: 3s}, budget_percent: 50}
    mirror: {backend: files, percent: 2.5}
    forwarded_for: true
    metadata:
      request: {set: {x-a: "1"}, append: {x-b: "2"}, remove: [x-c]}
      response: {append: {x-d: "3"}}
  - {name: rest, backend: files, retry: {}}
`)
	table, err := compileRoutes(cfg.Routes)
	if err != nil {
		t.Fatal(err)
	}
	got := table.Routes()[0].Rule
	want := route.Rule{
		Name: "users", Match: route.Match{Service: "acme.users.v1.Users"},
		Backends: []route.Weighted{{Name: "users", Weight: 1}},
		Timeout:  route.Timeout{Overall: 2 * time.Second, PerTry: 800 * time.Millisecond, Idle: time.Minute},
		Retry: &route.Retry{
			Attempts: 4, On: []uint32{14, 10}, Initial: 20 * time.Millisecond, Max: 3 * time.Second, BudgetPercent: 50,
		},
		Mirror: &route.Mirror{Backend: "files", Percent: 2.5}, ForwardedFor: true,
		Request: route.Edit{
			Set: []route.Field{{Name: "x-a", Value: "1"}}, Append: []route.Field{{Name: "x-b", Value: "2"}}, Remove: []string{"x-c"},
		},
		Response: route.Edit{Append: []route.Field{{Name: "x-d", Value: "3"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the rule is\n%+v, want\n%+v", got, want)
	}
	defaults := &route.Retry{Attempts: 3, On: []uint32{14}, Initial: 50 * time.Millisecond, Max: time.Second, BudgetPercent: 20}
	if got := table.Routes()[1].Rule.Retry; !reflect.DeepEqual(got, defaults) {
		t.Errorf("retries without more are %+v, want %+v", got, defaults)
	}
	users := relay.Policy{Failures: []codes.Code{codes.Aborted}, MinDeadline: 3 * time.Second, Authority: "users.internal"}
	if got := policy(cfg.Backend("users")); !reflect.DeepEqual(got, users) {
		t.Errorf("the policy is %+v, want %+v", got, users)
	}
	if got := policy(cfg.Backend("files")); !reflect.DeepEqual(got, relay.DefaultPolicy()) {
		t.Errorf("the policy of a backend without a breaker is %+v", got)
	}
}
