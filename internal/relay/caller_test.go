package relay_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"loom/internal/loomtest"
	"loom/internal/relay"
	"loom/internal/route"
)

// from has calls come from a caller.
func from(c relay.Caller) func(*rigOptions) { return func(o *rigOptions) { o.caller = c } }

// Backends are told who calls, and never what a caller says of itself.
func TestIdentityIsPassedOn(t *testing.T) {
	forged := []string{"x-identity", "admin.test", "x-other", "1", "x-identity", "root.test"}
	for name, tt := range map[string]struct {
		caller relay.Caller
		want   []string // of the metadata that the backend gets
	}{
		"known":          {relay.Caller{Identity: "web.test", IdentityMetadata: "x-identity"}, []string{"x-other", "1", "x-identity", "web.test"}},
		"not known":      {relay.Caller{IdentityMetadata: "x-identity"}, []string{"x-other", "1"}},
		"not configured": {relay.Caller{Identity: "web.test"}, forged},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r *rig) {
				down := r.caller()
				id := down.Unary(method, []byte("question"), forged...)
				up := r.ups.Accept()
				upID, request := up.WantCall()
				if got, want := request.Fields.String(), loomtest.RequestFields(method, tt.want...).String(); got != want {
					t.Errorf("upstream got %s\nwant %s", got, want)
				}
				up.WantMessage(upID)
				up.WantEnd(upID)
				up.Reply(upID, []byte("answer"))
				wantReply(t, down, id, "answer")
			}, from(tt.caller))
		})
	}
}

// Neither is what a caller says of itself after its request.
func TestIdentityInTrailers(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		down.HeaderBlock(id, true, loomtest.KV("x-identity", "admin.test", "x-sum", "1"))
		if got := up.WantTrailers(upID); got.Get("x-identity") != "" || got.Get("x-sum") != "1" {
			t.Errorf("upstream got the trailers %v", got.Fields)
		}
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
	}, from(relay.Caller{Identity: "web.test", IdentityMetadata: "x-identity"}))
}

// A route for an identity is for it alone, whatever the metadata says.
func TestRouteByIdentity(t *testing.T) {
	rules := func(o *rigOptions) {
		o.rules = []route.Rule{
			{Name: "web", Match: route.Match{Identity: "web.test"}, Backends: []route.Weighted{{Name: "b", Weight: 1}}},
			{Name: "forged", Match: route.Match{Metadata: []route.MetadataMatch{{Name: "x-identity", Present: true}}}, Deny: uint32(codes.DataLoss)},
			{Name: "rest", Deny: uint32(codes.PermissionDenied)},
		}
	}
	for identity, want := range map[string]codes.Code{"web.test": codes.OK, "api.test": codes.DataLoss, "": codes.PermissionDenied} {
		t.Run(identity, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r *rig) {
				down := r.caller()
				id := down.Unary(method, []byte("question"), "x-identity", "web.test")
				if want == codes.OK {
					up := r.ups.Accept()
					upID := wantQuestion(t, up)
					up.Reply(upID, []byte("answer"))
					wantReply(t, down, id, "answer")
					return
				}
				down.WantStatus(id, want)
			}, rules, from(relay.Caller{Identity: identity, IdentityMetadata: "x-identity"}))
		})
	}
}

// What observers are told of the caller is what the listener says.
func TestPeerIsThatOfTheListener(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		r.settle()
		if got := r.observer.only().Peer; got != "192.0.2.1:5000" {
			t.Errorf("the peer is %q", got)
		}
	}, from(relay.Caller{Peer: "192.0.2.1:5000"}))
}
