package admin

import (
	"context"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

// unary judges, bounds and logs a call.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	who, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	select {
	case s.calls <- struct{}{}:
		defer func() { <-s.calls }()
	default:
		s.opts.Counters.Calls.Add(1)
		return nil, status.Errorf(codes.ResourceExhausted, "%d calls are running, which is all that may", maxCalls)
	}
	ctx, stop := context.WithTimeout(context.WithValue(ctx, callerKey{}, who), callTime)
	defer stop()
	answer, err := handler(ctx, req)
	if s.opts.Shown != nil {
		s.opts.Shown()
	}
	s.note(who, info.FullMethod, req, err)
	return answer, err
}

// stream does the same for a call of many answers, which lasts until one side
// ends it.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	who, err := s.admit(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	// There is one reload at a time, and whoever asks for another is told so at
	// once, and not that others look at calls.
	if info.FullMethod != loomv1.Admin_Reload_FullMethodName {
		select {
		case s.streams <- struct{}{}:
			defer func() { <-s.streams }()
		default:
			s.opts.Counters.Streams.Add(1)
			return status.Errorf(codes.ResourceExhausted, "%d streams are open, which is all that may be", maxStreams)
		}
	}
	ctx, cancel := context.WithCancel(context.WithValue(ss.Context(), callerKey{}, who))
	defer cancel()
	stop := context.AfterFunc(s.ending, cancel)
	defer stop()
	w := &endingStream{ServerStream: ss, ctx: ctx}
	err = handler(srv, w)
	s.note(who, info.FullMethod, w.first, err)
	if err != nil && s.ending.Err() != nil {
		return status.Error(codes.Unavailable, "loomd is stopping")
	}
	return err
}

func (s *Server) admit(ctx context.Context, method string) (caller, error) {
	who, err := s.rights.Load().admit(ctx, method)
	if err != nil {
		s.opts.Counters.Denied.Add(1)
		s.log.Warn("admin call denied", append(who.fields(), zap.String("method", method))...)
	}
	return who, err
}

// note logs a change and who made it.
func (s *Server) note(who caller, method string, req any, err error) {
	if needs(method) != change {
		return
	}
	fields := append(who.fields(), zap.String("method", method))
	fields = append(fields, subject(req)...)
	fields = append(fields, zap.Stringer("code", status.Code(err)))
	if err != nil {
		fields = append(fields, zap.String("error", status.Convert(err).Message()))
	}
	s.log.Info("admin change", fields...)
}

func (c caller) fields() []zap.Field {
	return []zap.Field{zap.Uint32("uid", c.uid), zap.Int32("pid", c.pid), zap.String("user", c.name)}
}

// endingStream is a stream that ends with the server, and that remembers what
// was asked for.
type endingStream struct {
	grpc.ServerStream

	ctx   context.Context
	first any // owned by the goroutine of the handler
}

// Context ends with the call or with the server.
func (e *endingStream) Context() context.Context { return e.ctx }

// RecvMsg reads the next message.
func (e *endingStream) RecvMsg(m any) error {
	if e.first == nil {
		e.first = m
	}
	return e.ServerStream.RecvMsg(m)
}
