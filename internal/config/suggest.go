package config

import "strings"

// didYouMean is the form of every suggestion.
func didYouMean(word string) string { return "did you mean " + word + "?" }

// maxCandidates bounds the names that a hint lists when none is close.
const maxCandidates = 16

// suggest returns a hint for a word that is none of known: the closest of
// them, or all of them when they are few, or nothing.
func suggest(word string, known []string) string {
	if best := closest(word, known); best != "" {
		return didYouMean(best)
	}
	if len(known) == 0 || len(known) > maxCandidates {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

// maxCompared bounds the words that a word is compared with.
const maxCompared = 1000

// closest returns the known word that is most like word, or nothing if none
// is like it. Of several it takes the first.
func closest(word string, known []string) string {
	plain := bare(word)
	best, least := "", len(plain)/3+1
	for _, k := range known[:min(len(known), maxCompared)] {
		other := bare(k)
		if plain == other {
			return k
		}
		// A short word is close to everything; it must share a beginning.
		if len(plain) == 0 || len(other) == 0 || len(plain) > 100 || (len(other) <= 3 && plain[0] != other[0]) {
			continue
		}
		if len(plain) >= 3 && len(other) >= 3 && (strings.HasPrefix(plain, other) || strings.HasPrefix(other, plain)) && least > 1 {
			best, least = k, 1
			continue
		}
		if gap := len(plain) - len(other); gap >= least || -gap >= least {
			continue
		}
		if d := distance(plain, other); d < least && d < max(len(plain), len(other))*2/3 {
			best, least = k, d
		}
	}
	return best
}

// bare drops what people vary: case, dashes, underscores.
func bare(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
}

// distance is the number of letters to add, drop, change or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
