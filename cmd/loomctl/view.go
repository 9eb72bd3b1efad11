package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"
)

// outputVersion is that of the JSON and YAML that loomctl prints: it changes
// when a field changes its meaning or goes.
const outputVersion = "v1"

// format is how an answer is printed.
type format string

// The formats. auto is table on a terminal and tsv elsewhere.
const (
	auto    format = ""
	asTable format = "table"
	asWide  format = "wide"
	asJSON  format = "json"
	asYAML  format = "yaml"
	asTSV   format = "tsv"
)

// What a terminal understands (ECMA-48, xterm).
const (
	clearScreen = "\x1b[H\x1b[2J"        // and move to its top
	enterScreen = "\x1b[?1049h\x1b[?25l" // another one, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l" // back to what was there before
)

func formatNames() []string {
	return []string{string(asTable), string(asWide), string(asJSON), string(asYAML), string(asTSV)}
}

// String returns the name, for the flag.
func (f *format) String() string { return string(*f) }

// Type names what the flag takes.
func (*format) Type() string { return "format" }

// Set reads the flag.
func (f *format) Set(text string) error {
	if !slices.Contains(formatNames(), text) {
		return fmt.Errorf("there is no format %q: %s", text, strings.Join(formatNames(), ", "))
	}
	*f = format(text)
	return nil
}

// view is an answer, ready to be printed in any format.
type view struct {
	message proto.Message // for JSON and YAML
	under   string        // the name that the message has in them; empty: none, its fields are
	table   table
	text    func(w io.Writer, p painter) // takes the place of the table; may be nil
}

// chosen is the format that holds.
func (c *ctl) chosen() format {
	switch {
	case c.format != auto:
		return c.format
	case terminal(c.stdout):
		return asTable
	}
	return asTSV
}

// structured reports whether answers are printed for programs to read.
func (c *ctl) structured() bool {
	f := c.chosen()
	return f == asJSON || f == asYAML
}

// print writes an answer.
func (c *ctl) print(v *view) error {
	f := c.chosen()
	switch f {
	case asJSON:
		text, err := jsonObject(v, "  ")
		return c.write(text, err)
	case asYAML:
		text, err := yamlObject(v)
		return c.write(text, err)
	case asTSV:
		return c.write([]byte(v.table.tsv()), nil)
	}
	if v.text != nil {
		v.text(c.stdout, c.painter())
		return nil
	}
	return c.write([]byte(v.table.text(f == asWide, c.painter())), nil)
}

// printAgain writes one of a series: on a terminal in the place of the one
// before, as JSON a line each, and elsewhere with an empty line in between.
func (c *ctl) printAgain(v *view, first bool) error {
	f := c.chosen()
	switch {
	case f == asJSON:
		return c.printLine(v)
	case f == asYAML && !first:
		fmt.Fprintln(c.stdout, "---")
	case terminal(c.stdout):
		fmt.Fprint(c.stdout, clearScreen)
	case !first:
		fmt.Fprintln(c.stdout)
	}
	return c.print(v)
}

// printLine writes JSON of one line.
func (c *ctl) printLine(v *view) error {
	text, err := jsonObject(v, "")
	return c.write(text, err)
}

func (c *ctl) write(text []byte, err error) error {
	if err == nil {
		_, err = c.stdout.Write(text)
	}
	if err != nil {
		return &failure{exitFailed, fmt.Errorf("print the answer: %w", err)}
	}
	return nil
}

// say tells what was done, unless nobody wants to know.
func (c *ctl) say(text string, args ...any) {
	if !c.quiet {
		fmt.Fprintln(c.stderr, printable(fmt.Sprintf(text, args...)))
	}
}

// object is the message in the JSON mapping of protobuf, with the version.
func (v *view) object() (map[string]any, error) {
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(v.message)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, err
	}
	if v.under != "" {
		out = map[string]any{v.under: out}
	}
	out["version"] = outputVersion
	return out, nil
}

func jsonObject(v *view, indent string) ([]byte, error) {
	o, err := v.object()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(o); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func yamlObject(v *view) ([]byte, error) {
	o, err := v.object()
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(o)
}
