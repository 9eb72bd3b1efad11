package replay

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

func TestAnswerIsBounded(t *testing.T) {
	b := startBackend(t, func(stream grpc.ServerStream) error {
		return sendAll(stream, strings.Repeat("a", 400), strings.Repeat("b", 600), strings.Repeat("c", 10))
	})
	answer, err := b.replayer(Limits{AnswerBytes: 800}).Do(t.Context(), Request{Path: "/a.B/C"})
	if err != nil || answer.Code != codes.OK {
		t.Fatalf("got %v (%v)", answer.Code, err)
	}
	if got := textsOf(answer.Messages); !slices.Equal(got, []string{strings.Repeat("a", 400)}) {
		t.Errorf("kept %q, want the first message and nothing behind the one left out", got)
	}
	if answer.Received != 3 || answer.Bytes != 1010 {
		t.Errorf("counted %d messages of %d bytes", answer.Received, answer.Bytes)
	}
	if got := answer.Record("1-8", Request{}).GetResponse(); got.GetUnrecorded() != 2 || got.GetBytes() != 1025 {
		t.Errorf("record: %v", got)
	}
}

func TestEmptyMessagesAreBounded(t *testing.T) {
	const sent = 1000
	b := startBackend(t, func(stream grpc.ServerStream) error { return sendAll(stream, make([]string, sent)...) })
	answer, err := b.replayer(Limits{AnswerBytes: 100 * messageCost}).Do(t.Context(), Request{Path: "/a.B/C"})
	if err != nil || len(answer.Messages) != 100 || answer.Received != sent {
		t.Errorf("kept %d of %d (%v)", len(answer.Messages), answer.Received, err)
	}
}

func TestMessageIsBounded(t *testing.T) {
	b := startBackend(t, func(stream grpc.ServerStream) error { return sendAll(stream, "ok", strings.Repeat("a", 101)) })
	answer, err := b.replayer(Limits{MessageBytes: 100}).Do(t.Context(), Request{Path: "/a.B/C"})
	if err != nil || answer.Code != codes.ResourceExhausted || len(answer.Messages) != 1 {
		t.Errorf("got %v, %d messages (%v)", answer.Code, len(answer.Messages), err)
	}
}

func TestLargeMessagesPass(t *testing.T) {
	large := strings.Repeat("a", 12<<20)
	b := startBackend(t, func(stream grpc.ServerStream) error {
		return errors.Join(receiveAll(stream), sendAll(stream, large))
	})
	answer, err := b.replayer(Limits{}).Do(t.Context(), Request{Path: "/a.B/C", Messages: bytesOf(large)})
	if err != nil || answer.Code != codes.OK || len(answer.Messages) != 1 || len(answer.Messages[0]) != len(large) {
		t.Errorf("got %v %q, %d messages (%v)", answer.Code, answer.Message, len(answer.Messages), err)
	}
}

func TestConcurrentCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBackend(t, func(stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return nil
		})
		r := b.replayer(Limits{Concurrent: 2})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		for range 2 {
			go func() {
				_, err := r.Do(ctx, Request{Path: "/a.B/C"})
				ended <- err
			}()
		}
		synctest.Wait()
		if _, err := r.Do(t.Context(), Request{Path: "/a.B/C"}); !errors.Is(err, ErrBusy) || r.Busy() != 1 {
			t.Errorf("a third call: got %v, counted %d", err, r.Busy())
		}
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if _, err := r.Do(ctx, Request{Path: "/a.B/C"}); !errors.Is(err, context.Canceled) {
			t.Errorf("after the others: got %v", err)
		}
	})
}

func TestNoConnectionIsAnError(t *testing.T) {
	errNone := errors.New("backend shop has no endpoint")
	r := New(Options{Direct: func(context.Context, string) (grpc.ClientConnInterface, io.Closer, error) { return nil, nil, errNone }})
	if _, err := r.Do(t.Context(), Request{Target: Direct, Path: "/a.B/C"}); !errors.Is(err, errNone) {
		t.Errorf("got %v", err)
	}
}
