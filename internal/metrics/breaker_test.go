package metrics

import "testing"

func TestBreakers(t *testing.T) {
	m := newMetrics(t)
	m.BreakerMoved("users", "closed", "open")
	m.BreakerMoved("users", "closed", "open")
	families := scrape(t, m)
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"loom_breaker_state", []string{"backend=users", "state=open"}, 1},
		{"loom_breaker_state", []string{"backend=users", "state=closed"}, 0},
		{"loom_breaker_rejections_total", []string{"backend=users"}, 31},
		{"loom_breaker_late_results_total", []string{"backend=users"}, 32},
		{"loom_breaker_probe_timeouts_total", []string{"backend=users"}, 33},
		{"loom_breaker_transitions_total", []string{"backend=users", "from=closed", "to=open"}, 2},
	} {
		if got, ok := value(families, c.name, c.labels...); !ok || got != c.want {
			t.Errorf("%s%v is %v (there: %v), want %v", c.name, c.labels, got, ok, c.want)
		}
	}
}
