package adminclient

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

// process is a loomd as Follow sees it.
type process struct {
	loomv1.UnimplementedAdminServer

	kept []*loomv1.CallSummary
	told []*loomv1.CallSummary // as they end
	gone chan struct{}         // closed: it ends
}

func (p *process) WatchCalls(_ *loomv1.WatchCallsRequest, to loomv1.Admin_WatchCallsServer) error {
	if err := to.Send(&loomv1.WatchCallsResponse{}); err != nil {
		return err
	}
	if err := to.Send(&loomv1.WatchCallsResponse{Calls: p.told}); err != nil {
		return err
	}
	select {
	case <-p.gone:
	case <-to.Context().Done():
	}
	return status.Error(codes.Unavailable, "loomd is stopping")
}

func (p *process) ListCalls(context.Context, *loomv1.ListCallsRequest) (*loomv1.ListCallsResponse, error) {
	return &loomv1.ListCallsResponse{Calls: p.kept}, nil
}

// run serves a process on a socket until it is gone.
func (p *process) run(t *testing.T, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	loomv1.RegisterAdminServer(s, p)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	go func() {
		<-p.gone
		s.GracefulStop()
	}()
	t.Cleanup(func() {
		select {
		case <-p.gone:
		default:
			close(p.gone)
		}
		<-ended
	})
}

// row is a call that began at a moment and took a second.
func row(id string, at time.Time, state loomv1.CallState) *loomv1.CallSummary {
	return &loomv1.CallSummary{Id: id, At: at.UnixMicro(), Took: time.Second.Microseconds(), State: state}
}

// TestFollow goes on with the process that follows, and tells of each call once.
func TestFollow(t *testing.T) {
	const open, ended = loomv1.CallState_CALL_STATE_OPEN, loomv1.CallState_CALL_STATE_ENDED
	folder, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket, now := filepath.Join(folder, "admin.sock"), time.Now()
	first := &process{gone: make(chan struct{}), told: []*loomv1.CallSummary{row("1-1", now, ended)}}
	second := &process{
		gone: make(chan struct{}),
		kept: []*loomv1.CallSummary{row("1-0", now.Add(-time.Hour), ended), row("1-1", now, ended), row("1-2", now, ended), row("1-3", now, open)},
		told: []*loomv1.CallSummary{row("1-2", now, ended), row("1-3", now, ended), row("2-1", now, ended)},
	}
	first.run(t, socket)
	c, err := Dial(t.Context(), socket, Environment{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var ids []string
	returned, enough := 0, errors.New("enough")
	err = c.Follow(t.Context(), "", func(a *loomv1.WatchCallsResponse) error {
		for _, r := range a.GetCalls() {
			ids = append(ids, r.GetId())
		}
		switch len(ids) {
		case 1:
			close(first.gone)
			for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
				if _, err := os.Lstat(socket); err != nil || time.Now().After(deadline) {
					break
				}
			}
			second.run(t, socket)
		case 4:
			return enough
		}
		return nil
	}, func() { returned++ })
	if !errors.Is(err, enough) || returned != 1 || !slices.Equal(ids, []string{"1-1", "1-2", "1-3", "2-1"}) {
		t.Errorf("it told of %v, and ended with %v; the loomd came back %d times", ids, err, returned)
	}
}

// TestFollowGivesUp when nobody comes back.
func TestFollowGivesUp(t *testing.T) {
	folder := t.TempDir()
	p := &process{gone: make(chan struct{})}
	p.run(t, filepath.Join(folder, "a"))
	c, err := Dial(t.Context(), filepath.Join(folder, "a"), Environment{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	begun := time.Now()
	err = c.Follow(t.Context(), "", func(*loomv1.WatchCallsResponse) error {
		close(p.gone)
		return nil
	}, func() { t.Error("somebody came back") })
	if took := time.Since(begun); status.Code(err) != codes.Unavailable || took < returnTime || took > 3*returnTime {
		t.Errorf("after %v: %v", took, err)
	}
}
