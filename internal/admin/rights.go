package admin

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

// need is what a method asks of its caller.
type need uint8

const (
	change   need = iota // all rights; it is logged
	trust                // all rights, though nothing is changed
	readOnly             // whoever may use the service at all
)

// needs names the methods that ask for less than everything.
func needs(method string) need {
	switch method {
	case loomv1.Admin_GetStatus_FullMethodName, loomv1.Admin_ListListeners_FullMethodName,
		loomv1.Admin_ListRoutes_FullMethodName, loomv1.Admin_GetRoute_FullMethodName,
		loomv1.Admin_ListBackends_FullMethodName, loomv1.Admin_ListBreakers_FullMethodName,
		loomv1.Admin_GetConfig_FullMethodName,
		loomv1.Admin_ListCalls_FullMethodName, loomv1.Admin_GetCall_FullMethodName, loomv1.Admin_WatchCalls_FullMethodName,
		"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":
		return readOnly
	case loomv1.Admin_CheckConfig_FullMethodName, loomv1.Admin_DiffConfig_FullMethodName:
		// What they say of a text may quote the environment of loomd.
		return trust
	}
	return change
}

// rights says who may do what.
type rights struct {
	// Immutable.
	own      uint32   // the user that loomd runs as
	group    uint32   // whose members may do everything
	hasGroup bool     // else nobody but own and root
	readOnly []string // users, by name or number, that may only look
	lookup   func(uid uint32) account
}

// account is what the system knows of a user.
type account struct {
	name   string   // empty if it has none
	groups []string // their numbers
}

// lookupAccount asks the system. A user that it does not know has no groups.
func lookupAccount(uid uint32) account {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return account{}
	}
	groups, err := u.GroupIds()
	if err != nil {
		groups = nil
	}
	return account{name: u.Username, groups: groups}
}

func newRights(group string, readers []string) (rights, error) {
	r := rights{own: uint32(os.Geteuid()), readOnly: readers, lookup: lookupAccount}
	if group == "" {
		return r, nil
	}
	gid, err := GroupID(group)
	if err != nil {
		return r, err
	}
	r.group, r.hasGroup = uint32(gid), true
	return r, nil
}

// GroupID returns the number of a group of the machine, given by name or
// number.
func GroupID(group string) (int, error) {
	if n, err := strconv.ParseUint(group, 10, 32); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("admin.group: there is no group %q on this machine", group)
	}
	return strconv.Atoi(g.Gid)
}

// caller is who makes a call.
type caller struct {
	process

	name  string // may be empty
	may   bool   // use the service
	reads bool   // and no more
}

// judge says who a process is and what it may do. Root and loomd's own user
// may do everything; members of the group may unless they are named as readers.
func (r *rights) judge(p process) caller {
	a := r.lookup(p.uid)
	c := caller{process: p, name: a.name}
	id := strconv.FormatUint(uint64(p.uid), 10)
	switch {
	case p.uid == 0 || p.uid == r.own:
		c.may = true
	case slices.Contains(r.readOnly, id) || a.name != "" && slices.Contains(r.readOnly, a.name):
		c.may, c.reads = true, true
	case r.hasGroup:
		c.may = p.gid == r.group || slices.Contains(a.groups, strconv.FormatUint(uint64(r.group), 10))
	}
	return c
}

// String names the user, by number if it has no name.
func (c caller) String() string {
	if c.name != "" {
		return c.name
	}
	return "user " + strconv.FormatUint(uint64(c.uid), 10)
}

// callerKey is the key of the caller in the context of a handler.
type callerKey struct{}

// callerOf returns who makes the call that a handler is for.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// admit returns who makes a call, and why it may not.
func (r *rights) admit(ctx context.Context, method string) (caller, error) {
	var who process
	p, ok := peer.FromContext(ctx)
	if ok {
		who, ok = p.AuthInfo.(process)
	}
	if !ok {
		return caller{}, status.Error(codes.PermissionDenied, "nobody knows who makes this call")
	}
	c := r.judge(who)
	switch {
	case !c.may:
		return c, status.Error(codes.PermissionDenied, "this socket is for root, for the user that runs loomd, and for the members of admin.group")
	case c.reads && needs(method) != readOnly:
		return c, status.Error(codes.PermissionDenied, "admin.read_only lets you look and no more")
	}
	return c, nil
}
