package peer

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// prepareLoomd prepares the relay alone.
func prepareLoomd(p place) (command, error) {
	return loomd(p, "-capture", "off", "-inspector", "off", "-metrics", "off", "-admin", "off"), nil
}

// prepareRecording prepares a loomd that records everything.
func prepareRecording(p place) (command, error) {
	return loomd(p, "-capture", "full", "-inspector", loopback(recordingPage), "-metrics", "off", "-admin", "off"), nil
}

// prepareWatched prepares one whose calls somebody watches, too.
func prepareWatched(p place) (command, error) {
	c := loomd(p, "-capture", "full", "-inspector", loopback(watchedPage), "-metrics", "off", "-admin", "off")
	c.watched = true
	return c, nil
}

// Ports of inspectors.
const (
	recordingPage = 18991
	watchedPage   = 18992
)

func loomd(p place, args ...string) command {
	return command{
		path:    p.loomd,
		args:    append([]string{"-quiet", "-backend", p.backend, "-listen", p.listen}, args...),
		reports: true,
	}
}

// awaitPage returns the address of the inspector that loomd prints when it
// has one.
func awaitPage(ctx context.Context, lines <-chan string) (string, error) {
	for {
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("wait for the inspector's address: %w", ctx.Err())
		case line, open := <-lines:
			if page, found := strings.CutPrefix(line, "Inspector: "); found {
				return page, nil
			}
			if !open {
				return "", errors.New("loomd ended before it printed the inspector's address")
			}
		}
	}
}

func loomdVersion(p place) (string, error) { return firstLine(p.loomd, "-version") }

// BuildLoomd builds the loomd of the repository at root into the file out.
func BuildLoomd(ctx context.Context, root, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "./cmd/loomd")
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build loomd (leave it out with -peers): %w\n%s", err, text)
	}
	return nil
}

// firstLine runs a program that prints its version, on whichever output.
func firstLine(path string, args ...string) (string, error) {
	text, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line), nil
}
