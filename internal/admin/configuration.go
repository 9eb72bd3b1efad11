package admin

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
	"loom/internal/config"
)

// GetConfig returns the configuration in force, without its secrets.
func (s *Server) GetConfig(context.Context, *loomv1.GetConfigRequest) (*loomv1.GetConfigResponse, error) {
	v := s.opts.Panels.Config()
	return &loomv1.GetConfigResponse{
		Path: v.Path, Loaded: moment(v.Loaded), Text: v.Text, Error: v.Error, ErrorSince: moment(v.ErrorSince), Hash: v.Hash,
	}, nil
}

// CheckConfig says whether a text would do as loom.yaml.
func (s *Server) CheckConfig(ctx context.Context, q *loomv1.CheckConfigRequest) (*loomv1.CheckConfigResponse, error) {
	_, warnings, wrong, err := s.parse(ctx, q.GetName(), q.GetText())
	if err != nil {
		return nil, err
	}
	return &loomv1.CheckConfigResponse{Errors: problems(wrong), Warnings: problems(warnings)}, nil
}

// DiffConfig compares a text with the configuration in force.
func (s *Server) DiffConfig(ctx context.Context, q *loomv1.DiffConfigRequest) (*loomv1.DiffConfigResponse, error) {
	cfg, _, wrong, err := s.parse(ctx, q.GetName(), q.GetText())
	if err != nil {
		return nil, err
	}
	out := &loomv1.DiffConfigResponse{Errors: problems(wrong)}
	if len(wrong) > 0 {
		return out, nil
	}
	out.Changes = lines(config.Diff(s.opts.Running(), cfg))
	return out, nil
}

// Apply reads the file of the configuration again and puts it in force.
func (s *Server) Apply(ctx context.Context, _ *loomv1.ApplyRequest) (*loomv1.ApplyResponse, error) {
	changes, warnings, err := s.opts.Apply(ctx)
	if wrong, ok := errors.AsType[config.Errors](err); ok {
		return &loomv1.ApplyResponse{Errors: problems(wrong)}, nil
	}
	if err != nil {
		return nil, failure(err)
	}
	return &loomv1.ApplyResponse{Warnings: problems(warnings), Changes: lines(changes)}, nil
}

// lines are those of changes; none if nothing differs.
func lines(changes config.Changes) []string {
	if changes.Empty() {
		return nil
	}
	return strings.Split(changes.String(), "\n")
}

// parse reads a loom.yaml, one at a time: the tree of a large one is some fifty
// times its size.
func (s *Server) parse(ctx context.Context, name string, text []byte) (cfg *config.Config, warnings config.Warnings, wrong config.Errors, err error) {
	select {
	case s.parses <- struct{}{}:
		defer func() { <-s.parses }()
	case <-ctx.Done():
		return nil, nil, nil, status.FromContextError(ctx.Err()).Err()
	}
	cfg, warnings, err = config.ParseWith(name, text, s.opts.Env, s.opts.Look)
	if errors.As(err, &wrong) {
		return nil, nil, wrong, nil
	}
	if err != nil {
		return nil, nil, nil, status.Errorf(codes.Internal, "read the configuration: %v", err)
	}
	return cfg, warnings, nil, nil
}

func problems(list []*config.Error) []*loomv1.ConfigProblem {
	var out []*loomv1.ConfigProblem
	for _, e := range list {
		out = append(out, &loomv1.ConfigProblem{
			Line: int32(e.Line), Column: int32(e.Column), Message: e.Msg, Hint: e.Hint, Text: e.Text(),
		})
	}
	return out
}
