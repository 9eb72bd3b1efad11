package config

import (
	"fmt"
	"strings"
)

// inspector checks that strangers cannot read the calls, and that browsers can.
func (v *validator) inspector() {
	in := v.cfg.Inspector
	if in == nil {
		return
	}
	e := in.Address.endpoint()
	switch {
	case e.network == "unix":
		v.source.wrong("inspector.address", "write 127.0.0.1:9998", "the inspector is for browsers, which reach no Unix socket")
	case e.network == "" || e.local() && !e.wildcard():
	case in.TLS == nil || in.TokenFile == "":
		var missing []string
		if in.TLS == nil {
			missing = append(missing, "tls")
		}
		if in.TokenFile == "" {
			missing = append(missing, "token_file")
		}
		v.source.wrong("inspector.address", fmt.Sprintf("did you mean 127.0.0.1:%d?", e.port),
			fmt.Sprintf("other machines reach %s, so the inspector needs %s", in.Address, strings.Join(missing, " and ")))
	case e.wildcard() && len(in.AllowHosts) == 0:
		v.source.doubt("inspector.address", "list the names under allow_hosts",
			"browsers on other machines are turned away: the inspector knows no name by which they reach it")
	}
}
