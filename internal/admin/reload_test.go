package admin

import (
	"context"
	"errors"
	"io"
	"os/user"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

// reload asks for one, and returns the lines and the last message.
func (g *rig) reload(ctx context.Context) (lines []string, last *loomv1.ReloadResponse, err error) {
	stream, err := g.Reload(ctx, &loomv1.ReloadRequest{})
	for err == nil {
		var m *loomv1.ReloadResponse
		if m, err = stream.Recv(); err == nil {
			lines, last = append(lines, m.GetProgress()), m
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return lines, last, err
}

// TestReload tells whoever asks what goes on, and then which process serves.
func TestReload(t *testing.T) {
	g := newRig(t, everybody())
	lines, last, err := g.reload(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(lines, []string{"one", "two", ""}) {
		t.Errorf("lines %q", lines)
	}
	if next := last.GetSuccessor(); next.GetNumber() != 2 || next.GetPid() != 12 || !next.GetServing() {
		t.Errorf("successor %v", next)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if want := "reload by " + me.Username + " with loomctl"; !slices.Contains(g.done.told, want) {
		t.Errorf("control was told %q, want %q", g.done.told, want)
	}
}

// TestReloadRefused says why there is none, by the code as well.
func TestReloadRefused(t *testing.T) {
	for _, c := range []struct {
		err  error
		code codes.Code
	}{
		{&RefusedError{"another reload is under way"}, codes.FailedPrecondition},
		{&AbortedError{"check: it does not parse"}, codes.Aborted},
	} {
		g := newRig(t, everybody())
		g.done.err = c.err
		_, _, err := g.reload(within(t))
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.err.Error()) {
			t.Errorf("refused with %v, want %s", err, c.code)
		}
	}
}
