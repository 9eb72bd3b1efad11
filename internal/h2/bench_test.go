package h2_test

import (
	"crypto/tls"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// BenchmarkUnary is one unary call of 100 bytes each way between two
// connections of ours, over a socket and in memory.
func BenchmarkUnary(b *testing.B) {
	b.Run("tcp", func(b *testing.B) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		near, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		far, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		benchmarkUnary(b, near, far)
	})
	b.Run("tls", func(b *testing.B) {
		near, far := tcpPair(b)
		client, server := secured(b, near, far, tls.VersionTLS13)
		benchmarkUnary(b, client, server)
	})
	b.Run("memory", func(b *testing.B) {
		near, far := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
		benchmarkUnary(b, near, far)
	})
}

func benchmarkUnary(b *testing.B, near, far net.Conn) {
	b.Helper()
	counters := new(h2.Counters)
	opts := &h2.Options{Limits: h2.DefaultLimits(), Counters: counters, Budget: h2.NewBudget(64<<20, counters)}
	owner := &unaryOwner{
		headers:  loomtest.KV(":status", "200", "content-type", "application/grpc"),
		trailers: loomtest.KV("grpc-status", "0", "grpc-message", ""),
	}
	client, server := h2.NewClient(near, opts, owner), h2.NewServer(far, opts, owner)
	var serving sync.WaitGroup
	for _, c := range []*h2.Conn{client, server} {
		serving.Go(func() { _ = c.Serve() })
	}
	defer serving.Wait()
	defer client.Close()

	fields := []h2.Field(loomtest.RequestFields("/s/m", "user-agent", "bench"))
	message := loomtest.Message(make([]byte, 95))
	done := make(chan struct{}, 1)
	batch := h2.NewBatch()
	b.ReportAllocs()
	b.SetBytes(200)
	for b.Loop() {
		call := &unaryCall{done: done}
		if err := client.Open(batch, &call.Stream, call, fields, false); err != nil {
			b.Fatal(err)
		}
		call.Send(batch, message, true, nil)
		batch.Flush()
		<-done
	}
}

// unaryOwner answers each call with the message that it brings.
type unaryOwner struct{ headers, trailers []h2.Field }

func (o *unaryOwner) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) {
	a := &unaryAnswer{owner: o}
	return &a.Stream, a
}

func (o *unaryOwner) Changed(*h2.Batch, *h2.Conn) {}

type unaryAnswer struct {
	h2.Stream
	owner *unaryOwner
}

func (a *unaryAnswer) Headers(*h2.Batch, h2.BlockKind, []h2.Field, bool) {}

func (a *unaryAnswer) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	a.SendHeaders(b, a.owner.headers, false)
	a.Send(b, p, false, s)
	if end {
		a.SendHeaders(b, a.owner.trailers, true)
	}
}

func (a *unaryAnswer) Ended(*h2.Batch, h2.End) {}
func (a *unaryAnswer) Expired(*h2.Batch)       {}

// unaryCall is the side that asks.
type unaryCall struct {
	h2.Stream
	done chan<- struct{}
}

func (c *unaryCall) Headers(_ *h2.Batch, _ h2.BlockKind, _ []h2.Field, end bool) {
	if end {
		c.done <- struct{}{}
	}
}

func (c *unaryCall) Data(b *h2.Batch, s *h2.Stream, p []byte, _ bool) { s.Discard(b, len(p)) }
func (c *unaryCall) Ended(*h2.Batch, h2.End)                          { c.done <- struct{}{} }
func (c *unaryCall) Expired(*h2.Batch)                                {}

// BenchmarkThaw is a pause, the written form, and a connection made of it, with
// so many streams open.
func BenchmarkThaw(b *testing.B) {
	for _, streams := range []int{0, 1, 100} {
		b.Run(strconv.Itoa(streams), func(b *testing.B) {
			near, far := loomtest.Pipe(1<<20, 1<<20)
			counters := new(h2.Counters)
			opts := &h2.Options{Limits: h2.DefaultLimits(), Counters: counters, Budget: h2.NewBudget(64<<20, counters)}
			owner := &fuzzOwner{}
			conn := h2.NewServer(near, opts, owner)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = conn.Serve()
			}()
			_, _ = far.Write(greetCaller())
			for i := range streams {
				_, _ = far.Write(requestBytes(uint32(2*i + 1)))
			}
			for conn.Streams() < streams || near.Unread() > 0 {
				time.Sleep(time.Millisecond)
			}
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				frozen, err := conn.Pause(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				blob, err := frozen.Marshal(nil)
				if err != nil {
					b.Fatal(err)
				}
				size = len(blob)
				if _, err := h2.Thaw(near, opts, fuzzHeir{&fuzzOwner{}}, blob); err != nil {
					b.Fatal(err)
				}
				if err := frozen.Resume(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "written-bytes")
			conn.Close()
			<-ended
			_ = far.Close()
		})
	}
}
