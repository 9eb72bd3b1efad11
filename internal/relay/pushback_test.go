package relay

import (
	"strings"
	"testing"
	"time"

	"loom/internal/h2"
)

func pushbacks(values ...string) []h2.Field {
	fields := []h2.Field{{Name: ":status", Value: "200"}, {Name: "grpc-status", Value: "14"}}
	for _, v := range values {
		fields = append(fields, h2.Field{Name: "grpc-retry-pushback-ms", Value: v})
	}
	return fields
}

// A6: a wait of 0 or more is obeyed, anything else means that there is to be no
// other attempt.
func TestPushbackOf(t *testing.T) {
	for _, tt := range []struct {
		values    []string
		wait      time.Duration
		given, ok bool
	}{
		{nil, 0, false, true},
		{[]string{"0"}, 0, true, true},
		{[]string{"250"}, 250 * time.Millisecond, true, true},
		{[]string{"2147483647"}, 2147483647 * time.Millisecond, true, true},
		{[]string{"2147483648"}, 0, true, false},
		{[]string{"-1"}, 0, true, false},
		{[]string{"-0"}, 0, true, false},
		{[]string{"1.5"}, 0, true, false},
		{[]string{"+5"}, 0, true, false},
		{[]string{"0x10"}, 0, true, false},
		{[]string{"1_000"}, 0, true, false},
		{[]string{""}, 0, true, false},
		{[]string{" 5"}, 0, true, false},
		{[]string{"5", "5"}, 0, true, false},
	} {
		wait, given, ok := pushbackOf(pushbacks(tt.values...))
		if wait != tt.wait || given != tt.given || ok != tt.ok {
			t.Errorf("%q is %v, %v, %v; want %v, %v, %v", tt.values, wait, given, ok, tt.wait, tt.given, tt.ok)
		}
	}
}

func FuzzPushbackOf(f *testing.F) {
	for _, s := range []string{"0", "250", "-1", "garbled", "99999999999", "007"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		number := s != "" && strings.Trim(s, "0123456789") == "" && len(strings.TrimLeft(s, "0")) <= 10
		wait, given, ok := pushbackOf(pushbacks(s))
		if !given || ok && !number || !ok && wait != 0 || wait < 0 || wait > 25*24*time.Hour {
			t.Errorf("%q is %v, %v, %v", s, wait, given, ok)
		}
	})
}
