package admin

import (
	"context"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/grpc/codes"

	loomv1 "loom/api/loom/v1"
)

// TestNeeds goes through every method of the service: one that nobody thought
// of needs everything.
func TestNeeds(t *testing.T) {
	want := map[string]need{
		"GetStatus": readOnly, "ListListeners": readOnly, "ListRoutes": readOnly, "GetRoute": readOnly, "ListBackends": readOnly,
		"ListBreakers": readOnly, "GetConfig": readOnly, "ListCalls": readOnly, "GetCall": readOnly, "WatchCalls": readOnly,
		"CheckConfig": trust, "DiffConfig": trust,
		"DrainEndpoint": change, "UndrainEndpoint": change, "ControlBreaker": change, "ReplayCall": change,
		"SetCaptureMode": change, "Profile": change, "Reload": change, "GetInspectorURL": change, "Apply": change,
	}
	got := map[string]need{}
	for _, name := range methods() {
		got[name] = needs("/" + loomv1.Admin_ServiceDesc.ServiceName + "/" + name)
	}
	if !maps.Equal(got, want) {
		t.Errorf("methods need %v, want %v", got, want)
	}
	if needs("/loom.v1.Admin/Later") != change {
		t.Error("a method that nobody knows needs less than everything")
	}
}

func methods() []string {
	var names []string
	for _, m := range loomv1.Admin_ServiceDesc.Methods {
		names = append(names, m.MethodName)
	}
	for _, s := range loomv1.Admin_ServiceDesc.Streams {
		names = append(names, s.StreamName)
	}
	return names
}

func TestJudge(t *testing.T) {
	r := rights{own: 990, group: 77, hasGroup: true, readOnly: []string{"monitor", "1003"}, lookup: func(uid uint32) account {
		return map[uint32]account{
			0: {name: "root"}, 990: {name: "loom"}, 1000: {name: "alice", groups: []string{"1000", "77"}}, 1001: {name: "bob", groups: []string{"1001"}},
			1002: {name: "monitor", groups: []string{"77"}},
		}[uid]
	}}
	alone := r
	alone.hasGroup, alone.group = false, 0
	for _, test := range []struct {
		who        process
		may, reads bool // with a group
		alone      bool // may without one
	}{
		{process{uid: 0}, true, false, true},
		{process{uid: 990}, true, false, true},
		{process{uid: 1000}, true, false, false},          // a further group
		{process{uid: 1001, gid: 77}, true, false, false}, // runs with the group
		{process{uid: 1001, gid: 1001}, false, false, false},
		{process{uid: 1002, gid: 77}, true, true, true}, // to look, although a member
		{process{uid: 1003, gid: 77}, true, true, true}, // by number, without a name
		{process{uid: 1004, gid: 1004}, false, false, false},
	} {
		if c := r.judge(test.who); c.may != test.may || c.reads != test.reads {
			t.Errorf("%+v: may use it %v, only look %v; want %v, %v", test.who, c.may, c.reads, test.may, test.reads)
		}
		if c := alone.judge(test.who); c.may != test.alone {
			t.Errorf("without a group, %+v: may use it %v, want %v", test.who, c.may, test.alone)
		}
	}
}

// TestKernelSaysWho connects for real: the log names this very process.
func TestKernelSaysWho(t *testing.T) {
	g := newRig(t, everybody())
	if _, err := g.SetCaptureMode(within(t), &loomv1.SetCaptureModeRequest{Mode: loomv1.CaptureMode_CAPTURE_MODE_OFF}); err != nil {
		t.Fatal(err)
	}
	entries := g.log.FilterMessage("admin change").All()
	if len(entries) != 1 {
		t.Fatalf("%d changes are logged, want 1", len(entries))
	}
	got := entries[0].ContextMap()
	if got["uid"] != uint32(os.Getuid()) || got["pid"] != int32(os.Getpid()) || got["user"] != lookupAccount(uint32(os.Getuid())).name ||
		got["method"] != loomv1.Admin_SetCaptureMode_FullMethodName || got["mode"] != "CAPTURE_MODE_OFF" || got["code"] != "OK" {
		t.Errorf("the log says %v", got)
	}
}

// TestReader may look at everything and change nothing.
func TestReader(t *testing.T) {
	r := everybody()
	r.own, r.readOnly = 990, []string{"4242"}
	g := newRig(t, r, process{uid: 4242, gid: 1, pid: 5})
	g.addCall("/a.B/C", 0)
	for _, name := range methods() {
		want := codes.PermissionDenied
		if needs("/loom.v1.Admin/"+name) == readOnly {
			want = codes.OK
		}
		err := g.call(name)
		if name == "GetRoute" || name == "GetCall" {
			want = codes.NotFound // an empty request names none
			if name == "GetCall" {
				want = codes.InvalidArgument
			}
		}
		wantCode(t, name, err, want)
	}
	if len(g.done.told) > 0 {
		t.Errorf("a reader changed something: %v", g.done.told)
	}
	st, err := g.GetStatus(within(t), &loomv1.GetStatusRequest{})
	if n := g.server.opts.Counters.Denied.Load(); err != nil || !st.GetReadOnly() || n != 11 {
		t.Errorf("status says %v, read only %v, denied %d; want 11", err, st.GetReadOnly(), n)
	}
	if g.log.FilterMessage("admin change").Len() > 0 {
		t.Error("a change is logged that was none")
	}
}

// TestStranger may not even look.
func TestStranger(t *testing.T) {
	r := everybody()
	r.own = 990
	g := newRig(t, r, process{uid: 4242, gid: 1, pid: 5})
	for _, name := range methods() {
		wantCode(t, name, g.call(name), codes.PermissionDenied)
	}
	denied := g.log.FilterMessage("admin call denied").All()
	if len(denied) != len(methods()) || denied[0].ContextMap()["uid"] != uint32(4242) {
		t.Errorf("%d denials are logged, want %d: %v", len(denied), len(methods()), denied)
	}
}

// call makes a call with an empty request, and takes one answer of a stream.
func (g *rig) call(name string) error {
	ctx, cancel := context.WithCancel(within(g.t))
	defer cancel()
	method := "/" + loomv1.Admin_ServiceDesc.ServiceName + "/" + name
	for i, s := range loomv1.Admin_ServiceDesc.Streams {
		if s.StreamName != name {
			continue
		}
		stream, err := g.conn.NewStream(ctx, &loomv1.Admin_ServiceDesc.Streams[i], method)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&loomv1.GetStatusRequest{}); err != nil {
			return err
		}
		return stream.RecvMsg(&loomv1.GetStatusResponse{})
	}
	return g.conn.Invoke(ctx, method, &loomv1.GetStatusRequest{}, &loomv1.GetConfigRequest{})
}

// TestNoUnixSocket is refused: the kernel knows nobody at the other end.
func TestNoUnixSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
		}
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if p, err := askKernel(c); err == nil {
		t.Errorf("the kernel is said to know %+v", p)
	}
}

func TestGroupID(t *testing.T) {
	for group, ok := range map[string]bool{"0": true, "4711": true, "no-such-group-here": false} {
		gid, err := GroupID(group)
		if (err == nil) != ok || ok && strconv.Itoa(gid) != group {
			t.Errorf("%s: %d, %v", group, gid, err)
		}
	}
	if _, err := newRights("no-such-group-here", nil); err == nil {
		t.Error("a group that is not there is taken")
	}
	if !slices.Contains(lookupAccount(0).groups, "0") {
		t.Errorf("root is in the groups %v", lookupAccount(0).groups)
	}
}
