package h2_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// secured completes a TLS handshake between the two ends of a socket, as
// loomd does it, and returns them.
func secured(t testing.TB, mine, theirs net.Conn, version uint16) (client, server *tls.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"loom.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	client = tls.Client(h2.NewWire(mine), &tls.Config{InsecureSkipVerify: true, MaxVersion: version, DynamicRecordSizingDisabled: true})
	server = tls.Server(h2.NewWire(theirs), &tls.Config{
		Certificates:                []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		DynamicRecordSizingDisabled: true,
	})
	var shaking sync.WaitGroup
	shaking.Go(func() {
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err := server.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	shaking.Wait()
	return client, server
}

// A socket that takes nothing for a while blocks a record in its middle; the
// rest of it leaves before what comes later, whoever writes it.
func TestBlockedRecordsLeaveInOrder(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			near, far := tcpPair(t)
			client, server := secured(t, far, near, version)
			s := h.serve(server, true, nil)
			t.Cleanup(func() { _ = client.Close() })
			// Room for all of it, so that only the socket holds it up.
			windows := loomtest.FrameBytes(http2.FrameSettings, 0, 0, []byte{0, 4, 0x7f, 0xff, 0xff, 0xff})
			more := loomtest.FrameBytes(http2.FrameWindowUpdate, 0, 0, []byte{0x7f, 0, 0, 0})
			mustWrite(t, client, []byte(http2.ClientPreface), windows,
				loomtest.FrameBytes(http2.FrameSettings, http2.FlagSettingsAck, 0, nil), more, requestBytes(1))
			l := s.leg()
			l.want("headers")
			do(func(b *h2.Batch) { l.SendHeaders(b, loomtest.KV(":status", "200"), false) })
			body := make([]byte, 20<<20)
			_, _ = rand.Read(body)
			for part := range slices.Chunk(body, 16<<10) {
				do(func(b *h2.Batch) { l.Send(b, part, false, nil) })
			}
			within(t, "the socket takes everything", func() bool { return s.Queued() > 0 || s.Waiting() > 0 })
			do(func(b *h2.Batch) { l.Send(b, nil, true, nil) })
			got := make([]byte, 0, len(body))
			readUntil(t, client, func(f http2.Frame) bool {
				d, ok := f.(*http2.DataFrame)
				if ok {
					got = append(got, d.Data()...)
				}
				return ok && d.StreamEnded()
			})
			if !bytes.Equal(got, body) {
				t.Error("what came is not what was sent")
			}
		})
	}
}

// What the TLS layer says of its own accord, such as an answer to a KeyUpdate,
// leaves as soon as the socket takes it, though the connection has nothing to say.
func TestRecordsOfTheTLSLayerLeave(t *testing.T) {
	h := newHost(t)
	near, far := tcpPair(t)
	client, server := secured(t, far, near, tls.VersionTLS13)
	s := h.serve(server, true, nil)
	t.Cleanup(func() { _ = far.Close() })
	mustWrite(t, client, greetCaller())
	within(t, "its SETTINGS are not read", s.Settled)
	readUntil(t, client, func(f http2.Frame) bool {
		settings, ok := f.(*http2.SettingsFrame)
		return ok && settings.IsAck()
	})
	wire := server.NetConn().(*h2.Wire)
	said := 0
	for range 1000 { // more than a socket takes
		n, err := wire.Write(make([]byte, 16<<10))
		if said += n; err != nil {
			break
		}
	}
	mustWrite(t, client, loomtest.FrameBytes(http2.FrameWindowUpdate, 0, 0, []byte{0, 0, 0, 1})) // needs no answer
	_ = far.SetReadDeadline(time.Now().Add(grace))
	if n, err := io.CopyN(io.Discard, far, int64(said)); err != nil {
		t.Errorf("%d of %d bytes came: %v", n, said, err)
	}
}

// tcpPair returns the ends of a TCP connection.
func tcpPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// An idle connection with TLS holds one goroutine, no buffer of loom's, and
// what crypto/tls keeps: a record, if one was as large as they get.
func TestIdleTLSConnectionsAreCheap(t *testing.T) {
	const conns = 100
	for name, tt := range map[string]struct {
		body int
		most int64 // bytes, for both ends: the test has one in the same heap
	}{
		"small messages": {100, 40 << 10},
		"large messages": {16000, 110 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			call := [][]byte{greetCaller(), requestBytes(1), frame(http2.FrameData, endStream, 1, make([]byte, tt.body))}
			goroutines, heap := runtime.NumGoroutine(), heapInUse()
			var clients []*tls.Conn
			for range conns {
				near, far := tcpPair(t)
				client, server := secured(t, far, near, tls.VersionTLS13)
				conn := h2.NewServer(server, h.opts, echoOwner{})
				go func() { _ = conn.Serve() }()
				mustWrite(t, client, call...)
				readUntilEnd(t, client)
				clients = append(clients, client)
			}
			within(t, "there are more goroutines than connections", func() bool { return runtime.NumGoroutine() <= goroutines+conns })
			each := int64(0)
			within(t, "idle connections hold too much", func() bool {
				each = (int64(heapInUse()) - int64(heap)) / conns
				return each <= tt.most
			})
			t.Logf("both ends of an idle connection hold %d bytes", each)
			for _, c := range clients {
				_ = c.Close()
			}
			within(t, "connections do not end with their sockets", func() bool { return runtime.NumGoroutine() <= goroutines })
		})
	}
}
