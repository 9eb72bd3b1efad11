package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		args              []string
		runs, latencyRuns int
		duration          time.Duration
	}{
		"default":   {nil, 5, 3, 1500 * time.Millisecond},
		"quick":     {[]string{"-quick"}, 1, 0, 2 * time.Second},
		"own":       {[]string{"-runs", "7", "-latency-runs", "0", "-duration", "3s"}, 7, 0, 3 * time.Second},
		"quick own": {[]string{"-quick", "-runs", "2", "-latency-runs", "1"}, 2, 1, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parse(tc.args, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			o, err := s.options()
			if err != nil {
				t.Fatal(err)
			}
			if o.Runs != tc.runs || o.LatencyRuns != tc.latencyRuns || o.Duration != tc.duration {
				t.Errorf("got %+v", o)
			}
		})
	}
}

func TestSettingsRefuse(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-runs 0", "-runs"},
		{"-runs 101", "-runs"},
		{"-latency-runs 101", "-latency-runs"},
		{"-duration 1h", "-duration"},
		{"-warmup 1ms", "-warmup"},
		{"-rows 3x3", "3x3"},
		{"-peers envoy", "envoy"},
		{"-quick now", `"now"`},
		{"-fast", "-fast"},
	} {
		s, err := parse(strings.Fields(tc.args), io.Discard)
		if err == nil {
			_, err = s.options()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q in it", tc.args, err, tc.want)
		}
	}
}
