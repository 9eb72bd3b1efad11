package load

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"loom/bench/internal/echo"
	"loom/bench/internal/rawcodec"
	"loom/bench/internal/row"
)

// caller makes one request after the other and checks the length of its reply.
type caller func(ctx context.Context) error

var pingPong = grpc.StreamDesc{StreamName: "Bidi", ServerStreams: true, ClientStreams: true}

// callers opens what a row needs on the connections: one caller for each
// request that may be under way at once. Streams end with ctx.
func callers(ctx context.Context, conns []*grpc.ClientConn, r row.Row) ([]caller, error) {
	message := echo.Message(echo.Body(r.Body))
	all := make([]caller, 0, len(conns)*r.Streams)
	// Neighbours in the list, which start one after the other, get different
	// connections.
	for range r.Streams {
		for _, c := range conns {
			if r.Kind == row.Unary {
				all = append(all, unaryCaller(c, message))
				continue
			}
			s, err := c.NewStream(ctx, &pingPong, echo.BidiMethod)
			if err != nil {
				return nil, fmt.Errorf("open stream: %w", err)
			}
			all = append(all, streamCaller(s, message))
		}
	}
	return all, nil
}

func unaryCaller(c *grpc.ClientConn, message []byte) caller {
	return func(ctx context.Context) error {
		reply := new(rawcodec.Frame)
		if err := c.Invoke(ctx, echo.UnaryMethod, rawcodec.NewFrame(message), reply); err != nil {
			return err
		}
		return checkLength(reply, len(message))
	}
}

// streamCaller makes callers of a stream, whose requests end with the stream's
// context and not with the one they are given.
func streamCaller(s grpc.ClientStream, message []byte) caller {
	return func(context.Context) error {
		if err := s.SendMsg(rawcodec.NewFrame(message)); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		reply := new(rawcodec.Frame)
		if err := s.RecvMsg(reply); err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		return checkLength(reply, len(message))
	}
}

func checkLength(reply *rawcodec.Frame, want int) error {
	defer reply.Free()
	if reply.Len() != want {
		return fmt.Errorf("a reply of %d bytes to a message of %d", reply.Len(), want)
	}
	return nil
}
