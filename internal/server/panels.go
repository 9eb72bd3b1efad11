package server

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"loom/internal/config"
	"loom/internal/inspector"
)

// info is what the inspector says of this process.
func (s *Server) info(o Options, generation uint64) inspector.Info {
	return inspector.Info{
		Generation: generation,
		Version:    o.Version,
		Listeners:  s.listenerViews(),
		Sample:     "grpcurl " + sampleSecurity(s.now().listeners[0]) + " " + sampleAddress(s.now().listeners[0].address()) + " list",
	}
}

// sampleAddress is where a command reaches the listener.
func sampleAddress(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "-unix " + path
	}
	return address
}

// sampleSecurity is what makes a command speak what the listener does.
func sampleSecurity(l *listener) string {
	if l.terms.Load().secure != nil {
		return "-insecure"
	}
	return "-plaintext"
}

func (s *Server) listenerViews() []inspector.ListenerView {
	var views []inspector.ListenerView
	for _, l := range s.now().listeners {
		t := l.terms.Load()
		v := inspector.ListenerView{Name: t.name, Address: l.address(), TLS: t.secure != nil}
		if t.secure != nil {
			st := t.secure.Status()
			for _, c := range st.Certificates {
				v.Certificates = append(v.Certificates, inspector.CertificateView{
					Name: strings.Join(c.Names, ", "), Expires: c.NotAfter.UTC().Format(time.DateTime), Error: c.Problem,
				})
			}
			v.Problem = st.Problem
		}
		views = append(views, v)
	}
	return views
}

// panels are what the inspector shows beside the calls.
func (s *Server) panels(o Options, generation uint64) inspector.Panels {
	started := time.Now()
	return inspector.Panels{
		Routes:   toldFirst(s, s.routeViews),
		Backends: toldFirst(s, s.backendViews),
		Breakers: toldFirst(s, s.breakerViews),
		// Pages get it with figures that they have each second.
		Config: toldFirst(s, s.configView),
		Status: toldFirst(s, func() inspector.StatusView { return s.statusView(o, generation, started) }),
	}
}

// toldFirst is a view of which the process that serves hears before it is shown.
func toldFirst[T any](s *Server, view func() T) func() T {
	return func() T {
		v := view()
		s.shown()
		return v
	}
}

func (s *Server) configView() inspector.ConfigView {
	v := s.now().shown
	if s.opts.File != nil {
		v.Path = s.opts.File.Path
	}
	if p := s.config.problem.Load(); p != nil {
		v.Error, v.ErrorSince = p.text, p.since
	}
	return v
}

func (s *Server) routeViews() []inspector.RouteView {
	cfg, now := s.now().cfg, time.Now()
	var views []inspector.RouteView
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		v := inspector.RouteView{Name: r.Name, Match: describeMatch(&r.Match), Load: s.watch.tally.route(r.Name).view(now)}
		if r.Deny != 0 {
			v.Deny = r.Deny.String()
		}
		for _, b := range r.Split() {
			v.Backends = append(v.Backends, inspector.WeightView(b))
		}
		views = append(views, v)
	}
	return views
}

// describeMatch says which calls a route is for.
func describeMatch(m *config.Match) string {
	var parts []string
	switch {
	case m.Service != "" && m.Method != "":
		parts = append(parts, "/"+m.Service+"/"+m.Method)
	case m.Service != "":
		parts = append(parts, "/"+m.Service+"/*")
	case m.Method != "":
		parts = append(parts, "/*/"+m.Method)
	}
	if m.PathRegex != "" {
		parts = append(parts, "path ~ "+m.PathRegex)
	}
	if m.Authority != "" {
		parts = append(parts, "authority "+m.Authority)
	}
	for _, f := range m.Metadata {
		switch {
		case f.Value != nil:
			parts = append(parts, fmt.Sprintf("%s = %s", f.Name, *f.Value))
		case f.Regex != "":
			parts = append(parts, fmt.Sprintf("%s ~ %s", f.Name, f.Regex))
		default:
			parts = append(parts, f.Name+" is present")
		}
	}
	if len(parts) == 0 {
		return "every call"
	}
	return strings.Join(parts, ", ")
}

func (s *Server) statusView(o Options, generation uint64, started time.Time) inspector.StatusView {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	v := inspector.StatusView{
		Version: o.Version, Go: runtime.Version(), PID: os.Getpid(), Generation: generation, Started: started,
		Memory: m.Sys, Goroutines: runtime.NumGoroutine(), Listeners: s.listenerViews(),
	}
	v.Generations = s.generationViews()
	for _, l := range s.counters.limits() {
		v.Limits = append(v.Limits, inspector.LimitView{Name: l.name, Meaning: l.help, Hits: l.n.Load()})
	}
	return v
}
