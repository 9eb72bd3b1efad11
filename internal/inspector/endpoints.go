package inspector

import (
	"net/http"
	"slices"
)

// drainEndpoint has an endpoint take no new calls, or take them again, and
// answers with what has become of its backend.
func (s *Server) drainEndpoint(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Endpoint string `json:"endpoint"`
		Drained  bool   `json:"drained"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	name := r.PathValue("name")
	b := s.opts.Panels.Backend(name)
	switch {
	case s.opts.DrainEndpoint == nil:
		return failed(http.StatusNotFound, "endpoints cannot be drained here")
	case b == nil:
		return failed(http.StatusNotFound, "there is no backend %q", name)
	case !slices.ContainsFunc(b.Endpoints, func(e EndpointView) bool { return e.Address == body.Endpoint }):
		return failed(http.StatusNotFound, "backend %q has no endpoint %q", name, body.Endpoint)
	}
	if err := s.opts.DrainEndpoint(name, body.Endpoint, body.Drained); err != nil {
		return failed(http.StatusConflict, "%v", err)
	}
	if b = s.opts.Panels.Backend(name); b == nil {
		return failed(http.StatusNotFound, "backend %q is gone", name)
	}
	return answer(w, b)
}
