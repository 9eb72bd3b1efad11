package route

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// metadataMatcher is a compiled MetadataMatch. With neither value nor regex,
// any value will do.
type metadataMatcher struct {
	name  string
	value *string
	regex *regexp.Regexp
}

func compileMetadata(m MetadataMatch) (metadataMatcher, error) {
	name, err := compileName(m.Name)
	if err != nil {
		return metadataMatcher{}, err
	}
	given := 0
	for _, set := range []bool{m.Value != nil, m.Regex != "", m.Present} {
		if set {
			given++
		}
	}
	if given != 1 {
		return metadataMatcher{}, fmt.Errorf("metadata %s: give exactly one of value, regex and present", name)
	}
	matcher := metadataMatcher{name: name}
	if m.Value != nil {
		value := *m.Value
		matcher.value = &value
	}
	if m.Regex != "" {
		if matcher.regex, err = regexp.Compile(m.Regex); err != nil {
			return metadataMatcher{}, fmt.Errorf("metadata %s: regex: %w", name, err)
		}
	}
	return matcher, nil
}

func (m *metadataMatcher) matches(fields []hpack.HeaderField) bool {
	for i := range fields {
		f := &fields[i]
		if f.Name != m.name {
			continue
		}
		switch {
		case m.value != nil:
			if f.Value == *m.value {
				return true
			}
		case m.regex != nil:
			if m.regex.MatchString(f.Value) {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// compileEdit copies an edit, with names in lower case.
func compileEdit(e Edit) (Edit, error) {
	var out Edit
	var errs []error
	compile := func(fields []Field) (done []Field) {
		for _, f := range fields {
			name, err := compileEditName(f.Name)
			if err == nil {
				err = checkValue(name, f.Value)
			}
			errs = append(errs, err)
			done = append(done, Field{Name: name, Value: f.Value})
		}
		return done
	}
	out.Set, out.Append = compile(e.Set), compile(e.Append)
	for _, n := range e.Remove {
		name, err := compileEditName(n)
		errs = append(errs, err)
		out.Remove = append(out.Remove, name)
	}
	return out, errors.Join(errs...)
}

// compileEditName refuses, beside what is no name, the fields that make a
// call what it is: a gRPC peer refuses a call without te or with another
// content-type, and HTTP/2 forbids the others (RFC 9113, section 8.2.2).
func compileEditName(text string) (string, error) {
	name, err := compileName(text)
	if err != nil {
		return "", err
	}
	fixed := []string{"te", "content-type", "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}
	if slices.Contains(fixed, name) {
		return "", fmt.Errorf("metadata %s belongs to the protocol and cannot be changed", name)
	}
	return name, nil
}

// compileName checks a metadata name and returns it in lower case.
func compileName(text string) (string, error) {
	name := lowerString(text)
	if name == "" {
		return "", errors.New("metadata has an empty name")
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return "", fmt.Errorf("metadata name %q: only letters, digits and - _ . are allowed", text)
		}
	}
	return name, nil
}

// checkValue keeps out what no HTTP/2 peer would accept.
func checkValue(name, value string) error {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("metadata %s: the value has a control character at byte %d", name, i+1)
		}
	}
	return nil
}
