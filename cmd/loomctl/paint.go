package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// tone is the colour of a word. The word itself says the same: nobody needs
// colours to read what is printed.
type tone string

const (
	plain tone = ""
	good  tone = "\x1b[32m"
	bad   tone = "\x1b[31m"
	doubt tone = "\x1b[33m"
	dim   tone = "\x1b[2m"
	bold  tone = "\x1b[1m"
)

// toneOff ends a tone.
const toneOff = "\x1b[0m"

// painter colours words, or leaves them as they are.
type painter struct{ on bool }

func (p painter) paint(text string, t tone) string {
	if !p.on || t == plain || text == "" {
		return text
	}
	return string(t) + text + toneOff
}

// painter colours on a terminal, unless somebody asked for none
// (https://no-color.org).
func (c *ctl) painter() painter {
	if none, _ := c.env("NO_COLOR"); none != "" || c.noColor {
		return painter{}
	}
	kind, _ := c.env("TERM")
	return painter{on: kind != "dumb" && terminal(c.stdout)}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// stateTone is for endpoints and breakers.
func stateTone(state string) tone {
	switch state {
	case "ready", "healthy", "closed":
		return good
	case "backing off", "no endpoint", "open", "forced-open", "ejected", "unhealthy":
		return bad
	case "half-open", "disabled", "draining", "drained":
		return doubt
	}
	return plain
}

// statusTone is for the status of calls.
func statusTone(name string) tone {
	switch name {
	case "OK":
		return good
	case "", "-":
		return plain
	}
	return bad
}
