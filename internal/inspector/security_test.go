package inspector

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"

	"loom/internal/capture"
	"loom/internal/decode"
)

// TestDNSRebinding sends what a browser sends after a name of an attacker was
// made to point here: everything is right but the name.
func TestDNSRebinding(t *testing.T) {
	r := newRig(t, func(o *Options) { o.AllowHosts = []string{"loom.test", "tunnel.test:8443"} })
	_, port, _ := net.SplitHostPort(r.address)
	for _, test := range []struct {
		host string
		want int
	}{
		{r.address, 200}, {"localhost:" + port, 200}, {"LOCALHOST:" + port, 200}, {"[::1]:" + port, 200},
		{"loom.test:" + port, 200}, {"loom.test", 200}, {"tunnel.test:8443", 200},
		{"evil.test:" + port, 421}, {"evil.test", 421}, {"127.0.0.1", 421}, {"127.0.0.1:1", 421},
		{"localhost." + ":" + port, 421}, {"localhost.evil.test:" + port, 421}, {"xloom.test", 421},
		{"127.0.0.2:" + port, 421}, {"tunnel.test", 421}, {"tunnel.test:" + port, 421},
	} {
		for _, path := range []string{"/", "/static/icon.svg", "/api/session", "/api/calls"} {
			got := r.request(http.MethodGet, path, "", func(q *http.Request) { q.Host = test.host })
			if got.status != test.want {
				t.Errorf("Host %s asked for %s: status %d, want %d", test.host, path, got.status, test.want)
			}
		}
		if test.want == 421 {
			r.request(http.MethodGet, "/api/stream", "", func(q *http.Request) { q.Host = test.host }).want(421)
			r.request(http.MethodPost, "/api/clear", "{}", func(q *http.Request) { q.Host = test.host }).want(421)
		}
	}
}

// TestCrossOrigin sends what a page of another site makes a browser send.
func TestCrossOrigin(t *testing.T) {
	r := newRig(t, nil)
	for name, header := range map[string][2]string{
		"another site":              {"Sec-Fetch-Site", "cross-site"},
		"another port of localhost": {"Sec-Fetch-Site", "same-site"},
		"an old browser":            {"Origin", "http://evil.test"},
		"a sandboxed frame":         {"Origin", "null"},
	} {
		for _, path := range []string{"/api/clear", "/api/capture", "/api/login", "/api/calls/7-1/replay"} {
			got := r.request(http.MethodPost, path, `{}`, func(q *http.Request) { q.Header.Set(header[0], header[1]) })
			if got.status != http.StatusForbidden {
				t.Errorf("%s posted to %s: status %d, want 403", name, path, got.status)
			}
		}
		if header[0] == "Sec-Fetch-Site" {
			got := r.request(http.MethodGet, "/api/calls", "", func(q *http.Request) { q.Header.Set(header[0], header[1]) })
			if got.status != http.StatusForbidden {
				t.Errorf("%s read /api/calls: status %d, want 403", name, got.status)
			}
		}
		if got := r.request(http.MethodGet, "/api/session", "", nil).header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("Access-Control-Allow-Origin is %q, want none", got)
		}
	}
	r.request(http.MethodPost, "/api/clear", `{}`, func(q *http.Request) {
		q.Header.Set("Sec-Fetch-Site", "same-origin")
		q.Header.Set("Origin", r.base)
	}).want(http.StatusNoContent)
	// A form needs no permission of a browser to be posted; JSON does.
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"} {
		got := r.request(http.MethodPost, "/api/clear", `{}`, func(q *http.Request) { q.Header.Set("Content-Type", kind) })
		got.want(http.StatusUnsupportedMediaType)
	}
}

func TestLogin(t *testing.T) {
	r := newRig(t, nil)
	cookie := r.cookie
	_, port, _ := net.SplitHostPort(r.address)
	r.cookie = ""
	for _, route := range r.server.routes() {
		method, path, _ := strings.Cut(route.pattern, " ")
		if route.access == open {
			continue
		}
		path = strings.NewReplacer("{id}", "7-1", "{dir}", "request", "{seq}", "1", "{name}", "users", "{type}", "acme.User").Replace(path)
		if got := r.request(method, path, "{}", nil); got.status != http.StatusUnauthorized {
			t.Errorf("%s without the cookie: status %d, want 401", route.pattern, got.status)
		}
	}
	for _, wrong := range []string{"loom_" + port + "=" + testToken, "loom_1=" + strings.SplitN(cookie, "=", 2)[1], "loom_" + port + "="} {
		r.cookie = wrong
		r.get("/api/session").want(http.StatusUnauthorized)
	}
	r.cookie = ""
	r.get("/").want(http.StatusOK)

	for _, token := range []string{"", "wrong", testToken + "x"} {
		got := r.get("/?token=" + token).want(http.StatusSeeOther)
		if got.header.Get("Set-Cookie") != "" {
			t.Errorf("token %q got a cookie", token)
		}
		r.post("/api/login", `{"token":"`+token+`"}`).want(http.StatusUnauthorized).problem()
	}
	for name, got := range map[string]*answered{
		"the address": r.get("/?token=" + testToken).want(http.StatusSeeOther),
		"the dialog":  r.post("/api/login", `{"token":"`+testToken+`"}`).want(http.StatusNoContent),
	} {
		c, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "loom_"+port || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" {
			t.Errorf("cookie of %s: %s", name, c)
		}
		if strings.Contains(c.Value, testToken) {
			t.Errorf("the cookie of %s holds the token", name)
		}
		if name == "the address" && got.header.Get("Location") != "/" {
			t.Errorf("sent to %q, which keeps the token in the history", got.header.Get("Location"))
		}
		r.cookie = c.Name + "=" + c.Value
		r.get("/api/session").want(http.StatusOK)
		r.cookie = ""
	}
	if want := "http://" + r.address + "/?token=" + testToken; r.server.URL() != want {
		t.Errorf("URL is %s, want %s", r.server.URL(), want)
	}
}

// TestEveryAnswerHasThePolicy looks at good answers, errors and refusals.
func TestEveryAnswerHasThePolicy(t *testing.T) {
	r := newRig(t, nil)
	for name, got := range map[string]*answered{
		"the page":       r.get("/"),
		"a file":         r.get("/static/icon.svg"),
		"JSON":           r.get("/api/session"),
		"no such call":   r.get("/api/calls/7-1"),
		"no such path":   r.get("/nowhere"),
		"a redirect":     r.get("/?token=x"),
		"a wrong method": r.request(http.MethodDelete, "/api/calls", "", nil),
		"a wrong host":   r.request(http.MethodGet, "/", "", func(q *http.Request) { q.Host = "evil.test" }),
		"another site":   r.request(http.MethodPost, "/api/clear", "{}", func(q *http.Request) { q.Header.Set("Origin", "null") }),
	} {
		for header, want := range map[string]string{
			"Content-Security-Policy": "require-trusted-types-for 'script'; trusted-types 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
		} {
			if !strings.Contains(got.header.Get(header), want) {
				t.Errorf("%s: %s is %q, want %q in it", name, header, got.header.Get(header), want)
			}
		}
	}
}

// TestPathTraversal asks for files that are not of the page, with the paths as
// they are on the wire.
func TestPathTraversal(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{
		"/static/../server.go", "/static/%2e%2e/server.go", "/static/..%2fserver.go", "/static/%2e%2e%2fserver.go",
		"/static//etc/passwd", "/static/%2fetc/passwd", "/static/..\\server.go", "/static/js/../../server.go",
		"/static/", "/static/js", "/static/js/", "/static/index.html%00.js", "/server.go", "/static/./index.html%20",
		"/%2e%2e/%2e%2e/etc/passwd",
	} {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("GET " + path + " HTTP/1.0\r\nHost: " + r.address + "\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 12)
		if _, err := conn.Read(head); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if status := string(head[9:12]); status == "200" {
			t.Errorf("%s was answered with a file", path)
		}
	}
}

func TestAddressThatOthersReach(t *testing.T) {
	for _, test := range []struct {
		address, token string
		tls, ok        bool
	}{
		{"127.0.0.1:9998", "", false, true},
		{"[::1]:9998", "", false, true},
		{"localhost:9998", "", false, true},
		{"127.8.9.1:9998", "", false, true},
		{"0.0.0.0:9998", "", false, false},
		{":9998", "", false, false},
		{"[::]:9998", testToken, false, false},
		{"192.0.2.1:9998", testToken, false, false},
		{"192.0.2.1:9998", "", true, false},
		{"loom.test:9998", "", false, false},
		{"192.0.2.1:9998", testToken, true, true},
		{"127.0.0.1:9998", "short", false, false},
		{"127.0.0.1", "", false, false},
	} {
		store, err := capture.New(capture.Options{Calls: 1, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		o := Options{RecordsOptions: RecordsOptions{Store: store, Decoder: decode.New(decode.Limits{}, nil), Schemas: newFakeSchemas(t)}, Log: zap.NewNop(),
			Address: test.address, Token: test.token, TLS: test.tls}
		if _, err = New(o); (err == nil) != test.ok {
			t.Errorf("address %q, TLS %t, token %q: %v", test.address, test.tls, test.token, err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestListenerThatOthersReach passes a listener that is wider than the address.
func TestListenerThatOthersReach(t *testing.T) {
	r := newRig(t, nil)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(r.server.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(context.Background(), l); err == nil || !strings.Contains(err.Error(), "other machines") {
		t.Errorf("served on %s: %v", l.Addr(), err)
	}
}

func TestGeneratedTokens(t *testing.T) {
	a, b := newRig(t, func(o *Options) { o.Token = "" }), newRig(t, func(o *Options) { o.Token = "" })
	if a.server.token == b.server.token || len(a.server.token) < minToken {
		t.Errorf("tokens %q and %q", a.server.token, b.server.token)
	}
}

func TestBodyLimit(t *testing.T) {
	r := newRig(t, nil)
	r.post("/api/login", `{"token":"`+strings.Repeat("x", maxBody)+`"}`).want(http.StatusRequestEntityTooLarge)
	for _, body := range []string{"", "{", "[]", `{"tokn":"x"}`, `{} {}`, "null {}"} {
		r.post("/api/login", body).want(http.StatusBadRequest).problem()
	}
}
