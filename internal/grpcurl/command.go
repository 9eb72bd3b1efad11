// Package grpcurl writes a recorded call as a grpcurl command for a POSIX
// shell.
//
// Invariant: whatever the call held, the shell passes each value to grpcurl as
// one unchanged argument, or as unchanged input, and runs nothing else.
//
// Pitfall: grpcurl sends the metadata to the reflection service too.
package grpcurl

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	loomv1 "loom/api/loom/v1"
)

// argumentBytes is the most that messages take as an argument. Linux allows
// 128 KiB for one; more goes in by standard input.
const argumentBytes = 64 << 10

// Command is one call to make. It is plain data.
type Command struct {
	Address     string // host:port, or a path if Unix
	Unix        bool
	Plaintext   bool
	Path        string // as in :path
	Authority   string // empty: that of Address
	Metadata    []*loomv1.Metadata
	Messages    []json.RawMessage
	Timeout     time.Duration // 0: none
	MaxMessage  int           // bytes of the largest answer; 0: grpcurl's default of 4 MiB
	Protoset    string        // file of descriptors; empty: reflection
	Credentials bool          // include what looks like a credential
}

// Omitted names the metadata that is left out because it is a credential or
// was redacted, each name once.
func (c Command) Omitted() []string {
	var names []string
	for _, m := range c.Metadata {
		if c.leftOut(m) && !slices.Contains(names, m.GetName()) {
			names = append(names, m.GetName())
		}
	}
	return names
}

// Shell returns the command. The error names a message that is not JSON.
func (c Command) Shell() (string, error) {
	data, err := c.data()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, name := range c.Omitted() {
		// Quoted in ASCII, so that a name cannot end the comment.
		fmt.Fprintf(&out, "# left out: %s\n", strconv.QuoteToASCII(name))
	}
	out.WriteString("grpcurl")
	for _, a := range c.arguments() {
		out.WriteString(" " + quote(a))
	}
	long := len(data) > argumentBytes
	switch {
	case long:
		out.WriteString(" -d @")
	case data != "":
		out.WriteString(" -d " + quote(data))
	}
	fmt.Fprintf(&out, " -- %s %s", quote(c.Address), quote(strings.TrimPrefix(c.Path, "/")))
	if long {
		// Compact JSON has no line that is this word.
		fmt.Fprintf(&out, " <<'LOOM_MESSAGES'\n%s\nLOOM_MESSAGES", data)
	}
	out.WriteByte('\n')
	return out.String(), nil
}

// data returns the messages, one a line.
func (c Command) data() (string, error) {
	var out bytes.Buffer
	for i, message := range c.Messages {
		if i > 0 {
			out.WriteByte('\n')
		}
		if err := json.Compact(&out, message); err != nil {
			return "", fmt.Errorf("write message %d for grpcurl: %w", i+1, err)
		}
	}
	return out.String(), nil
}

func (c Command) arguments() []string {
	var args []string
	if c.Plaintext {
		args = append(args, "-plaintext")
	}
	if c.Unix {
		args = append(args, "-unix")
	}
	if c.Authority != "" {
		args = append(args, "-authority", c.Authority)
	}
	if c.Protoset != "" {
		args = append(args, "-protoset", c.Protoset)
	}
	if c.Timeout > 0 {
		args = append(args, "-max-time", strconv.FormatFloat(c.Timeout.Seconds(), 'f', -1, 64))
	}
	if c.MaxMessage > 0 {
		args = append(args, "-max-msg-sz", strconv.Itoa(c.MaxMessage))
	}
	for _, m := range c.Metadata {
		if reserved(m.GetName()) || c.leftOut(m) {
			continue
		}
		for _, v := range values(m) {
			args = append(args, "-H", m.GetName()+": "+v)
		}
	}
	return args
}

func (c Command) leftOut(m *loomv1.Metadata) bool {
	return m.GetRedacted() || !c.Credentials && credential(m.GetName())
}

// values returns what grpcurl is to be given. Several values of a -bin key may
// have come in one field, with commas between them.
func values(m *loomv1.Metadata) []string {
	binary := strings.HasSuffix(m.GetName(), "-bin")
	if b, ok := m.GetContent().(*loomv1.Metadata_Binary); ok {
		if binary {
			return []string{base64.StdEncoding.EncodeToString(b.Binary)}
		}
		return []string{string(b.Binary)}
	}
	if binary {
		return strings.Split(m.GetText(), ",")
	}
	return []string{m.GetText()}
}

// reserved tells what grpcurl sets itself.
func reserved(name string) bool {
	switch name {
	case "te", "content-type", "content-length", "user-agent", "host", "connection":
		return true
	}
	return strings.HasPrefix(name, ":") || strings.HasPrefix(name, "grpc-")
}

func credential(name string) bool {
	switch name {
	case "authorization", "proxy-authorization", "cookie", "x-api-key":
		return true
	}
	return strings.HasSuffix(strings.TrimSuffix(name, "-bin"), "token")
}

// quote makes one word of the shell of any text without NUL.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
