package relay

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestH2specOnCalls does with a gRPC call what h2spec does with requests that
// are not gRPC, for those of its cases that are about an open stream.
func TestH2specOnCalls(t *testing.T) {
	relay := loomd.StartRelay(t, startPeerServer(t))
	for _, test := range []struct {
		name string
		do   func(p *peer)
		want string
	}{
		{
			name: "window update of 0 on a stream",
			do: func(p *peer) {
				p.call()
				p.check(p.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, 1, make([]byte, 4)))
			},
			want: "RST_STREAM PROTOCOL_ERROR",
		},
		{
			name: "window of a stream over its limit",
			do: func(p *peer) {
				p.call()
				p.check(p.framer.WriteWindowUpdate(1, 1<<31-1))
				p.check(p.framer.WriteWindowUpdate(1, 1<<31-1))
			},
			want: "RST_STREAM FLOW_CONTROL_ERROR",
		},
		{
			name: "second HEADERS without END_STREAM",
			do: func(p *peer) {
				p.call()
				p.headers(false, "x-late", "1")
			},
			want: "RST_STREAM PROTOCOL_ERROR",
		},
		{
			name: "pseudo-header field as a trailer",
			do: func(p *peer) {
				p.call()
				p.headers(true, ":method", "POST")
			},
			want: "RST_STREAM PROTOCOL_ERROR",
		},
		{
			name: "less data than content-length",
			do: func(p *peer) {
				p.call("content-length", "10")
				p.check(p.framer.WriteData(1, true, make([]byte, 5)))
			},
			want: "RST_STREAM PROTOCOL_ERROR",
		},
		{
			name: "more data than content-length",
			do: func(p *peer) {
				p.call("content-length", "8")
				p.check(p.framer.WriteData(1, false, make([]byte, 5)))
				p.check(p.framer.WriteData(1, true, make([]byte, 5)))
			},
			want: "RST_STREAM PROTOCOL_ERROR",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := connect(t, relay.TCP)
			test.do(p)
			// A connection error of the same code says the same, louder.
			want, loud := test.want, strings.Replace(test.want, "RST_STREAM", "GOAWAY", 1)
			if got := p.next("RST_STREAM", "GOAWAY"); got != want && got != loud {
				t.Errorf("loomd answered %s, want %s", got, want)
			}
		})
	}
}

// TestFramesAfterReset sends on a stream that was reset before: whatever loomd
// makes of it, the backend's side of the call is over and others go on.
func TestFramesAfterReset(t *testing.T) {
	relay := loomd.StartRelay(t, startPeerServer(t))
	p := connect(t, relay.TCP)
	p.call()
	p.check(p.framer.WriteRSTStream(1, http2.ErrCodeCancel))
	p.check(p.framer.WriteData(1, true, []byte("late")))
	p.headers(true, "x-late", "1")
	p.check(p.framer.WritePing(false, [8]byte{1}))
	// RFC 9113, 5.1: frames on a closed stream may be an error STREAM_CLOSED.
	switch got := p.next("PING ACK", "RST_STREAM", "GOAWAY"); got {
	case "PING ACK", "RST_STREAM STREAM_CLOSED", "GOAWAY STREAM_CLOSED":
	default:
		t.Errorf("loomd answered %s", got)
	}
}

// TestWindowOpensForAnswer holds back the text of a 415 and then lets one byte
// through: the change of the setting counts for streams that are open.
func TestWindowOpensForAnswer(t *testing.T) {
	relay := loomd.StartRelay(t, startPeerServer(t))
	p := connect(t, relay.TCP)
	window := func(size uint32) {
		p.check(p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: size}))
	}
	window(0)
	p.headers(true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "loom")
	if got := p.next("HEADERS", "DATA"); got != "HEADERS" {
		t.Fatalf("loomd answered %s, want HEADERS", got)
	}
	window(1)
	// RFC 9113, 6.5.3: the acknowledgement comes at once, so before what the
	// new value allows.
	if got := p.next("SETTINGS ACK", "DATA 1"); got != "SETTINGS ACK" {
		t.Errorf("loomd sent %s before the acknowledgement", got)
		return
	}
	if got := p.next("DATA"); got != "DATA 1" {
		t.Errorf("loomd sent %s, want DATA of one byte", got)
	}
}

// peer is a downstream connection on which a test writes frames by hand.
type peer struct {
	t       *testing.T
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// connect opens a connection; loomd's settings have come and been answered.
func connect(t *testing.T, address string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("connect to loomd: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatalf("bound the test: %v", err)
	}
	p := &peer{t: t, framer: http2.NewFramer(conn, conn)}
	p.framer.AllowIllegalWrites = true
	p.encoder = hpack.NewEncoder(&p.block)
	_, err = conn.Write([]byte(http2.ClientPreface))
	p.check(err)
	p.check(p.framer.WriteSettings())
	if got := p.next("SETTINGS ACK"); got != "SETTINGS ACK" {
		t.Fatalf("loomd began with %s", got)
	}
	return p
}

func (p *peer) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("write to loomd: %v", err)
	}
}

// call begins a gRPC call on stream 1 whose backend waits for its message.
func (p *peer) call(more ...string) {
	p.t.Helper()
	p.headers(false, append([]string{
		":method", "POST", ":scheme", "http", ":path", "/loom.test.Peer/Sleep", ":authority", "loom",
		"content-type", "application/grpc", "te", "trailers",
	}, more...)...)
}

// headers writes a block of the names and values on stream 1.
func (p *peer) headers(end bool, fields ...string) {
	p.t.Helper()
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.check(p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	p.check(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block.Bytes(), EndStream: end, EndHeaders: true}))
}

// next reads until a frame whose description begins with one of the words, and
// describes it; at the end of the connection it says so. It acknowledges
// settings on the way.
func (p *peer) next(words ...string) string {
	p.t.Helper()
	for {
		frame, err := p.framer.ReadFrame()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return "nothing"
			}
			return fmt.Sprintf("the end of the connection (%v)", err)
		}
		text := describe(frame)
		if text == "SETTINGS" {
			p.check(p.framer.WriteSettingsAck())
		}
		for _, word := range words {
			if strings.HasPrefix(text, word) {
				return text
			}
		}
	}
}

func describe(frame http2.Frame) string {
	switch f := frame.(type) {
	case *http2.RSTStreamFrame:
		return "RST_STREAM " + f.ErrCode.String()
	case *http2.GoAwayFrame:
		return "GOAWAY " + f.ErrCode.String()
	case *http2.DataFrame:
		return fmt.Sprintf("DATA %d", len(f.Data()))
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ACK"
		}
	case *http2.PingFrame:
		if f.IsAck() {
			return "PING ACK"
		}
	}
	return frame.Header().Type.String()
}
