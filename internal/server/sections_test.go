package server

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"loom/internal/breaker"
)

// legacy is the state that a process left, by the names of the sections.
type legacy map[string]Saved

func (s legacy) Section(name string) (Saved, bool) {
	x, ok := s[name]
	return x, ok
}

// saveAll saves all sections of a server.
func saveAll(t *testing.T, s *Server) legacy {
	t.Helper()
	all := make(legacy)
	for _, x := range s.sections() {
		data, err := x.save()
		if err != nil {
			t.Fatalf("section %s: %v", x.name, err)
		}
		all[x.name] = Saved{Version: x.version, Data: data, Age: time.Millisecond}
	}
	return all
}

const guardedBackend = `
listeners: [` + anyPort + `]
backends: {b: {targets: ["` + nobody + `"], breaker: {}}}
routes: [{name: all, backend: b}]
`

// heirOf is a server that takes over what another left.
func heirOf(t *testing.T, left legacy) (*running, *observer.ObservedLogs) {
	t.Helper()
	core, log := observer.New(zap.DebugLevel)
	s, err := New(parse(t, guardedBackend), Options{Log: zap.New(core), Estate: left})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, s, log), log
}

// What operators did to breakers and endpoints holds in the next process.
func TestStateIsTakenOver(t *testing.T) {
	first := serve(t, guardedBackend)
	if err := first.controlBreaker("b", "open", "test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the endpoint is there", func() bool { return first.drainEndpoint("b", nobody, true) == nil })
	second, log := heirOf(t, saveAll(t, first.Server))
	if st := second.now().breakers["b"].Status(); st.State != breaker.ForcedOpen {
		t.Errorf("the breaker is %s", st.State)
	}
	eventually(t, "the endpoint is drained", func() bool {
		e := second.now().backends["b"].Status().Endpoints
		return len(e) == 1 && e[0].Drained
	})
	if n := log.FilterLevelExact(zap.WarnLevel).FilterMessageSnippet("not taken over").Len(); n != 0 {
		t.Errorf("%d warnings", n)
	}
}

// A section that cannot be read starts anew, with one line that says so, and
// does the others no harm.
func TestDamagedState(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(Saved) Saved
		want   string
	}{
		"cut":   {func(s Saved) Saved { s.Data = s.Data[:len(s.Data)/2]; return s }, "unexpected end"},
		"empty": {func(s Saved) Saved { s.Data = nil; return s }, "unexpected end"},
		"newer": {func(s Saved) Saved { s.Version++; return s }, "it has version 2, this loomd reads 1"},
	} {
		t.Run(name, func(t *testing.T) {
			first := serve(t, guardedBackend)
			if err := first.controlBreaker("b", "open", "test"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the endpoint is there", func() bool { return first.drainEndpoint("b", nobody, true) == nil })
			left := saveAll(t, first.Server)
			left["breaker/b"] = c.damage(left["breaker/b"])
			second, log := heirOf(t, left)
			if st := second.now().breakers["b"].Status(); st.State != breaker.Closed {
				t.Errorf("the breaker is %s", st.State)
			}
			eventually(t, "the endpoint is drained all the same", func() bool {
				e := second.now().backends["b"].Status().Endpoints
				return len(e) == 1 && e[0].Drained
			})
			lines := log.FilterMessageSnippet("not taken over").All()
			if len(lines) != 1 || lines[0].ContextMap()["section"] != "breaker/b" || !strings.Contains(lines[0].ContextMap()["error"].(string), c.want) {
				t.Errorf("the log says %v", lines)
			}
		})
	}
}
