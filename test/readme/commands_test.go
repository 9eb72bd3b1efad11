package readme

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandsIn returns the commands in the code blocks marked as sh, without
// comments, a line that goes on with a backslash as one.
func commandsIn(text string) []string {
	var commands []string
	inside, pending := false, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			inside, pending = !inside && fence == "sh", ""
			continue
		}
		if !inside {
			continue
		}
		line = comment.ReplaceAllString(line, "")
		if rest, ok := strings.CutSuffix(line, `\`); ok {
			pending += rest
			continue
		}
		if command := strings.Join(strings.Fields(pending+line), " "); command != "" {
			commands = append(commands, command)
		}
		pending = ""
	}
	return commands
}

var comment = regexp.MustCompile(`(^|\s)#.*$`)

func TestCommandsIn(t *testing.T) {
	text := strings.ReplaceAll(`
'''
not a command
'''
'''sh
make test   # all of it
# only a remark
loomd -backend localhost:1 \
      -quiet

'''
prose
   '''sh
   make bench
   '''
'''yaml
listeners: []
'''
`, "'''", "```")
	want := []string{"make test", "loomd -backend localhost:1 -quiet", "make bench"}
	if got := commandsIn(text); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
