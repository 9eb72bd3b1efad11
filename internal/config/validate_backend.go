package config

import (
	"fmt"
	"strings"
)

func isBinary(name string) bool { return strings.HasSuffix(name, "-bin") }

func (v *validator) backends() {
	for i := range v.cfg.Backends {
		b := &v.cfg.Backends[i]
		path := fmt.Sprintf("backends[%d]", i)
		targets := map[string]string{}
		for j, t := range b.Targets {
			v.unique(fmt.Sprintf("%s.targets[%d]", path, j), t.Target, targets, "the backend has the target "+t.Target+" already")
		}
		if hash := b.Balance == "ring_hash"; hash != (b.RingHash != nil) {
			if hash {
				v.wrong(path+".balance", "ring_hash needs to know which calls belong together: ring_hash: {metadata: NAME}")
			} else if b.Balance != "" {
				v.wrong(path+".ring_hash", "ring_hash is used only with balance: ring_hash")
			}
		}
		if h := b.Health; h != nil && h.Timeout > h.Interval {
			v.wrong(path+".health.timeout", "timeout is %s, more than interval, %s: checks would overlap", h.Timeout, h.Interval)
		}
		if b.TLS != nil {
			v.backendTLS(path, b)
		}
		if o := b.Outlier; o != nil && o.MaxEjectFor < o.EjectFor {
			v.wrong(path+".outlier.max_eject_for", "max_eject_for is %s, less than eject_for, %s", o.MaxEjectFor, o.EjectFor)
		}
		if br := b.Breaker; br != nil {
			v.breaker(path+".breaker", br)
		}
		if r := b.Reflection; r != nil {
			v.binaries(path+".reflection.metadata", r.Metadata)
		}
	}
}

func (v *validator) backendTLS(path string, b *Backend) {
	t := b.TLS
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		v.wrong(path+".tls.cert_file", "cert_file needs key_file")
	case t.KeyFile != "" && t.CertFile == "":
		v.wrong(path+".tls.key_file", "key_file needs cert_file")
	}
	if t.InsecureSkipVerify {
		if t.CAFile != "" {
			v.source.doubt(path+".tls.ca_file", "", "with insecure_skip_verify any certificate will do, so that ca_file is of no use")
		}
		return
	}
	for j, target := range b.Targets {
		if t.ServerName == "" && strings.HasPrefix(target.Target, "unix:") {
			v.wrong(fmt.Sprintf("%s.targets[%d]", path, j), "TLS to a Unix socket needs tls.server_name: there is no host that the certificate could be for")
		}
	}
}

func (v *validator) breaker(path string, b *Breaker) {
	if b.MaxOpenFor < b.OpenFor {
		v.wrong(path+".max_open_for", "max_open_for is %s, less than open_for, %s", b.MaxOpenFor, b.OpenFor)
	}
	if b.Trip.Consecutive == 0 && b.Trip.FailureRatio == 0 {
		v.wrong(path+".trip", "with consecutive and failure_ratio at 0 the breaker never opens; leave breaker out instead")
	}
}

// loops reports targets that lead back to an address of this file: a call to a
// listener would go round until its deadline, and one to the inspector would
// let callers reach what is for the owner of loomd.
func (v *validator) loops() {
	listening := newMeeting()
	for _, b := range v.bound() {
		listening.add(b)
	}
	for i, b := range v.cfg.Backends {
		for j, t := range b.Targets {
			if t.Target == "" {
				continue
			}
			to, err := parseTarget(t.Target)
			if err != nil {
				continue // reported where it was read
			}
			if l, ok := listening.reach(to); ok {
				path := fmt.Sprintf("backends[%d].targets[%d].target", i, j)
				v.source.wrong(path, "see "+v.source.where(l.path), fmt.Sprintf("the target %s is %s itself: %s", t.Target, l.what, l.closed))
			}
		}
	}
}

// unused warns of backends that no route names.
func (v *validator) unused() {
	used := map[string]bool{}
	for i := range v.cfg.Routes {
		r := &v.cfg.Routes[i]
		for _, w := range r.Split() {
			used[w.Name] = true
		}
		if r.Mirror != nil {
			used[r.Mirror.Backend] = true
		}
	}
	for i, b := range v.cfg.Backends {
		if !used[b.Name] {
			v.source.doubt(fmt.Sprintf("backends[%d]", i), "", "no route leads to backend "+b.Name)
		}
	}
}
