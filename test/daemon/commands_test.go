package daemon

import (
	"slices"
	"strings"
	"testing"
)

func TestCommands(t *testing.T) {
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
	if got := Commands(text); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
