package inspector

import (
	"net/http"
	"strings"
)

// policy lets the page load its own files and nothing else, and keeps every
// way shut in which text could become a document (Trusted Types).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guard returns what every request passes, from outside to inside.
func (s *Server) guard() http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.answerError(w, r, failed(http.StatusForbidden, "another site asked for this; the inspector only serves its own page"))
	}))
	return headers(s.bound(s.guardHost(crossOrigin.Handler(s.mux()))))
}

// bound refuses what is beyond maxRequests.
func (s *Server) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.requests <- struct{}{}:
			defer func() { <-s.requests }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			s.answerError(w, r, failed(http.StatusServiceUnavailable, "%d requests are under way already; try again", maxRequests))
		}
	})
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// ownPage reports whether a request came from the page itself or from no page
// at all. SameSite cookies know no ports, so a page of another local server
// would be let in by its cookie alone. Old browsers, and plain HTTP to names
// other than localhost, leave the header out.
func ownPage(r *http.Request) bool {
	switch strings.ToLower(r.Header.Get("Sec-Fetch-Site")) {
	case "", "none", "same-origin":
		return true
	}
	return false
}
