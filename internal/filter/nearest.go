package filter

// longestSlip is the length above which a word is no slip of the pen.
const longestSlip = 24

// nearest asks for the name that a folded word nearly is, in a hint; "" if
// there is none.
func nearest(word string, names []string) string {
	if len(word) > longestSlip {
		return ""
	}
	for i := range len(word) {
		if word[i] >= 0x80 {
			return ""
		}
	}
	best, least := "", 3
	if len(word) < 4 {
		least = 2
	}
	for _, name := range names {
		if far := distance(word, fold(name)); far < least {
			best, least = name, far
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

// distance counts the letters to add, drop or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		next := make([]int, 1, len(row))
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next = append(next, min(row[j+1]+1, next[j]+1, change))
		}
		row = next
	}
	return row[len(b)]
}
