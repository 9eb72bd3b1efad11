package admin

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
	"loom/internal/inspector"
)

// ListBackends returns the backends with their endpoints.
func (s *Server) ListBackends(context.Context, *loomv1.ListBackendsRequest) (*loomv1.ListBackendsResponse, error) {
	out := &loomv1.ListBackendsResponse{}
	for _, b := range s.opts.Panels.Backends() {
		out.Backends = append(out.Backends, backend(&b))
	}
	return out, nil
}

// DrainEndpoint has an endpoint get no new calls.
func (s *Server) DrainEndpoint(_ context.Context, q *loomv1.DrainEndpointRequest) (*loomv1.DrainEndpointResponse, error) {
	b, err := s.setDrained(q.GetBackend(), q.GetEndpoint(), true)
	if err != nil {
		return nil, err
	}
	return &loomv1.DrainEndpointResponse{Backend: b}, nil
}

// UndrainEndpoint takes an endpoint back into the rotation.
func (s *Server) UndrainEndpoint(_ context.Context, q *loomv1.UndrainEndpointRequest) (*loomv1.UndrainEndpointResponse, error) {
	b, err := s.setDrained(q.GetBackend(), q.GetEndpoint(), false)
	if err != nil {
		return nil, err
	}
	return &loomv1.UndrainEndpointResponse{Backend: b}, nil
}

func (s *Server) setDrained(name, endpoint string, drained bool) (*loomv1.Backend, error) {
	if err := s.opts.Control.DrainEndpoint(name, endpoint, drained); err != nil {
		return nil, failure(err)
	}
	if b := s.opts.Panels.Backend(name); b != nil {
		return backend(b), nil
	}
	return nil, status.Errorf(codes.NotFound, "backend %q is gone", name)
}

func backend(b *inspector.BackendView) *loomv1.Backend {
	out := &loomv1.Backend{
		Name: b.Name, Targets: b.Targets, Waiting: uint32(b.Waiting), Load: load(&b.Load), Problems: b.Problems, Balance: b.Balance, Panic: b.Panic,
	}
	for _, e := range b.Endpoints {
		out.Endpoints = append(out.Endpoints, &loomv1.Endpoint{
			Address: e.Address, State: e.State, Connections: uint32(e.Connections), Open: uint32(e.Open), Error: e.Error,
			Weight: uint32(e.Weight), Good: e.Good, Bad: e.Bad, Ejections: e.Ejections, Health: e.Health, Drained: e.Drained, Warmth: e.Warmth,
		})
	}
	return out
}
