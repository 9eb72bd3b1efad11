package relay

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"loom/test/rawbytes"
)

// peerServer is loom.test.Peer, the service that clients of other stacks call.
// Its messages are plain bytes, so that no client needs generated code.
type peerServer struct {
	mu    sync.Mutex
	ended map[string]chan string // by the id of a Sleep call: how it ended
}

// startPeerServer serves until the test ends and returns its address.
func startPeerServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for the peer server: %v", err)
	}
	peer := &peerServer{ended: map[string]chan string{}}
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(rawbytes.Codec{}),
		grpc.MaxRecvMsgSize(64<<20),
		grpc.StatsHandler(inboundStats{}),
	)
	server.RegisterService(peer.description(), peer)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Errorf("serve peers: %v", err)
		}
	})
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return listener.Addr().String()
}

// description lists the methods, all as streams, which is what a unary method
// is on the wire too.
func (p *peerServer) description() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "loom.test.Peer",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			rawbytes.Stream("Echo", echo),
			rawbytes.Stream("Count", count),
			rawbytes.Stream("Collect", collect),
			rawbytes.Stream("Chat", echo),
			rawbytes.Stream("Fail", fail),
			rawbytes.Stream("FailLate", failLate),
			rawbytes.Stream("Metadata", mirrorMetadata),
			rawbytes.Stream("Gzip", gzipped),
			rawbytes.Stream("Sleep", p.sleep),
			rawbytes.Stream("Ended", p.tellEnd),
		},
	}
}

// echo returns every message, which serves both a unary call and a
// bidirectional stream.
func echo(s grpc.ServerStream) error {
	for {
		message, err := rawbytes.Receive(s)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.SendMsg(&message); err != nil {
			return err
		}
	}
}

// count sends as many messages as the request says, "0" and on.
func count(s grpc.ServerStream) error {
	message, err := rawbytes.Receive(s)
	if err != nil {
		return err
	}
	var many int
	if _, err := fmt.Sscan(string(message), &many); err != nil {
		return status.Errorf(codes.InvalidArgument, "read the count: %v", err)
	}
	for i := range many {
		reply := fmt.Append(nil, i)
		if err := s.SendMsg(&reply); err != nil {
			return err
		}
	}
	return nil
}

// collect answers with the number of messages and a CRC-32 over all of them.
func collect(s grpc.ServerStream) error {
	many, sum := 0, crc32.NewIEEE()
	for {
		message, err := rawbytes.Receive(s)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		many++
		_, _ = sum.Write(message)
	}
	reply := fmt.Appendf(nil, "%d %08x", many, sum.Sum32())
	return s.SendMsg(&reply)
}

// fail ends the call with details, before any response header.
func fail(s grpc.ServerStream) error {
	if _, err := rawbytes.Receive(s); err != nil {
		return err
	}
	return detailedError(s)
}

// failLate ends the call with details, after two messages.
func failLate(s grpc.ServerStream) error {
	if _, err := rawbytes.Receive(s); err != nil {
		return err
	}
	for i := range 2 {
		reply := fmt.Append(nil, i)
		if err := s.SendMsg(&reply); err != nil {
			return err
		}
	}
	return detailedError(s)
}

// detailedError is a status with details and with a message that has to be
// escaped. A trailer repeats the details as text, so that a client can compare
// what came in binary with something that took another way.
func detailedError(s grpc.ServerStream) error {
	failed, err := status.New(codes.FailedPrecondition, "Lager leer: 100 % – später\n").WithDetails(
		&errdetails.ErrorInfo{Domain: "test.loom", Reason: "STOCK_EMPTY", Metadata: map[string]string{"sku": "a-1"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "amount", Description: "too many"}}},
	)
	if err != nil {
		return err
	}
	encoded, err := proto.Marshal(failed.Proto())
	if err != nil {
		return err
	}
	s.SetTrailer(metadata.Pairs("x-details-hex", hex.EncodeToString(encoded)))
	return status.FromProto(failed.Proto()).Err()
}

// mirrorMetadata sends the x- metadata of the request back, as headers and, with
// another prefix, as trailers.
func mirrorMetadata(s grpc.ServerStream) error {
	message, err := rawbytes.Receive(s)
	if err != nil {
		return err
	}
	received, _ := metadata.FromIncomingContext(s.Context())
	header, trailer := metadata.MD{}, metadata.MD{}
	for name, values := range received {
		if suffix, ok := strings.CutPrefix(name, "x-"); ok {
			header.Append(name, values...)
			trailer.Append("t-"+suffix, values...)
		}
	}
	s.SetTrailer(trailer)
	if err := s.SendHeader(header); err != nil {
		return err
	}
	return s.SendMsg(&message)
}

// gzipped echoes one message in gzip and says in the header how the request
// came: its encoding, and its length on the wire.
func gzipped(s grpc.ServerStream) error {
	if err := grpc.SetSendCompressor(s.Context(), gzip.Name); err != nil {
		return err
	}
	message, err := rawbytes.Receive(s)
	if err != nil {
		return err
	}
	encoding, length := inboundOf(s.Context())
	if err := s.SendHeader(metadata.Pairs("x-request-encoding", encoding, "x-request-length", strconv.Itoa(length))); err != nil {
		return err
	}
	return s.SendMsg(&message)
}

// sleep answers with headers at once and then waits for the end of the call,
// which it notes under the id in the request.
func (p *peerServer) sleep(s grpc.ServerStream) error {
	id, err := rawbytes.Receive(s)
	if err != nil {
		return err
	}
	deadline, limited := s.Context().Deadline()
	if err := s.SendHeader(metadata.Pairs("x-deadline", strconv.FormatBool(limited && time.Until(deadline) < time.Minute))); err != nil {
		return err
	}
	<-s.Context().Done()
	p.slot(string(id)) <- s.Context().Err().Error()
	return status.FromContextError(s.Context().Err()).Err()
}

// tellEnd answers how the Sleep call with the id in the request ended, and
// waits for that end if need be.
func (p *peerServer) tellEnd(s grpc.ServerStream) error {
	id, err := rawbytes.Receive(s)
	if err != nil {
		return err
	}
	select {
	case how := <-p.slot(string(id)):
		reply := []byte(how)
		return s.SendMsg(&reply)
	case <-time.After(10 * time.Second):
		return status.Errorf(codes.NotFound, "call %s has not ended", id)
	case <-s.Context().Done():
		return s.Context().Err()
	}
}

func (p *peerServer) slot(id string) chan string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended[id] == nil {
		p.ended[id] = make(chan string, 1)
	}
	return p.ended[id]
}

// inboundStats notes how the request came in, which grpc-go tells only here.
type inboundStats struct{}

type inboundKey struct{}

type inbound struct {
	mu       sync.Mutex
	encoding string
	length   int
}

func (inboundStats) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, inboundKey{}, &inbound{})
}

func (inboundStats) HandleRPC(ctx context.Context, event stats.RPCStats) {
	in := ctx.Value(inboundKey{}).(*inbound)
	in.mu.Lock()
	defer in.mu.Unlock()
	switch event := event.(type) {
	case *stats.InHeader:
		in.encoding = event.Compression
	case *stats.InPayload:
		in.length = event.CompressedLength
	}
}

func (inboundStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (inboundStats) HandleConn(context.Context, stats.ConnStats) {}

func inboundOf(ctx context.Context) (encoding string, length int) {
	in := ctx.Value(inboundKey{}).(*inbound)
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.encoding, in.length
}
