package replay

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	loomv1 "loom/api/loom/v1"
)

func text(name, value string) *loomv1.Metadata {
	return &loomv1.Metadata{Name: name, Content: &loomv1.Metadata_Text{Text: value}}
}

// TestMetadataArrives is for a replay that had no credentials any more, because
// metadata was not recorded.
func TestMetadataArrives(t *testing.T) {
	b := startBackend(t, receiveAll)
	q := Request{
		Path: "/a.B/C", Authority: "shop.example", ReplayOf: "1-9",
		Metadata: []*loomv1.Metadata{
			text(":path", "/x"), text(":authority", "x"), text("te", "x"), text("user-agent", "mine"), text("grpc-timeout", "1n"),
			text("grpc-encoding", "gzip"), text("grpc-accept-encoding", "x"), text("content-length", "3"), text("connection", "close"),
			text("content-type", "application/grpc+json"), text(Link, "1-1"),
			text("authorization", "Bearer 1"), text("x", "1"), text("X", "2"), text("x", ""),
			text("b-bin", "AP8, AQ=="), {Name: "b-bin", Content: &loomv1.Metadata_Binary{Binary: []byte{2}}},
			{Name: "secret", Content: &loomv1.Metadata_Redacted{Redacted: true}},
		},
	}
	answer, err := b.replayer(Limits{}).Do(t.Context(), q)
	if err != nil || answer.Code != codes.OK {
		t.Fatalf("got %v %q (%v)", answer.Code, answer.Message, err)
	}
	got, _ := b.got()
	for name, want := range map[string][]string{
		":authority": {"shop.example"}, "content-type": {"application/grpc+json"}, Link: {"1-9"},
		"authorization": {"Bearer 1"}, "x": {"1", "2", ""}, "b-bin": {"\x00\xff", "\x01", "\x02"},
		"secret": nil, "te": nil, "content-length": nil, "connection": nil, "grpc-timeout": nil,
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s: backend got %q, want %q", name, got[name], want)
		}
	}
	if ua := strings.Join(got["user-agent"], ""); ua == "mine" {
		t.Errorf("user-agent %q is that of the recorded caller", ua)
	}
	record := answer.Record("1-10", q)
	record.RequestHeaders[1].Content = &loomv1.Metadata_Redacted{Redacted: true}
	if q.Metadata[11].GetRedacted() {
		t.Error("taking a value out of the record took it out of the request")
	}
	var names []string
	for _, m := range record.GetRequestHeaders() {
		names = append(names, m.GetName())
	}
	if want := []string{"content-type", "authorization", "x", "x", "x", "b-bin", "b-bin", Link}; !slices.Equal(names, want) {
		t.Errorf("record has %q, want %q", names, want)
	}
}

func TestWhatCannotBeSentIsAnError(t *testing.T) {
	for _, test := range []struct {
		name string
		q    Request
		want string
	}{
		{"path", Request{Path: "a.B/C"}, "does not begin with /"},
		{"empty name", Request{Path: "/a", Metadata: []*loomv1.Metadata{text("", "x")}}, "empty"},
		{"name", Request{Path: "/a", Metadata: []*loomv1.Metadata{text("a b", "x")}}, `"a b"`},
		{"value", Request{Path: "/a", Metadata: []*loomv1.Metadata{text("a", "x\ny")}}, "printable"},
		{"bytes", Request{Path: "/a", Metadata: []*loomv1.Metadata{{Name: "a", Content: &loomv1.Metadata_Binary{Binary: []byte{0xff}}}}}, "printable"},
		{"base64", Request{Path: "/a", Metadata: []*loomv1.Metadata{text("a-bin", "!")}}, "base64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t, receiveAll)
			answer, err := b.replayer(Limits{}).Do(t.Context(), test.q)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v (%v), want an error with %s", answer.Code, err, test.want)
			}
			if md, _ := b.got(); md != nil {
				t.Error("the backend was asked all the same")
			}
		})
	}
}
