package replay

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

func TestAllFourKinds(t *testing.T) {
	echo := func(stream grpc.ServerStream) error {
		for {
			var message []byte
			if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}
	reply := func(messages ...string) func(grpc.ServerStream) error {
		return func(stream grpc.ServerStream) error {
			if err := receiveAll(stream); err != nil {
				return err
			}
			return sendAll(stream, messages...)
		}
	}
	for _, test := range []struct {
		name       string
		handle     func(grpc.ServerStream) error
		send, want []string
		kind       loomv1.StreamKind
	}{
		{"unary", reply("b"), []string{"a"}, []string{"b"}, loomv1.StreamKind_STREAM_KIND_UNARY},
		{"bytes that are no protobuf", reply("\xff\x00"), []string{"\xfe\x00\r\n"}, []string{"\xff\x00"}, loomv1.StreamKind_STREAM_KIND_UNARY},
		{"client stream", reply("b"), []string{"a", "", "a"}, []string{"b"}, loomv1.StreamKind_STREAM_KIND_CLIENT_STREAM},
		{"server stream", reply("b", "", "c"), []string{"a"}, []string{"b", "", "c"}, loomv1.StreamKind_STREAM_KIND_SERVER_STREAM},
		{"both ways", echo, []string{"a", "b", "c"}, []string{"a", "b", "c"}, loomv1.StreamKind_STREAM_KIND_BIDI_STREAM},
		{"no message", reply(), nil, nil, loomv1.StreamKind_STREAM_KIND_UNARY},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t, test.handle)
			for _, target := range []Target{ViaRoute, Direct} {
				q := Request{Target: target, ReplayOf: "1-7", Backend: "shop", Path: "/a.B/C", Messages: bytesOf(test.send...)}
				answer, err := b.replayer(Limits{}).Do(t.Context(), q)
				if err != nil || answer.Code != codes.OK {
					t.Fatalf("got %v %q (%v)", answer.Code, answer.Message, err)
				}
				md, got := b.got()
				if !slices.Equal(got, test.send) {
					t.Errorf("backend got %q, want %q", got, test.send)
				}
				if !slices.Equal(textsOf(answer.Messages), test.want) || answer.Received != uint64(len(test.want)) {
					t.Errorf("got %q, %d messages, want %q", answer.Messages, answer.Received, test.want)
				}
				if !slices.Equal(md.Get(Link), []string{"1-7"}) {
					t.Errorf("backend got %v", md)
				}
				record := answer.Record("1-8", q)
				if record.GetKind() != test.kind || len(record.GetMessages()) != len(test.send)+len(test.want) || record.GetReplayOf() != "1-7" {
					t.Errorf("record: %v", record)
				}
			}
		})
	}
}

// TestErrorStatusIsAnAnswer is for a replay that said nothing of use where the
// backend had refused: it looked for the status before it was there.
func TestErrorStatusIsAnAnswer(t *testing.T) {
	for _, test := range []struct {
		name    string
		headers bool
		code    codes.Code
	}{
		{"trailers only", false, codes.NotFound},
		{"after headers and a message", true, codes.InvalidArgument},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t, func(stream grpc.ServerStream) error {
				stream.SetTrailer(metadata.Pairs("why", "a", "why", "b", "raw-bin", "\x00\xff"))
				if test.headers {
					if err := errors.Join(stream.SetHeader(metadata.Pairs("who", "x")), sendAll(stream, "m")); err != nil {
						return err
					}
				}
				s, err := status.New(test.code, "nö").WithDetails(status.New(codes.DataLoss, "inner").Proto())
				if err != nil {
					return err
				}
				return s.Err()
			})
			answer, err := b.replayer(Limits{}).Do(t.Context(), Request{Path: "/a.B/C", Messages: bytesOf("x")})
			if err != nil {
				t.Fatal(err)
			}
			if answer.Code != test.code || answer.Message != "nö" || len(answer.Details) == 0 {
				t.Errorf("got %v %q with %d bytes of details", answer.Code, answer.Message, len(answer.Details))
			}
			if got := answer.Trailers; !slices.Equal(got["why"], []string{"a", "b"}) || !slices.Equal(got["raw-bin"], []string{"\x00\xff"}) {
				t.Errorf("trailers %q", got)
			}
			if test.headers != (len(answer.Headers["who"]) == 1) || test.headers != (len(answer.Messages) == 1) {
				t.Errorf("headers %q, messages %q", answer.Headers, answer.Messages)
			}
			record := answer.Record("1-8", Request{Messages: bytesOf("x")})
			if record.GetEndedBy() != loomv1.Ender_ENDER_BACKEND || record.GetStatus().GetCode() != uint32(test.code) {
				t.Errorf("record: %v", record)
			}
		})
	}
}

func TestDelaysAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBackend(t, receiveAll)
		q := Request{Path: "/a.B/C", Messages: bytesOf("a", "b", "c"), Delays: []time.Duration{time.Second, 2 * time.Second}}
		answer, err := b.replayer(Limits{}).Do(t.Context(), q)
		if err != nil || answer.Code != codes.OK {
			t.Fatalf("got %v (%v)", answer.Code, err)
		}
		if want := []time.Duration{time.Second, 3 * time.Second, 3 * time.Second}; !slices.Equal(answer.Sent, want) {
			t.Errorf("sent at %v, want %v", answer.Sent, want)
		}
	})
}

func TestWhatEndsACall(t *testing.T) {
	errGone := errors.New("the page was closed")
	wait := func(stream grpc.ServerStream) error {
		if err := sendAll(stream, "first"); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}
	for _, test := range []struct {
		name  string
		q     Request
		limit time.Duration
		gone  time.Duration // when the asker goes
		took  time.Duration
		code  codes.Code
		err   error
	}{
		{name: "its deadline", q: Request{Deadline: 3 * time.Second}, took: 3 * time.Second, code: codes.DeadlineExceeded},
		{name: "its deadline, between messages", q: Request{Deadline: 3 * time.Second, Messages: bytesOf("a"), Delays: []time.Duration{time.Hour}}, took: 3 * time.Second, code: codes.DeadlineExceeded},
		{name: "the asker", gone: 2 * time.Second, took: 2 * time.Second, code: codes.Canceled, err: errGone},
		{name: "the limit", q: Request{Deadline: time.Hour}, limit: time.Minute, took: time.Minute, code: codes.Canceled, err: errTooLong},
		{name: "the limit that holds by default", took: 5 * time.Minute, code: codes.Canceled, err: errTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startBackend(t, wait)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if test.gone > 0 {
					time.AfterFunc(test.gone, func() { cancel(errGone) })
				}
				test.q.Path = "/a.B/C"
				answer, err := b.replayer(Limits{Time: test.limit}).Do(ctx, test.q)
				if !errors.Is(err, test.err) || answer.Code != test.code || answer.Took != test.took {
					t.Errorf("got %v %q after %v (%v)", answer.Code, answer.Message, answer.Took, err)
				}
				if !slices.Equal(textsOf(answer.Messages), []string{"first"}) {
					t.Errorf("got %q: what came is part of the answer", answer.Messages)
				}
				record := answer.Record("1-8", test.q)
				if byDeadline := record.GetEndedBy() == loomv1.Ender_ENDER_CLIENT_DEADLINE; byDeadline != (test.err == nil) {
					t.Errorf("ended by %v", record.GetEndedBy())
				}
			})
		})
	}
}

func TestNoTimeoutIsMadeUp(t *testing.T) {
	b := startBackend(t, func(stream grpc.ServerStream) error {
		if deadline, ok := stream.Context().Deadline(); ok {
			return status.Errorf(codes.FailedPrecondition, "told of a deadline: %v", deadline)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answer, err := b.replayer(Limits{}).Do(ctx, Request{Path: "/a.B/C"})
	if err != nil || answer.Code != codes.OK {
		t.Errorf("got %v %q (%v)", answer.Code, answer.Message, err)
	}
}

func TestNoBackendIsAnAnswer(t *testing.T) {
	b := startBackend(t, receiveAll)
	b.conn.Close()
	q := Request{Path: "/a.B/C", Messages: bytesOf("a")}
	answer, err := b.replayer(Limits{}).Do(t.Context(), q)
	if err != nil || answer.Code == codes.OK || answer.Message == "" || len(answer.Sent) != 0 {
		t.Errorf("got %v %q (%v)", answer.Code, answer.Message, err)
	}
}
