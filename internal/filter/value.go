package filter

import "strings"

// value is one value of a term, as written.
type value struct {
	begin int      // in bytes of the filter
	parts []string // the literal texts between the stars, not folded
}

// literal returns the value without its quotes.
func (v value) literal() string { return strings.Join(v.parts, "*") }

// value reads one value.
func (p *parser) value() (value, error) {
	begin := p.at
	if p.values++; p.values > maxValues {
		return value{}, p.fail(begin, "the filter has more than 256 values", "")
	}
	var parts []string
	var literal []byte
	open := -1
loop:
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '"' && open < 0:
			open = p.at
		case c == '"':
			open = -1
		case open < 0 && strings.IndexByte(stops, c) >= 0:
			break loop
		case open < 0 && c == '*':
			parts, literal = append(parts, string(literal)), nil
		case open >= 0 && c == '\\' && p.at+1 < len(p.text):
			p.at++
			literal = append(literal, p.text[p.at])
		default:
			literal = append(literal, c)
		}
	}
	if open >= 0 {
		return value{}, p.fail(open, "the quote is not closed", `add "`)
	}
	if p.at == begin {
		return value{}, p.fail(begin, "a value is missing here", "")
	}
	return value{begin: begin, parts: append(parts, string(literal))}, nil
}

// quoted writes a value so that it reads as the same one.
func (v value) quoted(plain func(string) bool) string {
	if len(v.parts) == 1 && v.parts[0] == "" {
		return `""`
	}
	parts := make([]string, len(v.parts))
	for i, text := range v.parts {
		if text != "" && !plain(text) {
			text = `"` + escapes.Replace(text) + `"`
		}
		parts[i] = text
	}
	return strings.Join(parts, "*")
}

var escapes = strings.NewReplacer(`"`, `\"`, `\`, `\\`)

// plainValue reports whether text needs no quotes after a key.
func plainValue(text string) bool { return !strings.ContainsAny(text, stops+`"*`) }

// plainWord reports whether text needs no quotes where no key is.
func plainWord(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isNameByte(c) && c != '/' || c == '-' {
			return false
		}
	}
	return text != "OR"
}

// isNameByte reports whether c may be in the name of a key.
func isNameByte(c byte) bool {
	return c == '.' || c == '-' || c == '_' || c >= '0' && c <= '9' || lower(c) >= 'a' && lower(c) <= 'z'
}
