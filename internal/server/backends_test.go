package server

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/internal/admin"
	"loom/internal/breaker"
	"loom/internal/inspector"
	"loom/internal/loomtest"
)

// endpoint is the view of the only endpoint of backend b.
func (r *running) endpoint() inspector.EndpointView {
	r.t.Helper()
	all := r.backendViews()
	if len(all) != 1 || len(all[0].Endpoints) != 1 {
		r.t.Fatalf("backends %+v", all)
	}
	return all[0].Endpoints[0]
}

// An endpoint that is healthy again has the breaker of its backend, which
// would be open for long, try it at once.
func TestRecoveredEndpointIsTried(t *testing.T) {
	address := refused(t)
	r := serve(t, `
listeners: [`+anyPort+`]
backends:
  b:
    targets: ["`+address+`"]
    health: {interval: 100ms, timeout: 100ms, fall: 1, rise: 2}
    breaker: {trip: {consecutive: 1}, open_for: 1h, max_open_for: 1h, half_open: {probes: 1}}
routes: [{name: all, backend: b}]
`)
	eventually(t, "the endpoint is unhealthy", func() bool { return r.endpoint().State == "unhealthy" })
	if e := r.endpoint(); e.Health != "unhealthy" || e.Error != "connect: connection refused" {
		t.Errorf("%+v", e)
	}
	cc := r.client(0)
	if got := askMany(cc, 1); got[0] != codes.Unavailable {
		t.Fatalf("the call ended with %v", got)
	}
	r.wantState(breaker.Open)

	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	(&loomtest.Backend{Unary: func(context.Context, string, []byte) ([]byte, error) {
		return nil, status.Error(codes.Unimplemented, "no health here")
	}}).Serve(t, ln)
	r.wantState(breaker.HalfOpen)
	if e := r.endpoint(); e.Health != "not offered" {
		t.Errorf("%+v", e)
	}
	for _, want := range []string{"endpoint is unhealthy", "endpoint is healthy again"} {
		eventually(t, "the log says so", func() bool { return r.log.FilterMessage(want).Len() == 1 })
	}
}

// An endpoint that an operator has drained gets no calls.
func TestDrainedEndpoint(t *testing.T) {
	r := serve(t, oneBackend(newMoody(t).address, anyPort))
	name := r.cfg.Backends[0].Name
	cc := r.client(0)
	if _, err := ask(cc, "/test.Moody/Call", "q"); err != nil {
		t.Fatal(err)
	}
	drain := func(of, endpoint string, drained bool) error {
		return controls{r.Server}.DrainEndpoint(of, endpoint, drained)
	}
	address := r.endpoint().Address
	if err := drain(name, address, true); err != nil {
		t.Fatal(err)
	}
	if e := r.endpoint(); e.State != "drained" || !e.Drained {
		t.Errorf("%+v", e)
	}
	if _, err := ask(cc, "/test.Moody/Call", "q"); err == nil {
		t.Error("a call went to an endpoint that is drained")
	}
	if err := drain(name, address, false); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(cc, "/test.Moody/Call", "q"); err != nil {
		t.Errorf("a call to an endpoint that is no longer drained: %v", err)
	}
	for of, want := range map[string]string{name: `backend "` + name + `" has no endpoint "x"`, "nobody": `there is no backend "nobody"`} {
		err := drain(of, "x", true)
		if _, ok := err.(*admin.NotFoundError); !ok || err.Error() != want { //nolint:errorlint // the type is what admin looks at
			t.Errorf("drained x of %s: %v, want %s", of, err, want)
		}
	}
}
