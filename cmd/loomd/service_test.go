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
	own := journalOf(t, file)
	for stream, want := range map[string]string{own: "<7>debug <6>info <4>warn <3>error", own + "1": "debug info warn error", "": "debug info warn error"} {
		rewind(t, file)
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

// The token of the inspector is not for everybody who may read the journal.
func TestTokenIsNotForTheJournal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "stderr")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for stream, want := range map[string]string{
		journalOf(t, file): "Inspector: http://127.0.0.1:9998/ (loomctl ui shows it with its token)\n",
		"0:0":              "Inspector: http://127.0.0.1:9998/?token=secret\n",
	} {
		rewind(t, file)
		introduceInspector(file, func(string) (string, bool) { return stream, true }, "http://127.0.0.1:9998/?token=secret")
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("with JOURNAL_STREAM=%s it says %q (%v), want %q", stream, got, err, want)
		}
	}
}

// journalOf is JOURNAL_STREAM for a journal that is the file.
func journalOf(t *testing.T, file *os.File) string {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// rewind empties the file.
func rewind(t *testing.T, file *os.File) {
	t.Helper()
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
}
