package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Bounds on what is read. The largest loomd that the configuration allows has
// some hundred thousand counts; a key has the longest label of a metric in it.
const (
	maxBytes       = 64 << 20
	maxCounts      = 1 << 20
	maxCount       = 1 << 60 // so that some can be added up
	maxKey         = 4 << 10
	maxGenerations = 128 // more than restart.generations may be
)

// partEnd is between the parts of a key. No name and no path has it in it.
const partEnd = "\n"

// counts are how often what happened, by key.
type counts map[string]uint64

// since returns how much more there is than there was before.
func (c counts) since(before counts) counts {
	more := make(counts)
	for key, n := range c {
		if was := before[key]; n > was {
			more[key] = n - was
		}
	}
	return more
}

func (c counts) check() error {
	if len(c) > maxCounts {
		return fmt.Errorf("%d counts, more than %d", len(c), maxCounts)
	}
	for key, n := range c {
		switch {
		case len(key) > maxKey:
			return fmt.Errorf("a key of %d bytes, more than %d", len(key), maxKey)
		case n > maxCount:
			return fmt.Errorf("the impossible count %d", n)
		}
	}
	return nil
}

// record is what a process hands to its successor.
type record struct {
	Counts counts `json:"counts"`
	// Older is what older processes have reported, by their generation. It is
	// in Counts.
	Older map[int]counts `json:"older"`
}

// report is what a process that was replaced tells of itself.
type report struct {
	Since  counts         `json:"since"`  // it was saved
	Levels map[string]int `json:"levels"` // at the moment
}

func (r *record) check() error {
	if len(r.Older) > maxGenerations {
		return fmt.Errorf("%d older processes, more than %d", len(r.Older), maxGenerations)
	}
	for _, c := range r.Older {
		if err := c.check(); err != nil {
			return err
		}
	}
	return r.Counts.check()
}

func (r *report) check() error {
	if len(r.Levels) > maxCounts {
		return fmt.Errorf("%d levels, more than %d", len(r.Levels), maxCounts)
	}
	for key, n := range r.Levels {
		if len(key) > maxKey || n < 0 {
			return errors.New("an impossible level")
		}
	}
	return r.Since.check()
}

// read parses what another process wrote.
func read(data []byte, into interface{ check() error }) error {
	if len(data) > maxBytes {
		return fmt.Errorf("%d bytes, more than %d", len(data), maxBytes)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return err
	}
	return into.check()
}

func keyOf(source string, parts []string) string {
	return source + partEnd + strings.Join(parts, partEnd)
}

// cutKey is the reverse of keyOf.
func cutKey(key string) (source string, parts []string) {
	all := strings.Split(key, partEnd)
	return all[0], all[1:]
}
