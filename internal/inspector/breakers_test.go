package inspector

import (
	"errors"
	"net/http"
	"slices"
	"testing"
)

func TestControlBreaker(t *testing.T) {
	state, done := "open", []string(nil)
	r := newRig(t, func(o *Options) {
		o.Panels.Breakers = func() []BreakerView { return []BreakerView{{Backend: "users", State: state}} }
		o.ControlBreaker = func(backend, action string) error {
			if action == "auto" {
				return errors.New("not now")
			}
			done = append(done, backend+" "+action)
			state = "closed"
			return nil
		}
	})
	var got BreakerView
	r.post("/api/breakers/users", `{"action":"reset"}`).want(http.StatusOK).into(&got)
	if got.State != "closed" {
		t.Errorf("the answer is %+v", got)
	}
	r.post("/api/breakers/users", `{"action":"explode"}`).want(http.StatusBadRequest).problem()
	r.post("/api/breakers/users", `{"action":"open","more":1}`).want(http.StatusBadRequest).problem()
	r.post("/api/breakers/files", `{"action":"open"}`).want(http.StatusNotFound).problem()
	if why := r.post("/api/breakers/users", `{"action":"auto"}`).want(http.StatusConflict).problem(); why != "not now" {
		t.Errorf("refused because of %q", why)
	}
	r.request(http.MethodPost, "/api/breakers/users", `{"action":"open"}`, func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }).want(http.StatusForbidden)
	if !slices.Equal(done, []string{"users reset"}) {
		t.Errorf("done was %q", done)
	}
}

func TestControlBreakerOfASavedCapture(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ReadOnly = true })
	r.post("/api/breakers/users", `{"action":"open"}`).want(http.StatusForbidden).problem()
}

func TestControlBreakerWithoutBreakers(t *testing.T) {
	r := newRig(t, nil)
	r.post("/api/breakers/users", `{"action":"open"}`).want(http.StatusNotFound).problem()
}
