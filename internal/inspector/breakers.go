package inspector

import (
	"net/http"
	"slices"
)

// breakerActions are what an operator may tell a breaker.
func breakerActions() []string { return []string{"open", "close", "auto", "reset"} }

// controlBreaker does what the page asks of a breaker, and answers with what
// has become of it.
func (s *Server) controlBreaker(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Action string `json:"action"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	name := r.PathValue("backend")
	if !slices.Contains(breakerActions(), body.Action) {
		return failed(http.StatusBadRequest, "the action is open, close, auto or reset")
	}
	if s.opts.ControlBreaker == nil || s.opts.Panels.Breaker(name) == nil {
		return failed(http.StatusNotFound, "backend %q has no breaker", name)
	}
	if err := s.opts.ControlBreaker(name, body.Action); err != nil {
		return failed(http.StatusConflict, "%v", err)
	}
	now := s.opts.Panels.Breaker(name)
	if now == nil {
		return failed(http.StatusNotFound, "backend %q is gone", name)
	}
	return answer(w, now)
}
