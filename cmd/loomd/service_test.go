package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"loom/internal/config"
)

// Lines of the log carry their levels where the journal reads them, and nowhere
// else.
func TestJournalLevels(t *testing.T) {
	name := filepath.Join(t.TempDir(), "stderr")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for stream, want := range map[string]string{own: "<7>debug <6>info <4>warn <3>error", own + "1": "debug info warn error", "": "debug info warn error"} {
		if err := file.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		log, _ := newLogger(&config.Log{Level: "debug", Format: "json"}, file, func(name string) (string, bool) {
			return stream, name == "JOURNAL_STREAM" && stream != ""
		})
		log = log.With(zap.Int("n", 1))
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		log.Error("error")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(text)) {
			mark, rest, _ := strings.Cut(line, `{"level":"`)
			level, _, _ := strings.Cut(rest, `"`)
			got = append(got, mark+level)
			if !strings.HasSuffix(line, "\"n\":1}\n") {
				t.Errorf("line %q", line)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("with JOURNAL_STREAM=%q the lines are %q, want %q", stream, got, want)
		}
	}
}
