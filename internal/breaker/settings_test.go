package breaker

import (
	"fmt"
	"testing"
	"time"
)

func TestOpeningsSpreadByAFifthAndStayBelowTheMaximum(t *testing.T) {
	s := usual()
	for opening, seconds := range map[int]int{1: 10, 2: 20, 3: 40, 4: 60, 5: 60, 1 << 30: 60} {
		least, most := time.Hour, time.Duration(0)
		for i := range 1001 {
			d := s.openFor(opening, float64(i)/1000)
			least, most = min(least, d), max(most, d)
		}
		want := time.Duration(seconds) * time.Second
		highest := min(want*6/5, s.MaxOpenFor)
		if least < want*4/5-time.Millisecond || least > want*81/100 || most > highest || most < highest*99/100 {
			t.Errorf("opening %d lasts from %s to %s, want %s give or take a fifth", opening, least, most, want)
		}
	}
	longest := Settings{OpenFor: 1<<62 + 1, MaxOpenFor: 1<<63 - 1}
	for _, chance := range []float64{0, 0.5, 1} {
		if d := longest.openFor(3, chance); d <= 0 {
			t.Errorf("the longest of all openings lasts %s", d)
		}
	}
}

func TestSettingsThatAreUseless(t *testing.T) {
	for name, edit := range map[string]func(*Settings){
		"window":        func(s *Settings) { s.Window = 5 },
		"consecutive":   func(s *Settings) { s.Consecutive = -1 },
		"lasting":       func(s *Settings) { s.Lasting = -1 },
		"ratio":         func(s *Settings) { s.FailureRatio = 1.5 },
		"ratio NaN":     func(s *Settings) { s.FailureRatio = nan() },
		"open for":      func(s *Settings) { s.OpenFor = 0 },
		"max open for":  func(s *Settings) { s.MaxOpenFor = s.OpenFor - 1 },
		"no probes":     func(s *Settings) { s.Probes = 0 },
		"many probes":   func(s *Settings) { s.Probes = maxProbes + 1 },
		"probe timeout": func(s *Settings) { s.ProbeTimeout = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := usual()
			edit(&s)
			if _, err := New(Options{Name: "users", Settings: s}); err == nil {
				t.Error("a breaker was made of them")
			}
		})
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

func TestEachSettingIsInTheHash(t *testing.T) {
	hashes := map[string]string{}
	add := func(what string, s Settings) {
		h := s.hash()
		if other, ok := hashes[h]; ok {
			t.Errorf("%s has the hash of %s", what, other)
		}
		hashes[h] = what
	}
	add("usual", usual())
	for i, edit := range []func(*Settings){
		func(s *Settings) { s.Window++ },
		func(s *Settings) { s.Consecutive++ },
		func(s *Settings) { s.Lasting++ },
		func(s *Settings) { s.FailureRatio += 1e-9 },
		func(s *Settings) { s.MinRequests++ },
		func(s *Settings) { s.OpenFor++ },
		func(s *Settings) { s.MaxOpenFor++ },
		func(s *Settings) { s.Probes++ },
		func(s *Settings) { s.ProbeTimeout++ },
	} {
		s := usual()
		edit(&s)
		add(fmt.Sprintf("change %d", i), s)
	}
}
