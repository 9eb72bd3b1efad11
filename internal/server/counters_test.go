package server

import (
	"reflect"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Each counter of a limit is among the totals once it was hit, and only then.
func TestLogTotals(t *testing.T) {
	core, log := observer.New(zap.InfoLevel)
	cfg := parse(t, oneBackend(nobody, anyPort))
	cfg.Listeners = nil
	s, err := New(cfg, Options{Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		s.closeBackends()
		if err := s.closeWatch(); err != nil {
			t.Error(err)
		}
	}()

	s.LogTotals()
	quiet := log.TakeAll()
	if len(quiet) != 1 || quiet[0].Message != "stopped" || len(quiet[0].Context) != 1 || quiet[0].ContextMap()["calls"] != uint64(0) {
		t.Fatalf("totals of a server that did nothing: %v", quiet)
	}

	counters := make(map[string]*atomic.Uint64)
	collect(t, "", reflect.ValueOf(s.counters).Elem(), counters)
	if len(counters) < 20 {
		t.Fatalf("found only %d counters", len(counters))
	}
	for name, c := range counters {
		c.Store(7)
		s.LogTotals()
		line := log.TakeAll()[0]
		if len(line.Context) != 2 || line.Context[1].Integer != 7 {
			t.Errorf("with counter %s at 7 the totals are %v", name, line.ContextMap())
		}
		c.Store(0)
	}
}

// collect finds the counters in a struct of counters.
func collect(t *testing.T, of string, v reflect.Value, into map[string]*atomic.Uint64) {
	t.Helper()
	for i := range v.NumField() {
		name := of + v.Type().Field(i).Name
		switch f := v.Field(i).Addr().Interface().(type) {
		case *atomic.Uint64:
			into[name] = f
		default:
			if v.Field(i).Kind() != reflect.Struct {
				t.Fatalf("%s is a %T, neither a counter nor a struct of counters", name, f)
			}
			collect(t, name+".", v.Field(i), into)
		}
	}
}
