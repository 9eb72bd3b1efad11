package relay

import (
	"testing"

	"loom/internal/h2"
)

func TestForwardedFor(t *testing.T) {
	field := func(values ...string) (fields []h2.Field) {
		fields = append(fields, h2.Field{Name: ":path", Value: "/s/m"})
		for _, v := range values {
			fields = append(fields, h2.Field{Name: "x-forwarded-for", Value: v})
		}
		return append(fields, h2.Field{Name: "x-last", Value: "1"})
	}
	for _, tt := range []struct {
		name, peer   string
		before, want []h2.Field
	}{
		{"first", "192.0.2.1:5000", field(), append(field(), h2.Field{Name: "x-forwarded-for", Value: "192.0.2.1"})},
		{"behind another", "192.0.2.1:5000", field("198.51.100.7"), field("198.51.100.7, 192.0.2.1")},
		{"behind several", "192.0.2.1:5000", field("a", "b, c"), field("a", "b, c, 192.0.2.1")},
		{"nothing before", "192.0.2.1:5000", field(""), append(field(""), h2.Field{Name: "x-forwarded-for", Value: "192.0.2.1"})},
		{"IPv6", "[fe80::1%eth0]:5000", field("a"), field("a, fe80::1")},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:5000", field("a"), field("a, 192.0.2.1")},
		{"Unix socket", "unix:/run/loomd.sock", field("a"), field("a")},
		{"unknown", "unknown", field("a"), field("a")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := append([]h2.Field(nil), tt.before...)
			got := forwardedFor(tt.before, tt.peer)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for i, f := range tt.want {
				if got[i] != f {
					t.Errorf("got %v, want %v", got[i], f)
				}
			}
			for i, f := range before {
				if tt.before[i] != f {
					t.Errorf("the fields of the caller changed to %v", tt.before[i])
				}
			}
		})
	}
}
