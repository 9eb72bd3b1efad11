package config

import (
	"errors"
	"reflect"
)

// ForBackend returns what loomd does without a file: a listener named plain on
// the address listen, which forwards every call to a backend named default at
// target, both spelled as in loom.yaml, and unless their addresses are empty an
// inspector and metrics. The error is of type [Errors] and names the flags.
func ForBackend(listen, target, inspector, metrics string) (*Config, error) {
	cfg := Default()
	src := &flagSource{}
	cfg.Listeners = make([]Listener, 1)
	cfg.Backends = make([]Backend, 1)
	l, b := &cfg.Listeners[0], &cfg.Backends[0]
	setDefaults(reflect.ValueOf(l).Elem())
	setDefaults(reflect.ValueOf(b).Elem())
	l.Name = "plain"
	src.judge("listeners[0].address", l.Address.UnmarshalText([]byte(listen)))
	b.Name = "default"
	b.Targets = []Target{{Target: target, Weight: defaultWeight}}
	src.judge("backends[0].targets[0]", checkTarget(target))
	cfg.Routes = []Route{{Name: "all", Backend: b.Name}}
	if inspector != "" {
		cfg.Inspector = &Inspector{}
		setDefaults(reflect.ValueOf(cfg.Inspector).Elem())
		src.judge("inspector.address", cfg.Inspector.Address.UnmarshalText([]byte(inspector)))
	}
	if metrics != "" {
		cfg.Metrics = &Metrics{}
		src.judge("metrics.address", cfg.Metrics.Address.UnmarshalText([]byte(metrics)))
	}
	v := &validator{cfg: cfg, source: src}
	v.addresses()
	v.inspector()
	v.loops()
	if len(src.errors) > 0 {
		return nil, src.errors
	}
	return cfg, nil
}

// judge records what a parser of a flag found wrong, if anything.
func (s *flagSource) judge(path string, err error) {
	if m, ok := errors.AsType[*mistake](err); ok {
		s.wrong(path, m.hint, m.msg)
	} else if err != nil {
		s.wrong(path, "", err.Error())
	}
}
