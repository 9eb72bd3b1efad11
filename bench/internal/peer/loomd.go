package peer

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

func prepareLoomd(p place) (command, error) {
	return command{
		path:    p.loomd,
		args:    []string{"-quiet", "-backend", p.backend, "-listen", p.listen},
		reports: true,
	}, nil
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
