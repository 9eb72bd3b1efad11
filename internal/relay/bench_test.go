package relay_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/loomtest"
	"loom/internal/relay"
	"loom/internal/route"
)

// BenchmarkUnary is one unary call of 100 bytes each way through the relay,
// between two connections of ours over TCP: on a route that asks for nothing,
// and on one with time-outs and retries, which are not needed.
func BenchmarkUnary(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		benchmarkCalls(b, route.Rule{Name: "all", Backends: []route.Weighted{{Name: "b", Weight: 1}}})
	})
	b.Run("bounded", func(b *testing.B) {
		benchmarkCalls(b, route.Rule{
			Name: "all", Backends: []route.Weighted{{Name: "b", Weight: 1}},
			Timeout: route.Timeout{Overall: time.Second, PerTry: time.Second, Idle: time.Second},
			Retry:   &route.Retry{Attempts: 3, On: []uint32{14}, Initial: 1, Max: 1, BudgetPercent: 20},
		})
	})
}

func benchmarkCalls(b *testing.B, rule route.Rule) {
	b.Helper()
	counters := new(h2.Counters)
	opts := &h2.Options{Limits: h2.DefaultLimits(), Counters: counters, Budget: h2.NewBudget(64<<20, counters)}
	var serving sync.WaitGroup
	defer serving.Wait()
	serve := func(c *h2.Conn) { serving.Go(func() { _ = c.Serve() }) }

	peer := &benchPeer{
		headers:  loomtest.KV(":status", "200", "content-type", "application/grpc"),
		trailers: loomtest.KV("grpc-status", "0", "grpc-message", ""),
	}
	k, err := backend.New(backend.Options{
		Name: "b", Targets: []backend.Target{{URI: "passthrough:///upstream"}}, H2: opts,
		Connections: 1, Pending: 10, ConnectTimeout: 10 * time.Second,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := tcpPair(b)
			serve(h2.NewServer(far, opts, peer))
			return near, nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	table, err := route.Compile([]route.Rule{rule})
	if err != nil {
		b.Fatal(err)
	}
	r, err := relay.New(relay.Options{
		Rules: relay.Rules{Routes: table, Backends: map[string]*backend.Backend{"b": k}, KeptRequest: 64 << 10},
		H2:    opts, Counters: new(relay.Counters),
	})
	if err != nil {
		b.Fatal(err)
	}
	near, far := tcpPair(b)
	client := h2.NewClient(near, opts, peer)
	serve(r.Conn(far, relay.Caller{}))
	serve(client)
	defer client.Close()
	call := benchCalls(client)
	if err := call(); err != nil { // makes the connection to the backend
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
}

// benchCalls returns what makes one call after the other.
func benchCalls(client *h2.Conn) func() error {
	fields := []h2.Field(loomtest.RequestFields("/s/m", "user-agent", "bench"))
	message := loomtest.Message(make([]byte, 95))
	done := make(chan struct{}, 1)
	batch := h2.NewBatch()
	return func() error {
		c := &benchCall{done: done}
		if err := client.Open(batch, &c.Stream, c, fields, false); err != nil {
			return err
		}
		c.Send(batch, message, true, nil)
		batch.Flush()
		<-done
		return nil
	}
}

func tcpPair(b *testing.B) (near, far net.Conn) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		b.Fatal(err)
	}
	return near, far
}

// benchPeer answers each call with the message that it brings.
type benchPeer struct{ headers, trailers []h2.Field }

func (p *benchPeer) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) {
	a := &benchAnswer{peer: p}
	return &a.Stream, a
}

func (p *benchPeer) Changed(*h2.Batch, *h2.Conn) {}

type benchAnswer struct {
	h2.Stream
	peer *benchPeer
}

func (a *benchAnswer) Headers(*h2.Batch, h2.BlockKind, []h2.Field, bool) {}

func (a *benchAnswer) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	a.SendHeaders(b, a.peer.headers, false)
	a.Send(b, p, false, s)
	if end {
		a.SendHeaders(b, a.peer.trailers, true)
	}
}

func (a *benchAnswer) Ended(*h2.Batch, h2.End) {}
func (a *benchAnswer) Expired(*h2.Batch)       {}

// benchCall is the caller's end of a call.
type benchCall struct {
	h2.Stream
	done chan<- struct{}
}

func (c *benchCall) Headers(_ *h2.Batch, _ h2.BlockKind, _ []h2.Field, end bool) {
	if end {
		c.done <- struct{}{}
	}
}

func (c *benchCall) Data(b *h2.Batch, s *h2.Stream, p []byte, _ bool) { s.Discard(b, len(p)) }
func (c *benchCall) Ended(*h2.Batch, h2.End)                          { c.done <- struct{}{} }
func (c *benchCall) Expired(*h2.Batch)                                {}
