package load

import (
	"strings"
	"testing"
	"time"
)

const h2loadOutput = `starting benchmark...
finished in 301.98ms, 94490.00 req/s, 12.44MB/s
requests: 28347 total, 28447 started, 28347 done, 28347 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 28347 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 3.73MB (3911969) total, 55.38KB (56706) headers (space savings 94.74%), 2.89MB (3033129) data
                     min         max         mean         sd        +/- sd
time for request:      114us      4.61ms       999us       490us    82.07%
`

func TestParseH2Load(t *testing.T) {
	got, err := parseH2Load([]byte(h2loadOutput))
	if err != nil {
		t.Fatal(err)
	}
	want := h2loadReport{done: 28347, succeeded: 28347, failed: 0, data: 3033129, elapsed: 301980 * time.Microsecond}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseH2LoadRefuses(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":     "",
		"no requests": strings.Replace(h2loadOutput, "requests:", "r:", 1),
		"no traffic":  strings.Replace(h2loadOutput, "traffic:", "t:", 1),
		"no time":     strings.Replace(h2loadOutput, "finished", "f", 1),
		"huge number": strings.Replace(h2loadOutput, "28347 done", "99999999999999999999 done", 1),
	} {
		if got, err := parseH2Load([]byte(out)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func TestH2LoadReportCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		report h2loadReport
		want   string // in the error; empty for none
	}{
		"all right":          {h2loadReport{10, 10, 0, 1070, time.Second}, ""},
		"a cut reply beside": {h2loadReport{10, 10, 0, 1100, time.Second}, ""},
		"nothing done":       {h2loadReport{}, "no request"},
		"some failed":        {h2loadReport{10, 8, 2, 1070, time.Second}, "2 of 10"},
		"empty replies":      {h2loadReport{10, 10, 0, 2, time.Second}, "10 replies of 107 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.report.check(107)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}
