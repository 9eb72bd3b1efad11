package inspector

import (
	"errors"
	"net/http"
	"slices"
	"testing"
)

func TestDrainEndpoint(t *testing.T) {
	drained, done := false, []string(nil)
	r := newRig(t, func(o *Options) {
		o.Panels.Backends = func() []BackendView {
			return []BackendView{{Name: "users", Endpoints: []EndpointView{{Address: "10.0.0.1:9000"}, {Address: "unix:/run/users.sock", Drained: drained}}}}
		}
		o.DrainEndpoint = func(backend, endpoint string, drain bool) error {
			if endpoint == "10.0.0.1:9000" {
				return errors.New("not now")
			}
			done = append(done, backend+" "+endpoint)
			drained = drain
			return nil
		}
	})
	var got BackendView
	r.post("/api/backends/users/drain", `{"endpoint":"unix:/run/users.sock","drained":true}`).want(http.StatusOK).into(&got)
	if len(got.Endpoints) != 2 || !got.Endpoints[1].Drained {
		t.Errorf("the answer is %+v", got)
	}
	r.post("/api/backends/users/drain", `{"endpoint":"unix:/run/users.sock","drained":false}`).want(http.StatusOK).into(&got)
	if got.Endpoints[1].Drained {
		t.Errorf("the answer is %+v", got)
	}
	r.post("/api/backends/users/drain", `{"endpoint":"unix:/run/users.sock","drain":true}`).want(http.StatusBadRequest).problem()
	for path, why := range map[string]string{"users": `backend "users" has no endpoint "x"`, "files": `there is no backend "files"`} {
		if got := r.post("/api/backends/"+path+"/drain", `{"endpoint":"x","drained":true}`).want(http.StatusNotFound).problem(); got != why {
			t.Errorf("refused because of %q, want %q", got, why)
		}
	}
	if why := r.post("/api/backends/users/drain", `{"endpoint":"10.0.0.1:9000","drained":true}`).want(http.StatusConflict).problem(); why != "not now" {
		t.Errorf("refused because of %q", why)
	}
	r.request(http.MethodPost, "/api/backends/users/drain", `{"endpoint":"unix:/run/users.sock","drained":true}`,
		func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }).want(http.StatusForbidden)
	if !slices.Equal(done, []string{"users unix:/run/users.sock", "users unix:/run/users.sock"}) {
		t.Errorf("done was %q", done)
	}
}

func TestDrainEndpointOfASavedCapture(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ReadOnly = true })
	r.post("/api/backends/users/drain", `{"endpoint":"x","drained":true}`).want(http.StatusForbidden).problem()
}
