package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
)

func TestFigures(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(d)) }
	for _, test := range [][2]string{
		{rate(0), "0"}, {rate(0.04), "0.0"}, {rate(3.44), "3.4"}, {rate(411.6), "412"},
		{percent(0), "0.0"}, {percent(0.61), "61.0"}, {percent(1), "100.0"},
		{length(0), "0µs"}, {length(850 * time.Microsecond), "850µs"}, {length(1234 * time.Microsecond), "1.2ms"}, {length(37600 * time.Microsecond), "38ms"},
		{length(999600 * time.Microsecond), "1s"}, {length(1500 * time.Millisecond), "1.5s"}, {length(90 * time.Second), "1m30s"},
		{lengthOf(nil), "-"},
		{age(0), "0s"}, {age(-time.Second), "0s"}, {age(12 * time.Second), "12s"}, {age(time.Minute), "1m"}, {age(3661 * time.Second), "1h1m"}, {age(50 * time.Hour), "2d2h"},
		{since(nil, now), "-"}, {since(at(-12*time.Second), now), "12s"},
		{until(nil, now), "-"}, {until(at(17500*time.Millisecond), now), "in 18s"}, {until(at(-time.Second), now), "now"},
		{size(0), "0B"}, {size(1023), "1023B"}, {size(1536), "1.5KiB"}, {size(64 << 20), "64MiB"},
		{statusName(0), "OK"}, {statusName(14), "UNAVAILABLE"}, {statusName(99), "STATUS_99"},
		{counted(1, "message"), "1 message"}, {counted(2, "message"), "2 messages"},
	} {
		if test[0] != test[1] {
			t.Errorf("%q, want %q", test[0], test[1])
		}
	}
}

func TestDestination(t *testing.T) {
	for want, r := range map[string]*loomv1.Route{
		"users":                  {Backends: []*loomv1.RouteBackend{{Name: "users", Weight: 3}}},
		"users 95%, users-v2 5%": {Backends: []*loomv1.RouteBackend{{Name: "users", Weight: 19}, {Name: "users-v2", Weight: 1}}},
		"a 0%, b 100%":           {Backends: []*loomv1.RouteBackend{{Name: "a"}, {Name: "b", Weight: 2_000_000_000}}},
		"deny PERMISSION_DENIED": {Deny: "PERMISSION_DENIED"},
	} {
		if got := destination(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCallLine(t *testing.T) {
	code, at := uint32(14), time.UnixMilli(1_800_000_000_204)
	row := &loomv1.CallSummary{
		Id: "8f2-1041", At: at.UnixMicro(), Path: "/pay.v1.Ledger/Post\x1b[2J", Backend: "ledger",
		Code: &code, Took: 51_000, Up: 1, State: loomv1.CallState_CALL_STATE_ENDED, Reason: "BREAKER_OPEN",
	}
	if got, want := callLine(row, painter{}), at.Format(clock)+" UNAVAILABLE 51ms /pay.v1.Ledger/Post\uFFFD[2J ledger ↑1↓0 #8f2-1041 BREAKER_OPEN"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for want, row := range map[string]*loomv1.CallSummary{
		"OK": {Code: new(uint32)}, "open": {State: loomv1.CallState_CALL_STATE_OPEN}, "-": {State: loomv1.CallState_CALL_STATE_ENDED},
	} {
		if got := statusOf(row); got != want {
			t.Errorf("the status is %q, want %q", got, want)
		}
	}
}

// TestWindow fills what top shows, past its bounds.
func TestWindow(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	w := &window{methods: map[method]bool{}, began: now}
	row := func(path string, code uint32) *loomv1.CallSummary {
		return &loomv1.CallSummary{Path: path, Backend: "shop", Code: &code, Took: 2000}
	}
	w.take(&loomv1.WatchCallsResponse{Calls: []*loomv1.CallSummary{row("/a.B/Once", 0), row("/a.B/Twice", 0), row("/a.B/Twice", 14)}, Missed: 3}, now)
	v := w.view(now.Add(2 * time.Second))
	want := "/a.B/Twice\tshop\t1.0\t2.0ms\t50.0\t2.0ms\n/a.B/Once\tshop\t0.5\t2.0ms\t0.0\t2.0ms\n(3 changes of calls were missed)\t\t\t\t\t\n"
	if got := v.table.tsv(); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	w.missed = 0
	if got := w.view(now.Add(topWindow + time.Second)).table.tsv(); got != "" {
		t.Errorf("what is long over is still shown:\n%s", got)
	}
	many := &loomv1.WatchCallsResponse{}
	for i := range topMethods + 50 {
		many.Calls = append(many.Calls, row("/a.B/M"+count(i), 0))
	}
	w.take(many, now.Add(time.Hour))
	if n := len(w.methods); n != topMethods+1 || !w.methods[method{path: otherMethods}] {
		t.Errorf("%d methods are told apart, want %d and the others", n, topMethods)
	}
	if rows := len(w.view(now.Add(time.Hour)).table.rows); rows != topRows {
		t.Errorf("%d rows are shown, want %d", rows, topRows)
	}
	for range topCalls/len(many.GetCalls()) + 2 {
		w.take(many, now.Add(time.Hour))
	}
	if n := len(w.calls); n > topCalls {
		t.Errorf("%d calls are remembered, want at most %d", n, topCalls)
	}
}
