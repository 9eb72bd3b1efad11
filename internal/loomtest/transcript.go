package loomtest

import (
	"fmt"
	"strings"

	"golang.org/x/net/http2"
)

// transcriptLines is how many of the newest frames a failure shows.
const transcriptLines = 80

// transcript is what went over a connection, in words, newest last.
type transcript struct {
	lines   []string
	dropped int
}

func (t *transcript) add(format string, args ...any) {
	if len(t.lines) == 2*transcriptLines {
		t.dropped += transcriptLines
		t.lines = append(t.lines[:0], t.lines[transcriptLines:]...)
	}
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *transcript) String() string {
	lines, dropped := t.lines, t.dropped
	if extra := len(lines) - transcriptLines; extra > 0 {
		lines, dropped = lines[extra:], dropped+extra
	}
	var b strings.Builder
	if dropped > 0 {
		fmt.Fprintf(&b, "  (%d earlier frames)\n", dropped)
	}
	for _, line := range lines {
		b.WriteString("  " + line + "\n")
	}
	return b.String()
}

// describe shows a frame in one line, without its payload.
func describe(f http2.Frame) string {
	h := f.Header()
	flags := ""
	if endsStream(h) {
		flags = " END_STREAM"
	}
	line := fmt.Sprintf("%v stream=%d len=%d%s", h.Type, h.StreamID, h.Length, flags)
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ACK"
		}
		return fmt.Sprintf("SETTINGS %v", settingsOf(f))
	case *http2.PingFrame:
		if f.IsAck() {
			return fmt.Sprintf("PING ACK %x", f.Data)
		}
		return fmt.Sprintf("PING %x", f.Data)
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM stream=%d %v", h.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY last=%d %v %q", f.LastStreamID, f.ErrCode, f.DebugData())
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE stream=%d +%d", h.StreamID, f.Increment)
	}
	return line
}

func endsStream(h http2.FrameHeader) bool {
	return (h.Type == http2.FrameData || h.Type == http2.FrameHeaders) && h.Flags.Has(http2.FlagDataEndStream)
}

func settingsOf(f *http2.SettingsFrame) []http2.Setting {
	settings := make([]http2.Setting, 0, f.NumSettings())
	for i := range f.NumSettings() {
		settings = append(settings, f.Setting(i))
	}
	return settings
}
