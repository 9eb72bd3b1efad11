package replay

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // answers may be compressed
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// call makes one call over conn.
func (r *Replayer) call(ctx context.Context, conn grpc.ClientConnInterface, q Request, md metadata.MD) (Answer, error) {
	// The deadline of ctx is the asker's, and the backend is not to be told
	// of it. Its end still ends the call.
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	longest := time.AfterFunc(r.limits.Time, func() { cancel(errTooLong) })
	defer longest.Stop()

	told := metadata.NewOutgoingContext(own, md)
	if q.Deadline > 0 {
		var stop context.CancelFunc
		told, stop = context.WithTimeout(told, q.Deadline)
		defer stop()
	}
	answer := Answer{Started: time.Now()}
	err := r.exchange(told, conn, q, &answer)
	answer.Took = time.Since(answer.Started)
	answer.setStatus(err)
	if own.Err() != nil && err != nil {
		return answer, context.Cause(own)
	}
	return answer, nil
}

// exchange sends and receives until the call is over. Its error has the
// status; nil is OK.
func (r *Replayer) exchange(ctx context.Context, conn grpc.ClientConnInterface, q Request, answer *Answer) error {
	// One that streams both ways: on the wire all kinds are alike.
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, desc, q.Path, r.options(q)...)
	if err != nil {
		return err
	}
	sending, stop := context.WithCancel(ctx)
	sent := make(chan []time.Duration)
	go func() { sent <- send(sending, stream, q, answer.Started) }()
	err = r.receive(stream, answer)
	// The call is over, so that nothing is left to send to.
	stop()
	answer.Sent = <-sent
	if header, headerErr := stream.Header(); headerErr == nil {
		answer.Headers = header
	}
	answer.Trailers = stream.Trailer()
	return err
}

func (r *Replayer) options(q Request) []grpc.CallOption {
	options := []grpc.CallOption{
		grpc.ForceCodecV2(rawCodec{}),
		grpc.MaxCallRecvMsgSize(r.limits.MessageBytes),
	}
	if s := q.subtype(); s != "" {
		options = append(options, grpc.CallContentSubtype(s))
	}
	if q.Authority != "" {
		options = append(options, grpc.CallAuthority(q.Authority))
	}
	return options
}

// send sends the messages and returns when each went out. It ends early with
// ctx or the stream, whose status receive sees.
func send(ctx context.Context, stream grpc.ClientStream, q Request, start time.Time) []time.Duration {
	sent := make([]time.Duration, 0, len(q.Messages))
	for i, message := range q.Messages {
		if i < len(q.Delays) && q.Delays[i] > 0 {
			select {
			case <-time.After(q.Delays[i]):
			case <-ctx.Done():
				return sent
			}
		}
		at := time.Since(start)
		if stream.SendMsg(outbound(message)) != nil {
			return sent
		}
		sent = append(sent, at)
	}
	// An error here is one of the stream, too.
	_ = stream.CloseSend()
	return sent
}

// receive takes messages until the call is over.
func (r *Replayer) receive(stream grpc.ClientStream, answer *Answer) error {
	room := r.limits.AnswerBytes
	for {
		in := inbound{room: room - messageCost}
		if err := stream.RecvMsg(&in); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		answer.Received++
		answer.Bytes += uint64(in.size)
		if !in.kept {
			// What is kept has no holes.
			room = 0
			continue
		}
		room -= in.size + messageCost
		answer.Messages = append(answer.Messages, in.data)
		answer.At = append(answer.At, time.Since(answer.Started))
	}
}

func (a *Answer) setStatus(err error) {
	s := status.Convert(err)
	a.Code, a.Message = s.Code(), s.Message()
	if details := a.Trailers.Get(detailsName); len(details) > 0 {
		a.Details = []byte(details[0])
	}
}
