package admin

import (
	"context"
	"io"
	"runtime"
	"runtime/pprof"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

// Bounds of a CPU profile: less than a second says nothing, and nobody waits
// for more than minutes.
const (
	defaultProfile = 10 * time.Second
	minProfile     = time.Second
	maxProfile     = 5 * time.Minute
	profilePiece   = 32 << 10 // bytes of an answer
)

// Profile returns a profile of the process.
func (s *Server) Profile(q *loomv1.ProfileRequest, to loomv1.Admin_ProfileServer) error {
	select {
	case s.profiles <- struct{}{}:
		defer func() { <-s.profiles }()
	default:
		return status.Error(codes.ResourceExhausted, "another profile is being made; wait for its end")
	}
	w := &pieces{to: to}
	switch q.GetKind() {
	case loomv1.ProfileKind_PROFILE_KIND_CPU:
		length := defaultProfile
		if q.GetDuration() != nil {
			length = q.GetDuration().AsDuration()
		}
		if length < minProfile || length > maxProfile {
			return status.Errorf(codes.InvalidArgument, "the duration is from %v to %v", minProfile, maxProfile)
		}
		return profileCPU(to.Context(), w, length)
	case loomv1.ProfileKind_PROFILE_KIND_HEAP:
		runtime.GC() // what nobody uses any more is not in memory
		return pprof.Lookup("heap").WriteTo(w, 0)
	case loomv1.ProfileKind_PROFILE_KIND_GOROUTINE:
		return pprof.Lookup("goroutine").WriteTo(w, 0)
	}
	return status.Error(codes.InvalidArgument, "the kind is cpu, heap or goroutine")
}

func profileCPU(ctx context.Context, w io.Writer, length time.Duration) error {
	if err := pprof.StartCPUProfile(w); err != nil {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	defer pprof.StopCPUProfile()
	t := time.NewTimer(length)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// pieces sends what is written to it.
type pieces struct{ to loomv1.Admin_ProfileServer }

// Write sends data in pieces.
func (p *pieces) Write(data []byte) (int, error) {
	sent := 0
	for sent < len(data) {
		piece := data[sent:min(sent+profilePiece, len(data))]
		if err := p.to.Send(&loomv1.ProfileResponse{Data: piece}); err != nil {
			return sent, err
		}
		sent += len(piece)
	}
	return sent, nil
}
