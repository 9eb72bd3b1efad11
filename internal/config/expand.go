package config

import "strings"

// maxExpanded bounds what all expansions of a file may come to, in bytes: a
// file of aliases could multiply a long variable.
const maxExpanded = 4 << 20

// expander puts environment variables into texts.
type expander struct {
	env  func(string) (string, bool)
	size int // bytes produced so far
}

// expand returns text with every ${env:NAME} and ${env:NAME:-default} replaced,
// and whether there was any.
func (x *expander) expand(text string) (string, bool, error) {
	if !strings.Contains(text, "${") {
		return text, false, nil
	}
	var b strings.Builder
	found := false
	for {
		start := strings.Index(text, "${")
		if start < 0 {
			b.WriteString(text)
			return b.String(), found, nil
		}
		if start > 0 && text[start-1] == '$' {
			b.WriteString(text[:start-1])
			b.WriteString("${")
			text = text[start+2:]
			continue
		}
		b.WriteString(text[:start])
		inner, rest, closed := strings.Cut(text[start+2:], "}")
		if !closed {
			return "", false, &mistake{quote(text[start:]) + " has no closing brace", "write $${ for a literal ${"}
		}
		value, err := x.lookup(inner)
		if err != nil {
			return "", false, err
		}
		if x.size += len(value); x.size > maxExpanded {
			return "", false, wrong("environment variables come to more than %s altogether", Size(maxExpanded))
		}
		b.WriteString(value)
		text, found = rest, true
	}
}

// lookup returns the value for what stands between the braces.
func (x *expander) lookup(inner string) (string, error) {
	name, ok := strings.CutPrefix(inner, "env:")
	if !ok {
		plain, _, _ := strings.Cut(inner, ":-")
		if isVariable(plain) {
			return "", &mistake{"${" + inner + "} is not known", didYouMean("${env:" + inner + "}")}
		}
		return "", &mistake{quote("${"+inner+"}") + " is not known", "write $${ for a literal ${"}
	}
	name, fallback, hasFallback := strings.Cut(name, ":-")
	if !isVariable(name) {
		return "", &mistake{quote(name) + " is not the name of an environment variable", "write ${env:NAME} or ${env:NAME:-default}"}
	}
	value, set := x.env(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !set:
		return "", &mistake{"environment variable " + name + " is not set", "set it, or write ${env:" + name + ":-default}"}
	}
	return value, nil
}

// isVariable reports whether s can be the name of an environment variable.
func isVariable(s string) bool {
	if s == "" || isDigits(s[:1]) {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '_' {
			return false
		}
	}
	return true
}
