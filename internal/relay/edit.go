package relay

import (
	"net/netip"
	"slices"

	"loom/internal/h2"
	"loom/internal/route"
)

// edit returns fields as e changes them, in memory of its own.
func edit(fields []h2.Field, e *route.Edit) []h2.Field {
	out := make([]h2.Field, 0, len(fields)+len(e.Set)+len(e.Append))
	for _, f := range fields {
		if !edited(f.Name, e) {
			out = append(out, f)
		}
	}
	for _, more := range [][]route.Field{e.Set, e.Append} {
		for _, f := range more {
			out = append(out, h2.Field{Name: f.Name, Value: f.Value})
		}
	}
	return out
}

func edited(name string, e *route.Edit) bool {
	if slices.Contains(e.Remove, name) {
		return true
	}
	for i := range e.Set {
		if e.Set[i].Name == name {
			return true
		}
	}
	return false
}

func changes(e *route.Edit) bool { return len(e.Set)+len(e.Append)+len(e.Remove) > 0 }

// rewrite returns the fields of the request as the route wants them.
func (c *Call) rewrite(fields []h2.Field) []h2.Field {
	rule := &c.route.Rule
	if changes(&rule.Request) {
		fields = edit(fields, &rule.Request)
	}
	if rule.ForwardedFor {
		fields = forwardedFor(fields, c.conn.caller.Peer)
	}
	return fields
}

// forwardedFor returns fields with the address of peer at the end of
// x-forwarded-for, in memory of its own. A peer without an IP address, on a
// Unix socket, adds nothing.
func forwardedFor(fields []h2.Field, peer string) []h2.Field {
	const name = "x-forwarded-for"
	from, err := netip.ParseAddrPort(peer)
	if err != nil {
		return fields
	}
	address := from.Addr().Unmap().WithZone("").String()
	out := make([]h2.Field, len(fields), len(fields)+1)
	copy(out, fields)
	for i := len(out) - 1; i >= 0; i-- {
		if f := &out[i]; f.Name == name && f.Value != "" {
			f.Value += ", " + address
			return out
		}
	}
	return append(out, h2.Field{Name: name, Value: address})
}

// rename returns fields with the :authority that the backend is to see, in
// memory of its own, unless it sees that of the caller.
func (u *upstream) rename(fields []h2.Field) []h2.Field {
	authority := u.policy.Authority
	if authority == "" {
		return fields
	}
	out := make([]h2.Field, 0, len(fields)+1)
	out = append(out, h2.Field{Name: ":authority", Value: authority})
	for _, f := range fields {
		if f.Name != ":authority" && f.Name != "host" {
			out = append(out, f)
		}
	}
	return out
}
