package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// nothing stands where there is no value.
const nothing = "-"

// rate is a number a second, with as many digits as a person compares.
func rate(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 10:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// percent is a share from 0 to 1.
func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) }

// length is a duration, with three digits.
func length(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d.Round(time.Millisecond) < time.Second:
		return fmt.Sprintf("%dms", d.Round(time.Millisecond).Milliseconds())
	case d < time.Minute:
		return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + "s"
	}
	return age(d)
}

func lengthOf(d *durationpb.Duration) string {
	if d == nil {
		return nothing
	}
	return length(d.AsDuration())
}

// age is a longer duration, in its two largest units.
func age(d time.Duration) string {
	d = max(d, 0)
	units := []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.of && i < len(units)-1 {
			continue
		}
		text := fmt.Sprintf("%d%s", d/u.of, u.name)
		if i < len(units)-1 {
			if rest := d % u.of / units[i+1].of; rest > 0 {
				text += fmt.Sprintf("%d%s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0s"
}

// since is how long ago a moment was.
func since(t *timestamppb.Timestamp, now time.Time) string {
	if t == nil {
		return nothing
	}
	return age(now.Sub(t.AsTime()))
}

// until is how far off a moment is.
func until(t *timestamppb.Timestamp, now time.Time) string {
	if t == nil {
		return nothing
	}
	left := t.AsTime().Sub(now)
	if left <= 0 {
		return "now"
	}
	// Up: what is left of a second is not over.
	return "in " + age(left+time.Second-time.Nanosecond)
}

// size is a number of bytes.
func size(n uint64) string {
	value, units := float64(n), []string{"B", "KiB", "MiB", "GiB"}
	for value >= 1024 && len(units) > 1 {
		value, units = value/1024, units[1:]
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0") + units[0]
}

// counted is a number of things.
func counted(n uint64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}

func count[N ~uint32 | ~uint64 | ~int32 | ~int](n N) string { return strconv.FormatInt(int64(n), 10) }

// statusName is the name of a gRPC status as in the specification.
func statusName(code uint32) string {
	names := [...]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
		"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
	}
	if int(code) < len(names) {
		return names[code]
	}
	return "STATUS_" + count(code)
}
