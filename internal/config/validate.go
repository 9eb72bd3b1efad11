package config

import "fmt"

// validator checks what the reader of single values cannot see: names that
// must be unique, references, and values that contradict each other. What the
// reader refused is the zero value by now, and is passed over here.
type validator struct {
	cfg    *Config
	source source
}

func (v *validator) validate() {
	v.listeners()
	v.addresses()
	v.inspector()
	v.backends()
	v.loops()
	v.routes()
	v.unused()
	v.admin()
	v.limits()
}

// found records what somebody found who looked further.
func (v *validator) found(all []Finding) {
	for _, f := range all {
		if f.Doubt {
			v.source.doubt(f.Path, f.Hint, f.Msg)
		} else {
			v.source.wrong(f.Path, f.Hint, f.Msg)
		}
	}
}

// wrong records a mistake without a hint.
func (v *validator) wrong(path, format string, args ...any) {
	v.source.wrong(path, "", fmt.Sprintf(format, args...))
}

// unique reports a name that an earlier element has as well, with msg.
func (v *validator) unique(path, name string, seen map[string]string, msg string) {
	if name == "" {
		return
	}
	if first, ok := seen[name]; ok {
		v.source.wrong(path, "first given on "+v.source.where(first), msg)
		return
	}
	seen[name] = path
}

func (v *validator) limits() {
	l := &v.cfg.Limits
	if l.BufferedTotal != 0 && l.BufferedTotal < l.BufferedPerConnection {
		v.wrong("limits.buffered_total", "buffered_total is %s, less than buffered_per_connection, %s", l.BufferedTotal, l.BufferedPerConnection)
	}
	if l.KeptRequest > l.BufferedPerConnection {
		v.wrong("limits.kept_request", "kept_request is %s, more than buffered_per_connection, %s", l.KeptRequest, l.BufferedPerConnection)
	}
}

// binaries reports values of names that end in -bin and are not base64.
func (v *validator) binaries(path string, fields []MetadataField) {
	for i, f := range fields {
		if !isBinary(f.Name) {
			continue
		}
		if err := checkBinary(f.Value); err != nil {
			v.wrong(fmt.Sprintf("%s[%d]", path, i), "%s: %v", f.Name, err)
		}
	}
}
