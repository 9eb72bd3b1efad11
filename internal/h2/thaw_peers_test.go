package h2_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"loom/internal/h2"
)

// between is a relay of two connections on real sockets, with the other ends
// of both.
type between struct {
	*host
	down, up        *served
	caller, backend net.Conn
}

func newBetween(t *testing.T, change ...func(*h2.Options)) *between {
	t.Helper()
	r := &between{host: newHost(t, change...)}
	near, backend := tcpPair(t)
	caller, far := tcpPair(t)
	r.caller, r.backend = caller, backend
	for _, c := range []net.Conn{near, far} {
		// So small that writes are cut into pieces, and have to wait.
		_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	r.up = r.serve(near, false, nil)
	r.down = r.serve(far, true, relayTo(r.up))
	t.Cleanup(func() { _, _ = caller.Close(), backend.Close() })
	return r
}

// dial returns what gives the caller's end to the first who asks.
func (r *between) dial() func(context.Context, string, string) (net.Conn, error) {
	conns := make(chan net.Conn, 1)
	conns <- r.caller
	return func(context.Context, string, string) (net.Conn, error) {
		select {
		case c := <-conns:
			return c, nil
		default:
			return nil, errors.New("the connection was lost")
		}
	}
}

// reborn has both connections written down and go on, on the sockets that they
// have or, as in another process, on new descriptors of the same.
func (r *between) reborn(descriptors bool) {
	r.t.Helper()
	r.rebirthOn(func(nc net.Conn) net.Conn {
		if descriptors {
			return r.copied(nc)
		}
		return nc
	}, r.down, r.up)
}

func (r *between) copied(nc net.Conn) net.Conn {
	r.t.Helper()
	file, err := nc.(*net.TCPConn).File()
	if err != nil {
		r.t.Fatal(err)
	}
	other, err := net.FileConn(file)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = file.Close(), nc.Close()
	return other
}

// bytesCodec passes messages as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = bytes.Clone(data); return nil }
func (bytesCodec) Name() string                       { return "bytes" }

// checksums answers each message with the checksum of all so far.
func checksums(_ any, stream grpc.ServerStream) error {
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	for {
		var message []byte
		err := stream.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			return status.Error(codes.DataLoss, hex(sum))
		}
		if err != nil {
			return err
		}
		_, _ = sum.Write(message)
		answer := append(binary.BigEndian.AppendUint64(nil, sum.Sum64()), message...)
		if err := stream.SendMsg(&answer); err != nil {
			return err
		}
	}
}

func hex(sum hash.Hash64) string { return strconv.FormatUint(sum.Sum64(), 16) }

// one is a listener that has one connection.
type one struct {
	conns chan net.Conn
	addr  net.Addr
}

func newOne(c net.Conn) *one {
	l := &one{make(chan net.Conn, 1), c.LocalAddr()}
	l.conns <- c
	return l
}

func (l *one) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l *one) Close() error   { close(l.conns); return nil }
func (l *one) Addr() net.Addr { return l.addr }

// grpcPeers returns a client of grpc-go whose calls go through the relay to a
// server of grpc-go.
func (r *between) grpcPeers() *grpc.ClientConn {
	r.t.Helper()
	server := grpc.NewServer(grpc.ForceServerCodec(bytesCodec{}), grpc.UnknownServiceHandler(checksums))
	ln := newOne(r.backend)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	dial := r.dial()
	client, err := grpc.NewClient("passthrough:///relay",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx, "", "") }))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = client.Close()
		server.Stop()
		serving.Wait()
	})
	return client
}

// converse sends messages of any size until stop is closed, and compares every
// answer.
func converse(ctx context.Context, client *grpc.ClientConn, seed uint64, answers *atomic.Int64, stop <-chan struct{}) error {
	desc := &grpc.StreamDesc{StreamName: "c", ServerStreams: true, ClientStreams: true}
	stream, err := client.NewStream(ctx, desc, "/s/converse")
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 9))
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	for stopped := false; !stopped; {
		select {
		case <-stop:
			stopped = true
		default:
		}
		message := make([]byte, rng.IntN(1+rng.IntN(1<<rng.IntN(18))))
		for i := range message {
			message[i] = byte(rng.Uint32())
		}
		_, _ = sum.Write(message)
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
		var answer []byte
		if err := stream.RecvMsg(&answer); err != nil {
			return err
		}
		if !bytes.Equal(answer, append(binary.BigEndian.AppendUint64(nil, sum.Sum64()), message...)) {
			return errors.New("an answer is wrong")
		}
		answers.Add(1)
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var answer []byte
	err = stream.RecvMsg(&answer)
	if status.Code(err) != codes.DataLoss || status.Convert(err).Message() != hex(sum) {
		return fmt.Errorf("the status is %w", err)
	}
	return nil
}

// Streams of grpc-go, with a checksum that runs over all of it, outlive a
// hundred times that both connections of a relay are written down.
func TestStreamsOutliveAHundredThaws(t *testing.T) {
	var talking sync.WaitGroup
	t.Cleanup(talking.Wait) // when all connections are closed, if not before
	r := newBetween(t, limits(func(l *h2.Limits) { l.Outbox = 16 << 10 }))
	client := r.grpcPeers()
	stop := make(chan struct{})
	answers := make([]atomic.Int64, 4)
	for seed := range uint64(4) {
		talking.Go(func() {
			if err := converse(t.Context(), client, seed, &answers[seed], stop); err != nil {
				t.Errorf("stream %d: %v", seed, err)
			}
		})
	}
	talking.Go(func() {
		var answers atomic.Int64
		for n := uint64(100); ; n++ { // calls that begin and end meanwhile
			select {
			case <-stop:
				return
			default:
			}
			ended := make(chan struct{})
			close(ended)
			if err := converse(t.Context(), client, n, &answers, ended); err != nil {
				t.Errorf("call %d: %v", n, err)
				return
			}
		}
	})
	for i := range 100 {
		r.reborn(i%2 == 0)
		if i%10 != 0 {
			continue // sometimes in one go, sometimes with messages between
		}
		for k := range answers {
			before := answers[k].Load()
			within(t, "a stream stands still", func() bool { return answers[k].Load() > before+1 || t.Failed() })
		}
	}
	close(stop)
	talking.Wait()
}

// What net/http finds valid, it finds valid after a thaw: requests and answers
// with long headers, bodies and trailers, both ways.
func TestIndependentPeersAfterAThaw(t *testing.T) {
	var asking sync.WaitGroup
	t.Cleanup(asking.Wait)
	r := newBetween(t)
	long := strings.Repeat(" long", 6000)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, ReadHeaderTimeout: grace, MaxHeaderBytes: 1 << 20, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("X-Path", req.URL.Path)
			w.Header().Set("X-Long", req.Header.Get("X-Long"))
			_, _ = w.Write(body)
			w.Header().Set("X-Sum", fmt.Sprintf("%x %s", sha256.Sum256(body), req.Trailer.Get("X-End")))
		})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(newOne(r.backend)) })
	transport := &http.Transport{Protocols: protocols, DialContext: r.dial()}
	ask := func(n int) {
		body := bytes.Repeat([]byte{byte(n)}, n*n*400)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://relay/s/m%d", n%3), io.NopCloser(bytes.NewReader(body)))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("X-Long", fmt.Sprint(n, long))
		req.Trailer = http.Header{"X-End": {strconv.Itoa(n)}}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Errorf("request %d: %v", n, err)
			return
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("request %d: %d bytes, want %d: %v", n, len(got), len(body), err)
		}
		for name, want := range map[string]string{"X-Path": fmt.Sprintf("/s/m%d", n%3), "X-Long": fmt.Sprint(n, long)} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("request %d: %s is %.20q, want %.20q", n, name, got, want)
			}
		}
		if got, want := res.Trailer.Get("X-Sum"), fmt.Sprintf("%x %d", sha256.Sum256(body), n); got != want {
			t.Errorf("request %d: the trailer is %q, want %q", n, got, want)
		}
	}
	ask(0) // the others share its connection
	for n := range 30 {
		asking.Go(func() { ask(n) })
		r.reborn(n%2 == 0)
	}
	asking.Wait()
	for n := range 5 {
		ask(n)
	}
	transport.CloseIdleConnections()
	_ = server.Close()
	serving.Wait()
}
