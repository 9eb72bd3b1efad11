package inspector

import "net/http"

// handle answers a request, or returns why not.
type handle func(w http.ResponseWriter, r *http.Request) error

// access says who may use a route.
type access uint8

const (
	reading  access = iota // whoever has the cookie
	open                   // anybody: the page that asks for the token
	changing               // whoever has the cookie, unless the inspector is read-only
)

type route struct {
	pattern string
	access  access
	handle  handle
}

// routes is all that is served, sorted by path.
func (s *Server) routes() []route {
	return []route{
		{"GET /{$}", open, s.page},
		{"GET /index.html", open, s.page},
		{"GET /static/{name...}", open, s.static},

		{"GET /api/backends", reading, list(s.opts.Panels.Backends)},
		{"POST /api/backends/{name}/drain", changing, s.drainEndpoint},
		{"GET /api/backends/{name}/message/{type}", reading, s.message},
		{"GET /api/backends/{name}/services", reading, s.services},
		{"GET /api/breakers", reading, list(s.opts.Panels.Breakers)},
		{"POST /api/breakers/{backend}", changing, s.controlBreaker},
		{"GET /api/calls", reading, s.listCalls},
		{"GET /api/calls/{id}", reading, s.detail},
		{"GET /api/calls/{id}/grpcurl", reading, s.grpcurl},
		{"GET /api/calls/{id}/messages", reading, s.messages},
		{"GET /api/calls/{id}/raw/{dir}/{seq}", reading, s.raw},
		{"POST /api/calls/{id}/replay", changing, s.replay},
		{"POST /api/capture", changing, s.setMode},
		{"POST /api/clear", changing, s.clear},
		{"POST /api/compose", changing, s.compose},
		{"GET /api/config", reading, object(s.opts.Panels.Config)},
		{"GET /api/export", reading, s.export},
		{"POST /api/login", open, s.login},
		{"GET /api/match", reading, s.matchCalls},
		{"GET /api/routes", reading, list(s.opts.Panels.Routes)},
		{"GET /api/session", reading, s.session},
		{"GET /api/status", reading, object(s.opts.Panels.Status)},
		{"GET /api/stream", reading, s.stream},
		{"POST /api/validate", reading, s.validate},
	}
}

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, s.serve(r))
	}
	mux.Handle("/", s.serve(route{access: open, handle: func(http.ResponseWriter, *http.Request) error {
		return failed(http.StatusNotFound, "there is nothing here")
	}}))
	return mux
}

func (s *Server) serve(to route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.admit(to.access, r); err != nil {
			s.answerError(w, r, err)
			return
		}
		if err := to.handle(w, r); err != nil {
			s.answerError(w, r, err)
		}
	})
}

func (s *Server) admit(to access, r *http.Request) error {
	switch {
	case to == open:
		return nil
	case !ownPage(r):
		return failed(http.StatusForbidden, "another site asked for this; the inspector only serves its own page")
	case !s.auth.admits(r):
		return failed(http.StatusUnauthorized, "log in with the token that loomd printed when it started")
	case to == changing && s.opts.ReadOnly:
		return failed(http.StatusForbidden, "this is a saved capture; it can only be read")
	}
	return nil
}
