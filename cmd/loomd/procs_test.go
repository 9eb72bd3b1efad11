package main

import "testing"

func TestProcsFollowTheLoad(t *testing.T) {
	s := procsScale{most: 8, now: 1}
	for _, step := range []struct {
		name  string
		busy  float64
		looks int
		want  int
	}{
		{"idle stays at one", 0.01, 50, 1},
		{"half a core needs no second", 0.5, 50, 1},
		{"a core nearly full gets another at once", 0.9, 1, 2},
		{"a burst gets what it needs at once", 1.9, 1, 4},
		{"never more than there are", 7.9, 10, 8},
		{"full stays full", 7.9, 100, 8},
		{"a short calm changes nothing", 1, procsCalm - 1, 8},
		{"a long one gives up a core", 1, 1, 7},
		{"and more, one by one", 0.1, 6 * procsCalm, 1},
		{"never none", 0, 3 * procsCalm, 1},
	} {
		got := 0
		for range step.looks {
			got = s.next(step.busy)
		}
		if got != step.want {
			t.Errorf("%s: %d cores after %d looks at %.2f busy, want %d", step.name, got, step.looks, step.busy, step.want)
		}
	}
}

// What is in use must be neither too full nor too empty for the next look:
// else the number would swing at a steady load.
func TestProcsComeToRest(t *testing.T) {
	for busy := 0.05; busy < 8; busy += 0.05 {
		s := procsScale{most: 8, now: 1}
		for range 1000 {
			s.next(busy)
		}
		rest := s.now
		for range 1000 {
			if n := s.next(busy); n != rest {
				t.Fatalf("at %.2f cores busy it went from %d to %d after a rest", busy, rest, n)
			}
		}
	}
}
