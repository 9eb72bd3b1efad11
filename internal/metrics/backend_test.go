package metrics

import "testing"

func TestBackends(t *testing.T) {
	families := scrape(t, newMetrics(t))
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"loom_backend_endpoints", []string{"backend=users", "state=ready"}, 41},
		{"loom_backend_endpoints", []string{"backend=users", "state=ejected"}, 0},
		{"loom_backend_in_flight", []string{"backend=users"}, 42},
		{"loom_backend_waiting", []string{"backend=users"}, 43},
		{"loom_backend_panic", []string{"backend=users"}, 1},
		{"loom_backend_stale_targets", []string{"backend=users"}, 44},
		{"loom_backend_ejections_total", []string{"backend=users"}, 45},
		{"loom_backend_unhealthy_total", []string{"backend=users"}, 46},
	} {
		if got, ok := value(families, c.name, c.labels...); !ok || got != c.want {
			t.Errorf("%s%v is %v (there: %v), want %v", c.name, c.labels, got, ok, c.want)
		}
	}
}
