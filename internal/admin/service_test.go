package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/config"
)

func TestShow(t *testing.T) {
	g := newRig(t, everybody())
	ctx := within(t)
	st, err := g.GetStatus(ctx, &loomv1.GetStatusRequest{})
	if err != nil || st.GetVersion() != "v1" || st.GetPid() != 42 || st.GetConfigPath() != "loom.yaml" || st.GetRoutes() != 1 ||
		st.GetLimits()[0].GetHits() != 3 || !st.GetListeners()[0].GetTls() || st.GetCapture().GetMode() != loomv1.CaptureMode_CAPTURE_MODE_FULL || st.GetReadOnly() {
		t.Errorf("status %v, %v", st, err)
	}
	ls, err := g.ListListeners(ctx, &loomv1.ListListenersRequest{})
	if err != nil || ls.GetListeners()[0].GetAddress() != "127.0.0.1:9999" {
		t.Errorf("listeners %v, %v", ls, err)
	}
	if l := ls.GetListeners()[0]; l.GetProblem() != "q" || len(l.GetCertificates()) != 1 || l.GetCertificates()[0].GetName() != "edge" || l.GetCertificates()[0].GetError() != "r" {
		t.Errorf("listener %v", l)
	}
	routes, err := g.ListRoutes(ctx, &loomv1.ListRoutesRequest{})
	if err != nil || len(routes.GetRoutes()) != 2 || routes.GetRoutes()[1].GetDeny() != "PERMISSION_DENIED" {
		t.Fatalf("routes %v, %v", routes, err)
	}
	l := routes.GetRoutes()[0].GetLoad()
	if l.GetRate() != 12.5 || l.GetErrorShare() != 0.25 || l.GetP99().AsDuration() != 38*time.Millisecond || l.GetCalls() != 100 || l.GetErrors() != 7 {
		t.Errorf("the load is %v", l)
	}
	if routes.GetRoutes()[1].GetLoad().GetP99() != nil {
		t.Error("a route without calls has a latency")
	}
	one, err := g.GetRoute(ctx, &loomv1.GetRouteRequest{Name: "rest"})
	if err != nil || one.GetRoute().GetBackends()[0].GetName() != "shop" {
		t.Errorf("route %v, %v", one, err)
	}
	_, err = g.GetRoute(ctx, &loomv1.GetRouteRequest{Name: "gone"})
	wantCode(t, "a route that is not there", err, codes.NotFound)
	backends, err := g.ListBackends(ctx, &loomv1.ListBackendsRequest{})
	if err != nil || backends.GetBackends()[0].GetWaiting() != 3 || backends.GetBackends()[0].GetEndpoints()[0].GetError() != "e" {
		t.Errorf("backends %v, %v", backends, err)
	}
	if b, e := backends.GetBackends()[0], backends.GetBackends()[0].GetEndpoints()[0]; b.GetBalance() != "round_robin" || !b.GetPanic() ||
		e.GetWeight() != 2 || e.GetBad() != 9 || e.GetHealth() != "healthy" || !e.GetDrained() || e.GetWarmth() != 0.5 {
		t.Errorf("backend %v", b)
	}
	breakers, err := g.ListBreakers(ctx, &loomv1.ListBreakersRequest{})
	if err != nil || breakers.GetBreakers()[0].GetState() != "open" || breakers.GetBreakers()[0].GetNextProbe().AsTime().Sub(breakers.GetBreakers()[0].GetSince().AsTime()) != time.Minute {
		t.Errorf("breakers %v, %v", breakers, err)
	}
	if b := breakers.GetBreakers()[0]; b.GetVerdicts() != 20 || b.GetLastError() != "UNAVAILABLE" || b.GetLastErrorAt() != nil || b.GetTotals().GetRejected() != 310 {
		t.Errorf("breaker %v", b)
	}
	url, err := g.GetInspectorURL(ctx, &loomv1.GetInspectorURLRequest{})
	if err != nil || !strings.Contains(url.GetUrl(), "token=t") {
		t.Errorf("inspector %v, %v", url, err)
	}
}

func TestControl(t *testing.T) {
	g := newRig(t, everybody())
	ctx := within(t)
	b, err := g.DrainEndpoint(ctx, &loomv1.DrainEndpointRequest{Backend: "shop", Endpoint: "10.0.0.1:9000"})
	if err != nil || b.GetBackend().GetName() != "shop" {
		t.Errorf("drained: %v, %v", b, err)
	}
	if _, err := g.UndrainEndpoint(ctx, &loomv1.UndrainEndpointRequest{Backend: "shop", Endpoint: "10.0.0.1:9000"}); err != nil {
		t.Error(err)
	}
	k, err := g.ControlBreaker(ctx, &loomv1.ControlBreakerRequest{Backend: "shop", Action: loomv1.BreakerAction_BREAKER_ACTION_OPEN})
	if err != nil || k.GetBreaker().GetBackend() != "shop" {
		t.Errorf("breaker: %v, %v", k, err)
	}
	for _, action := range []loomv1.BreakerAction{0, 99} {
		_, err := g.ControlBreaker(ctx, &loomv1.ControlBreakerRequest{Backend: "shop", Action: action})
		wantCode(t, action.String(), err, codes.InvalidArgument)
	}
	want := []string{"drain shop 10.0.0.1:9000 true", "drain shop 10.0.0.1:9000 false", "breaker shop open by " + lookupAccount(uint32(os.Geteuid())).name}
	if !slices.Equal(g.done.told, want) {
		t.Errorf("done: %q, want %q", g.done.told, want)
	}
	if n := g.log.FilterMessage("admin change").Len(); n != 5 {
		t.Errorf("%d changes are logged, want 5, with those that failed", n)
	}
	for want, err := range map[codes.Code]error{
		codes.NotFound: &NotFoundError{What: "there is no backend"}, codes.FailedPrecondition: &RefusedError{Why: "not now"}, codes.Internal: io.ErrUnexpectedEOF,
	} {
		g.done.err = err
		_, got := g.DrainEndpoint(ctx, &loomv1.DrainEndpointRequest{Backend: "shop"})
		wantCode(t, err.Error(), got, want)
	}
}

func TestConfig(t *testing.T) {
	g := newRig(t, everybody())
	ctx := within(t)
	c, err := g.GetConfig(ctx, &loomv1.GetConfigRequest{})
	if err != nil || c.GetPath() != "loom.yaml" || !strings.Contains(c.GetText(), "shop.internal:9000") || strings.Contains(c.GetText(), "s3cret") || len(c.GetHash()) != 8 {
		t.Errorf("config %v, %v", c, err)
	}
	other := strings.Replace(runningText, "127.0.0.1:9999", "127.0.0.1:8888", 1)
	wrong := strings.Replace(runningText, "backend: shop", "backend: shob", 1)
	fromEnvironment := strings.Replace(runningText, "Bearer s3cret", "${env:LOOM_TEST}", 1)
	expired := strings.Replace(runningText, "name: plain", "name: edge", 1)
	for text, good := range map[string]bool{expired: false, runningText: true, other: true, fromEnvironment: true, wrong: false, "": false} {
		checked, err := g.CheckConfig(ctx, &loomv1.CheckConfigRequest{Name: "new.yaml", Text: []byte(text)})
		if err != nil || (len(checked.GetErrors()) == 0) != good {
			t.Errorf("%s\nis found to be %v, %v", text, checked, err)
		}
	}
	checked, err := g.CheckConfig(ctx, &loomv1.CheckConfigRequest{Name: "new.yaml", Text: []byte(wrong)})
	if err != nil {
		t.Fatal(err)
	}
	if p := checked.GetErrors()[0]; p.GetLine() != 4 || p.GetColumn() == 0 || p.GetHint() != "did you mean shop?" || !strings.HasPrefix(p.GetText(), "new.yaml:4:") {
		t.Errorf("the mistake is %v", p)
	}
	for text, want := range map[string]string{runningText: "", other: "~ listener plain: address: 127.0.0.1:9999 -> 127.0.0.1:8888"} {
		diff, err := g.DiffConfig(ctx, &loomv1.DiffConfigRequest{Name: "new.yaml", Text: []byte(text)})
		if err != nil || strings.Join(diff.GetChanges(), "\n") != want || len(diff.GetErrors()) > 0 {
			t.Errorf("diff %v, %v; want %q", diff, err, want)
		}
	}
	diff, err := g.DiffConfig(ctx, &loomv1.DiffConfigRequest{Name: "new.yaml", Text: []byte(wrong)})
	if err != nil || len(diff.GetErrors()) != 1 || len(diff.GetChanges()) > 0 {
		t.Errorf("diff of what is none: %v, %v", diff, err)
	}
}

// What becomes of the file is told: changes, mistakes, or why it cannot be.
func TestApply(t *testing.T) {
	g := newRig(t, everybody())
	running := parse(t, runningText)
	other := parse(t, strings.Replace(runningText, "9999", "8888", 1))
	_, _, wrong := config.Parse("loom.yaml", []byte("what: is this"), func(string) (string, bool) { return "", false })
	for _, test := range []struct {
		name    string
		applied func() (config.Changes, config.Warnings, error)
		changes string
		errors  int
		code    codes.Code
	}{
		{"changes", func() (config.Changes, config.Warnings, error) { return config.Diff(running, other), nil, nil },
			"~ listener plain: address: 127.0.0.1:9999 -> 127.0.0.1:8888", 0, codes.OK},
		{"nothing", func() (config.Changes, config.Warnings, error) { return config.Changes{}, nil, nil }, "", 0, codes.OK},
		{"mistakes", func() (config.Changes, config.Warnings, error) { return config.Changes{}, nil, wrong }, "", 4, codes.OK},
		{"refused", func() (config.Changes, config.Warnings, error) {
			return config.Changes{}, nil, &RefusedError{"run 'loomctl reload'"}
		}, "", 0, codes.FailedPrecondition},
	} {
		g.applied = test.applied
		a, err := g.Apply(within(t), &loomv1.ApplyRequest{})
		if status.Code(err) != test.code || strings.Join(a.GetChanges(), "\n") != test.changes || len(a.GetErrors()) != test.errors {
			t.Errorf("%s: %v, %v", test.name, a, err)
		}
	}
	if n := g.log.FilterMessage("admin change").Len(); n != 4 {
		t.Errorf("%d lines of who did it, want 4", n)
	}
}

func TestCalls(t *testing.T) {
	g := newRig(t, everybody())
	ctx := within(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, g.addCall("/a.B/Get", uint32(i%2*14)))
	}
	list, err := g.ListCalls(ctx, &loomv1.ListCallsRequest{Filter: "status:UNAVAILABLE", Limit: 1})
	if err != nil || len(list.GetCalls()) != 1 || list.GetCalls()[0].GetId() != ids[3] {
		t.Errorf("calls %v, %v; want %s", list, err, ids[3])
	}
	list, err = g.ListCalls(ctx, &loomv1.ListCallsRequest{})
	if err != nil || len(list.GetCalls()) != 5 || list.GetCalls()[0].GetId() != ids[0] {
		t.Errorf("calls %v, %v", list, err)
	}
	_, err = g.ListCalls(ctx, &loomv1.ListCallsRequest{Filter: "nokey:("})
	wantCode(t, "a text that is no filter", err, codes.InvalidArgument)
	for _, limit := range []int32{-1, maxRows + 1} {
		_, err = g.ListCalls(ctx, &loomv1.ListCallsRequest{Limit: limit})
		wantCode(t, "a limit out of bounds", err, codes.InvalidArgument)
	}
	one, err := g.GetCall(ctx, &loomv1.GetCallRequest{Id: ids[3]})
	if err != nil || one.GetCall().GetId() != ids[3] || !strings.Contains(one.GetVerdict(), "UNAVAILABLE") || len(one.GetMessages()) != 1 ||
		!strings.Contains(one.GetMessages()[0].GetJson(), `"field":1`) || one.GetSource() != "schemaless" || len(one.GetCall().GetMessages()[0].GetData()) > 0 {
		t.Errorf("call %v, %v", one, err)
	}
	_, err = g.GetCall(ctx, &loomv1.GetCallRequest{Id: "7-999"})
	wantCode(t, "a call that is not there", err, codes.NotFound)
	_, err = g.ReplayCall(ctx, &loomv1.ReplayCallRequest{Id: ids[0]})
	wantCode(t, "a replay where none may be", err, codes.FailedPrecondition)
	_, err = g.ReplayCall(ctx, &loomv1.ReplayCallRequest{Id: ids[0], Target: 9})
	wantCode(t, "a target that is none", err, codes.InvalidArgument)
	_, err = g.ReplayCall(ctx, &loomv1.ReplayCallRequest{Id: ids[0], Deadline: durationpb.New(-1)})
	wantCode(t, "a deadline in the past", err, codes.InvalidArgument)
}

// TestWatch wants each call that ends told of once, and no other.
func TestWatch(t *testing.T) {
	g := newRig(t, everybody())
	g.addCall("/a.B/Before", 14)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	stream, err := g.WatchCalls(ctx, &loomv1.WatchCallsRequest{Filter: "status:UNAVAILABLE", Ended: true})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := stream.Recv(); err != nil || len(first.GetCalls()) > 0 {
		t.Fatalf("first %v, %v", first, err)
	}
	var want, got []string
	for i := range 40 {
		id := g.addCall("/a.B/After", uint32(i%2*14))
		if i%2 == 1 {
			want = append(want, id)
		}
	}
	for len(got) < len(want) {
		r, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d calls: %v", len(got), err)
		}
		if r.GetMissed() > 0 {
			t.Errorf("%d missed", r.GetMissed())
		}
		for _, c := range r.GetCalls() {
			got = append(got, c.GetId())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("told of %v, want %v", got, want)
	}
	wrong, err := g.WatchCalls(within(t), &loomv1.WatchCallsRequest{Filter: "is:"})
	if err == nil {
		_, err = wrong.Recv()
	}
	wantCode(t, "a text that is no filter", err, codes.InvalidArgument)
}

func TestTold(t *testing.T) {
	told := newTold(2)
	row := func(id string, state loomv1.CallState) *loomv1.CallSummary {
		return &loomv1.CallSummary{Id: id, State: state}
	}
	ended := loomv1.CallState_CALL_STATE_ENDED
	for _, step := range []struct {
		in   []*loomv1.CallSummary
		want int
	}{
		{[]*loomv1.CallSummary{row("a", loomv1.CallState_CALL_STATE_OPEN)}, 0},
		{[]*loomv1.CallSummary{row("a", ended), row("a", ended), row("b", ended)}, 2},
		{[]*loomv1.CallSummary{row("a", ended), row("b", ended)}, 0},
		{[]*loomv1.CallSummary{row("c", ended)}, 1}, // a is forgotten
		{[]*loomv1.CallSummary{row("b", ended), row("c", ended)}, 0},
	} {
		if got := len(told.fresh(step.in)); got != step.want {
			t.Errorf("%v: %d are fresh, want %d", step.in, got, step.want)
		}
	}
	if len(told.ids) > 2 {
		t.Errorf("%d calls are remembered, want 2", len(told.ids))
	}
}

func TestProfile(t *testing.T) {
	g := newRig(t, everybody())
	for _, q := range []*loomv1.ProfileRequest{
		{Kind: loomv1.ProfileKind_PROFILE_KIND_HEAP}, {Kind: loomv1.ProfileKind_PROFILE_KIND_GOROUTINE},
		{Kind: loomv1.ProfileKind_PROFILE_KIND_CPU, Duration: durationpb.New(time.Second)},
	} {
		data, err := g.profile(within(t), q)
		if err != nil || !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			t.Errorf("%v: %d bytes that are no profile, %v", q.GetKind(), len(data), err)
		}
	}
	for _, q := range []*loomv1.ProfileRequest{
		{}, {Kind: loomv1.ProfileKind_PROFILE_KIND_CPU, Duration: durationpb.New(time.Millisecond)},
		{Kind: loomv1.ProfileKind_PROFILE_KIND_CPU, Duration: durationpb.New(time.Hour)},
	} {
		_, err := g.profile(within(t), q)
		wantCode(t, q.String(), err, codes.InvalidArgument)
	}
	// One at a time; whoever gives up makes room.
	ctx, giveUp := context.WithCancel(within(t))
	long := make(chan error, 1)
	go func() {
		_, err := g.profile(ctx, &loomv1.ProfileRequest{Kind: loomv1.ProfileKind_PROFILE_KIND_CPU, Duration: durationpb.New(4 * time.Minute)})
		long <- err
	}()
	eventually(t, "the long one is being made", func() bool { return len(g.server.profiles) == 1 })
	heap := func() error {
		_, err := g.profile(within(t), &loomv1.ProfileRequest{Kind: loomv1.ProfileKind_PROFILE_KIND_HEAP})
		return err
	}
	wantCode(t, "another", heap(), codes.ResourceExhausted)
	giveUp()
	wantCode(t, "given up", <-long, codes.Canceled)
	eventually(t, "there is room again", func() bool { return heap() == nil })
}

func (g *rig) profile(ctx context.Context, q *loomv1.ProfileRequest) ([]byte, error) {
	stream, err := g.Profile(ctx, q)
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, piece.GetData()...)
	}
}

// TestStandardServices are there beside the own one.
func TestStandardServices(t *testing.T) {
	g := newRig(t, everybody())
	for _, name := range []string{"", "loom.v1.Admin"} {
		h, err := grpc_health_v1.NewHealthClient(g.conn).Check(within(t), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil || h.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", name, h, err)
		}
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(g.conn).ServerReflectionInfo(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil || !strings.Contains(r.String(), "loom.v1.Admin") {
		t.Errorf("reflection says %v, %v", r, err)
	}
}
