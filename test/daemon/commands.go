package daemon

import (
	"regexp"
	"strings"
)

// Commands returns the commands in the code blocks of a Markdown text that are
// marked as sh, without comments, a line that goes on with a backslash as one.
func Commands(text string) []string {
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
