package config

import (
	"fmt"
	"slices"
)

func (v *validator) listeners() {
	names := map[string]string{}
	for i := range v.cfg.Listeners {
		l := &v.cfg.Listeners[i]
		path := fmt.Sprintf("listeners[%d]", i)
		v.unique(path+".name", l.Name, names, "there is another listener named "+l.Name)
		if l.Address.Network == "tcp" && v.source.given(path+".mode") {
			v.wrong(path+".mode", "mode is for Unix sockets, and this listener has the TCP address %s", l.Address)
		}
		if l.TLS != nil {
			v.listenerTLS(path+".tls", l.TLS)
		}
		if isBinary(l.IdentityMetadata) {
			v.wrong(path+".identity_metadata", "an identity is text, and %s, whose name ends in -bin, is not", l.IdentityMetadata)
		}
		if l.AgeGrace > 0 && l.MaxConnectionAge == 0 && !v.source.given(path+".max_connection_age") {
			v.wrong(path+".max_connection_age_grace", "max_connection_age_grace is of no use without max_connection_age")
		}
	}
}

func (v *validator) listenerTLS(path string, t *ListenerTLS) {
	switch {
	case t.ClientAuth != "none" && t.ClientCAFile == "":
		v.wrong(path+".client_auth", "client_auth %s needs client_ca_file", t.ClientAuth)
	case t.ClientAuth == "none" && t.ClientCAFile != "":
		v.source.doubt(path+".client_ca_file", "add client_auth: require, or optional", "clients are not asked for a certificate, so that client_ca_file is of no use")
	}
}

// asksClients reports whether some listener asks clients for a certificate.
func (v *validator) asksClients() bool {
	return slices.ContainsFunc(v.cfg.Listeners, func(l Listener) bool { return l.TLS != nil && l.TLS.ClientAuth != "none" })
}

// boundAddress is an address that loomd listens on.
type boundAddress struct {
	what, path string
	closed     string // why no target may be there
	endpoint   endpoint
}

// Why a target must not lead to loomd itself.
const (
	closedLoop  = "calls would go round for ever"
	closedOwner = "callers must not reach it"
)

// bound returns every address that loomd listens on, in the order of the file.
func (v *validator) bound() []boundAddress {
	var all []boundAddress
	for i, l := range v.cfg.Listeners {
		all = append(all, boundAddress{"listener " + l.Name, fmt.Sprintf("listeners[%d].address", i), closedLoop, l.Address.endpoint()})
	}
	if in := v.cfg.Inspector; in != nil {
		all = append(all, boundAddress{"the inspector", "inspector.address", closedOwner, in.Address.endpoint()})
	}
	if m := v.cfg.Metrics; m != nil {
		all = append(all, boundAddress{"metrics", "metrics.address", closedOwner, m.Address.endpoint()})
	}
	if socket := v.cfg.Admin.Socket; socket != "" {
		all = append(all, boundAddress{"the admin socket", "admin.socket", closedOwner, endpoint{network: "unix", host: socket}})
	}
	return all
}

// addresses reports addresses that cannot both be listened on.
func (v *validator) addresses() {
	taken := newMeeting()
	for _, b := range v.bound() {
		if first, ok := taken.find(b.endpoint); ok {
			hint := "see " + v.source.where(first.path)
			v.source.wrong(b.path, hint, "the address is taken by "+first.what)
			continue
		}
		taken.add(b)
	}
}
