package h2_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// FuzzDifferential makes any valid sequence of frames: what the receivers of
// our streams are told must be what golang.org/x/net/http2 reads.
func FuzzDifferential(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint16(10*seed), uint16(seed*seed*seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, count, piece uint16) {
		rng := rand.New(rand.NewPCG(seed, 0))
		wire := loomtest.Wire(loomtest.NewGenerator(rng).Frames(int(count % 500)))
		want, err := loomtest.ReadRequests(wire)
		if err != nil {
			t.Fatalf("the generator broke the protocol: %v", err)
		}
		synctest.Test(t, func(t *testing.T) { compareReading(t, wire, int(piece), want) })
	})
}

func compareReading(t *testing.T, wire []byte, piece int, want loomtest.Reading) {
	h := newHost(t, limits(func(l *h2.Limits) {
		l.Streams = 1 << 20
		many := h2.Rate{Burst: 1 << 20}
		l.EarlyResets, l.Noise = many, many
	}))
	end, peer := h.rawPipe()
	reader := &reader{streams: make(map[uint32][]loomtest.Event)}
	conn := h2.NewServer(end, h.opts, reader)
	served := make(chan error, 1)
	go func() { served <- conn.Serve() }()
	peer.write([]byte(http2.ClientPreface))
	if piece == 0 {
		piece = len(wire)
	}
	for len(wire) > 0 {
		n := min(piece, len(wire))
		peer.write(wire[:n])
		wire = wire[n:]
		synctest.Wait()
	}
	said := peer.frames()
	_ = peer.conn.Close()
	if err := <-served; err != nil {
		t.Fatalf("the connection ended with %v", err)
	}

	for _, events := range want.Streams {
		for i := range events {
			if b := events[i].Block; b != nil {
				b.Frames = 0 // receivers do not learn of it
			}
		}
	}
	if !reflect.DeepEqual(reader.streams, want.Streams) {
		for id, events := range want.Streams {
			if got := reader.streams[id]; !reflect.DeepEqual(got, events) {
				t.Errorf("stream %d:\ngot  %v\nwant %v", id, got, events)
			}
		}
		t.Errorf("%d streams, want %d", len(reader.streams), len(want.Streams))
	}
	var pings [][8]byte
	acks := 0
	for _, f := range said {
		switch {
		case f.Type == http2.FramePing && f.Flags.Has(http2.FlagPingAck):
			pings = append(pings, [8]byte(f.Payload))
		case f.Type == http2.FrameSettings && f.Flags.Has(http2.FlagSettingsAck):
			acks++
		case f.Type == http2.FrameRSTStream, f.Type == http2.FrameGoAway:
			t.Errorf("answered with %v", f)
		}
	}
	if !reflect.DeepEqual(pings, want.Pings) || acks != len(want.Settings) {
		t.Errorf("%d of %d pings and %d of %d SETTINGS were answered", len(pings), len(want.Pings), acks, len(want.Settings))
	}
}

// reader notes what its streams are told as loomtest does.
type reader struct{ streams map[uint32][]loomtest.Event }

type readerLeg struct {
	h2.Stream
	r *reader
}

func (r *reader) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) {
	l := &readerLeg{r: r}
	return &l.Stream, l
}

func (r *reader) Changed(*h2.Batch, *h2.Conn) {}

func (l *readerLeg) add(e loomtest.Event) {
	l.r.streams[l.ID()] = append(l.r.streams[l.ID()], e)
}

func (l *readerLeg) Headers(_ *h2.Batch, _ h2.BlockKind, fields []h2.Field, end bool) {
	l.add(loomtest.Event{Kind: loomtest.KindHeaders, Block: &loomtest.Block{Fields: fields, EndStream: end}})
	l.end(end)
}

func (l *readerLeg) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	if len(p) > 0 || !end {
		l.add(loomtest.Event{Kind: loomtest.KindData, Data: bytes.Clone(p)})
	}
	s.Discard(b, len(p))
	l.end(end)
}

func (l *readerLeg) end(end bool) {
	if end {
		l.add(loomtest.Event{Kind: loomtest.KindEnd})
	}
}

func (l *readerLeg) Ended(_ *h2.Batch, e h2.End) {
	if e.Cause == h2.CausePeer {
		l.add(loomtest.Event{Kind: loomtest.KindReset, Code: http2.ErrCode(e.Code)})
	}
}

func (l *readerLeg) Expired(*h2.Batch) {}
