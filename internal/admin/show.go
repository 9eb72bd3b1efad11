package admin

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/inspector"
)

// GetStatus says which process this is and how it is doing.
func (s *Server) GetStatus(ctx context.Context, _ *loomv1.GetStatusRequest) (*loomv1.GetStatusResponse, error) {
	v, c, cfg, shown := s.opts.Panels.Status(), s.opts.Store.Stats(), s.opts.Running(), s.opts.Panels.Config()
	out := &loomv1.GetStatusResponse{
		Version: v.Version, GoVersion: v.Go, Pid: int32(v.PID), Generation: v.Generation, Started: timestamppb.New(v.Started),
		ConfigPath: shown.Path, ConfigProblem: shown.Error, ConfigProblemSince: moment(shown.ErrorSince),
		Capture: &loomv1.CaptureStatus{
			Mode: modeOf(c.Mode), Seen: c.Seen, Kept: uint64(c.Kept), Open: uint64(c.Open), Dropped: c.Dropped, Bytes: uint64(c.Bytes),
		},
		Listeners: listeners(v.Listeners), MemoryBytes: v.Memory, Goroutines: uint32(v.Goroutines),
		Routes: uint32(len(cfg.Routes)), Backends: uint32(len(cfg.Backends)),
	}
	for _, l := range v.Limits {
		out.Limits = append(out.Limits, &loomv1.LimitStatus{Name: l.Name, Hits: l.Hits, Meaning: l.Meaning})
	}
	for _, g := range v.Generations {
		out.Generations = append(out.Generations, generation(&g))
	}
	out.ReadOnly = callerOf(ctx).reads
	return out, nil
}

func generation(g *inspector.GenerationView) *loomv1.Generation {
	out := &loomv1.Generation{
		Number: uint32(g.Number), Pid: int32(g.PID), Connections: uint32(g.Connections), Calls: uint32(g.Calls), Serving: g.Serving, Why: g.Why,
	}
	if !g.Started.IsZero() {
		out.Started = timestamppb.New(g.Started)
	}
	return out
}

// modeOf is a capture mode as the API has it.
func modeOf(m capture.Mode) loomv1.CaptureMode {
	switch m {
	case capture.Full:
		return loomv1.CaptureMode_CAPTURE_MODE_FULL
	case capture.Metadata:
		return loomv1.CaptureMode_CAPTURE_MODE_METADATA
	case capture.Off:
		return loomv1.CaptureMode_CAPTURE_MODE_OFF
	}
	return loomv1.CaptureMode_CAPTURE_MODE_UNSPECIFIED
}

// SetCaptureMode changes how much is recorded.
func (s *Server) SetCaptureMode(_ context.Context, q *loomv1.SetCaptureModeRequest) (*loomv1.SetCaptureModeResponse, error) {
	before := s.opts.Store.Mode()
	for _, m := range []capture.Mode{capture.Full, capture.Metadata, capture.Off} {
		if modeOf(m) == q.GetMode() {
			s.opts.Store.SetMode(m)
			return &loomv1.SetCaptureModeResponse{Before: modeOf(before)}, nil
		}
	}
	return nil, status.Error(codes.InvalidArgument, "the mode is full, metadata or off")
}

// ListListeners returns the sockets that take calls.
func (s *Server) ListListeners(context.Context, *loomv1.ListListenersRequest) (*loomv1.ListListenersResponse, error) {
	return &loomv1.ListListenersResponse{Listeners: listeners(s.opts.Panels.Status().Listeners)}, nil
}

func listeners(views []inspector.ListenerView) []*loomv1.Listener {
	var out []*loomv1.Listener
	for _, l := range views {
		v := &loomv1.Listener{Name: l.Name, Address: l.Address, Tls: l.TLS, Problem: l.Problem}
		for _, c := range l.Certificates {
			v.Certificates = append(v.Certificates, &loomv1.Certificate{Name: c.Name, Expires: c.Expires, Error: c.Error})
		}
		out = append(out, v)
	}
	return out
}

// ListRoutes returns the routes in the order in which they are tried.
func (s *Server) ListRoutes(context.Context, *loomv1.ListRoutesRequest) (*loomv1.ListRoutesResponse, error) {
	out := &loomv1.ListRoutesResponse{}
	for _, r := range s.opts.Panels.Routes() {
		out.Routes = append(out.Routes, route(&r))
	}
	return out, nil
}

// GetRoute returns one route.
func (s *Server) GetRoute(_ context.Context, q *loomv1.GetRouteRequest) (*loomv1.GetRouteResponse, error) {
	if r := s.opts.Panels.Route(q.GetName()); r != nil {
		return &loomv1.GetRouteResponse{Route: route(r)}, nil
	}
	return nil, status.Errorf(codes.NotFound, "there is no route %q", q.GetName())
}

func route(r *inspector.RouteView) *loomv1.Route {
	out := &loomv1.Route{Name: r.Name, Match: r.Match, Deny: r.Deny, Load: load(&r.Load)}
	for _, b := range r.Backends {
		out.Backends = append(out.Backends, &loomv1.RouteBackend{Name: b.Name, Weight: int32(b.Weight)})
	}
	return out
}

func load(l *inspector.LoadView) *loomv1.Load {
	return &loomv1.Load{
		Calls: l.Calls, Errors: l.Errors, Open: uint32(l.Open), Rate: l.Rate, ErrorShare: l.ErrorShare,
		P50: microseconds(l.P50), P99: microseconds(l.P99),
	}
}

// microseconds is a duration; nil for 0, which says that it is not known.
func microseconds(n int64) *durationpb.Duration {
	if n == 0 {
		return nil
	}
	return durationpb.New(time.Duration(n) * time.Microsecond)
}
