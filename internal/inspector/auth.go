package inspector

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

// auth knows the token and the cookie that it is exchanged for. It never
// changes and may be used concurrently.
type auth struct {
	token  [sha256.Size]byte // hashed, so that comparing takes the same time for every length
	name   string            // of the cookie
	value  string            // of the cookie
	secure bool
}

// newAuth takes the port into the name of the cookie, because browsers send
// the cookies of one host to all its ports.
func newAuth(token, port string, tls bool) *auth {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("loom inspector cookie"))
	return &auth{
		token:  sha256.Sum256([]byte(token)),
		name:   "loom_" + port,
		value:  hex.EncodeToString(mac.Sum(nil)),
		secure: tls,
	}
}

func newToken() string { return rand.Text() }

func (a *auth) opens(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return hmac.Equal(sum[:], a.token[:])
}

func (a *auth) cookie() *http.Cookie {
	return &http.Cookie{ //nolint:gosec // without TLS it is not Secure: some browsers drop such a cookie even on the loopback
		Name: a.name, Value: a.value, Path: "/",
		HttpOnly: true, Secure: a.secure, SameSite: http.SameSiteStrictMode,
	}
}

func (a *auth) admits(r *http.Request) bool {
	for _, c := range r.CookiesNamed(a.name) {
		if hmac.Equal([]byte(c.Value), []byte(a.value)) {
			return true
		}
	}
	return false
}

// login exchanges the token for the cookie.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token string `json:"token"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if !s.auth.opens(body.Token) {
		return failed(http.StatusUnauthorized, "this is not the token that loomd printed when it started")
	}
	http.SetCookie(w, s.auth.cookie())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// page serves the page itself. A token in its address becomes the cookie, and
// the address loses it; with a wrong one the page asks for the right one.
func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	if query := r.URL.Query(); query.Has("token") {
		if s.auth.opens(query.Get("token")) {
			http.SetCookie(w, s.auth.cookie())
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return s.files.serve(w, r, "index.html")
}
