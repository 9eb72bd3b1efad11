package loomtest

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Fields is a header list, in order. A Sensitive field is sent, and was
// received, as a never-indexed literal.
type Fields []hpack.HeaderField

// KV makes Fields of names and values that take turns.
func KV(kv ...string) Fields {
	if len(kv)%2 != 0 {
		panic(fmt.Sprintf("loomtest: KV with a name that has no value: %q", kv))
	}
	fs := make(Fields, 0, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		fs = append(fs, hpack.HeaderField{Name: kv[i], Value: kv[i+1]})
	}
	return fs
}

// Get returns the value of the first field of that name, or "".
func (fs Fields) Get(name string) string {
	for _, f := range fs {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Values returns the values of all fields of that name.
func (fs Fields) Values(name string) []string {
	var values []string
	for _, f := range fs {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return values
}

// with returns fs with kv put over it: a name that fs has gets the new value
// where it stands, others come after, as often as kv has them.
func (fs Fields) with(kv ...string) Fields {
	defaults := fs
	for _, f := range KV(kv...) {
		at := slices.IndexFunc(defaults, func(d hpack.HeaderField) bool { return d.Name == f.Name })
		if at < 0 {
			fs = append(fs, f)
			continue
		}
		fs[at].Value = f.Value
	}
	return fs
}

// String shows the list in one line; long values are cut.
func (fs Fields) String() string {
	var b strings.Builder
	for i, f := range fs {
		if i > 0 {
			b.WriteByte(' ')
		}
		if i == 12 {
			fmt.Fprintf(&b, "and %d more", len(fs)-i)
			break
		}
		fmt.Fprintf(&b, "%s=%s", f.Name, short(f.Value))
	}
	return b.String()
}

func short(s string) string {
	const most = 40
	if len(s) > most {
		return fmt.Sprintf("%q...(%d)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
