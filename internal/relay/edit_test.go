package relay_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"loom/internal/loomtest"
	"loom/internal/relay"
	"loom/internal/route"
)

// Metadata is removed, set and appended to, in this order, and nothing else
// changes: neither fields of the same name beside it, nor their order.
func TestMetadataEdits(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		sent := []string{"x-a", "1", "x-b", "2", "x-a", "3", "x-c", "4", "x-d", "5"}
		id := down.Unary(method, []byte("question"), sent...)
		up := r.ups.Accept()
		upID, request := up.WantCall()
		want := loomtest.RequestFields(method, "x-b", "2", "x-d", "5", "x-c", "set", "x-d", "more", "x-a", "again")
		if got := request.Fields.String(); got != want.String() {
			t.Errorf("the backend got %s\nwant %s", got, want)
		}
		up.WantMessage(upID)
		up.Headers(upID, "x-e", "1", "x-f", "2")
		up.Data(upID, []byte("answer"), false)
		up.Trailers(upID, codes.OK, "x-e", "trailer")
		head := down.WantHeaders(id)
		if e, f, g := head.Values("x-e"), head.Get("x-f"), head.Get("x-g"); len(e) != 2 || e[1] != "more" || f != "" || g != "set" {
			t.Errorf("the caller got %v", head)
		}
		down.WantMessage(id)
		if tr := down.WantTrailers(id); tr.Get("x-e") != "trailer" || tr.Get("x-g") != "" {
			t.Errorf("the trailers changed: %v", tr)
		}
	}, func(o *rigOptions) {
		o.rules[0].Request = route.Edit{
			Remove: []string{"x-a"},
			Set:    []route.Field{{Name: "x-c", Value: "set"}},
			Append: []route.Field{{Name: "x-d", Value: "more"}, {Name: "x-a", Value: "again"}},
		}
		o.rules[0].Response = route.Edit{
			Remove: []string{"x-f"},
			Set:    []route.Field{{Name: "x-g", Value: "set"}},
			Append: []route.Field{{Name: "x-e", Value: "more"}},
		}
	})
}

// A backend sees the authority that is configured for it. The route, and who
// watches, go by that of the caller.
func TestAuthorityOfTheBackend(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		id := down.Unary(method, []byte("question"), "host", "other.test")
		up := r.ups.Accept()
		upID, request := up.WantCall()
		if got := request.Values(":authority"); len(got) != 1 || got[0] != "users.internal" || request.Get("host") != "" {
			t.Errorf("the backend got %v", request)
		}
		up.WantMessage(upID)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		r.settle()
		if s := r.observer.only(); s.Authority != "loom.test" {
			t.Errorf("summary %+v", s)
		}
	}, func(o *rigOptions) {
		p := relay.DefaultPolicy()
		p.Authority = "users.internal"
		o.policies = map[string]relay.Policy{"b": p}
		o.rules[0].Match.Authority = "loom.test"
	})
}
