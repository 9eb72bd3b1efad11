package loomtest_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/loomtest"
)

// Each script has one peer break the protocol; the other has to notice without
// being asked.
func TestPeersNoticeBreaches(t *testing.T) {
	setting := func(id http2.SettingID, v uint32) http2.Setting { return http2.Setting{ID: id, Val: v} }
	tests := []struct {
		name   string
		script func(down *loomtest.Downstream, up *loomtest.Upstream)
		want   string
	}{
		{"stream window", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			up.Settings(setting(http2.SettingInitialWindowSize, 10))
			up.WantSettingsAck()
			up.WantSettingsAck()
			down.RawData(down.Open("/a.B/C"), make([]byte, 11), false)
		}, "upstream: the other side broke the protocol: DATA of 11 bytes on stream 1 exceeds the stream's window by 1"},
		{"connection window", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			up.SetAuto(loomtest.AutoConnWindow, false)
			down.RawData(down.Open("/a.B/C"), make([]byte, 65000), false)
			down.RawData(down.Open("/a.B/C"), make([]byte, 1000), false)
		}, "exceeds the connection's window by 465"},
		{"padding counts", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			up.Settings(setting(http2.SettingInitialWindowSize, 10))
			up.WantSettingsAck()
			up.WantSettingsAck()
			down.DataPadded(down.Open("/a.B/C"), make([]byte, 5), 5, false)
		}, "exceeds the stream's window by 1"},
		{"frame size", func(down *loomtest.Downstream, _ *loomtest.Upstream) {
			down.RawFrame(http2.FrameData, 0, down.Open("/a.B/C"), make([]byte, 16385))
		}, "frame of 16385 bytes, allowed are 16384"},
		{"data before headers", func(down *loomtest.Downstream, _ *loomtest.Upstream) {
			down.RawData(1, []byte("x"), false)
		}, "DATA on stream 1 before its HEADERS"},
		{"data after the end", func(down *loomtest.Downstream, _ *loomtest.Upstream) {
			id := down.Unary("/a.B/C", nil)
			down.RawData(id, []byte("x"), false)
		}, "DATA on stream 1 after its end"},
		{"stream ids", func(down *loomtest.Downstream, _ *loomtest.Upstream) {
			down.Headers(5, "/a.B/C")
			down.Headers(3, "/a.B/C")
		}, "HEADERS open stream 3 after 5"},
		{"request without method", func(down *loomtest.Downstream, _ *loomtest.Upstream) {
			down.HeaderBlock(1, false, loomtest.KV(":scheme", "http", ":path", "/a.B/C"))
		}, "a request with the pseudo-headers"},
		{"pseudo-header late", func(down *loomtest.Downstream, _ *loomtest.Upstream) {
			down.HeaderBlock(1, false, loomtest.KV(":scheme", "http", "te", "trailers", ":path", "/a.B/C"))
		}, "pseudo-header :path after other fields"},
		{"answer on an idle stream", func(_ *loomtest.Downstream, up *loomtest.Upstream) {
			up.Headers(1)
		}, "downstream: the other side broke the protocol: HEADERS on idle stream 1"},
		{"trailers twice", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			id := down.Open("/a.B/C")
			up.Reply(id, nil)
			up.Trailers(id, codes.OK)
		}, "HEADERS on stream 1 after its end"},
		{"second headers", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			id := down.Open("/a.B/C")
			up.Headers(id)
			up.HeaderBlock(id, false, loomtest.KV("x", "y"))
		}, "a second header block that does not end the stream"},
		{"push", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			id := down.Open("/a.B/C")
			up.RawFrame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, id, []byte{0, 0, 0, 2, 0x88})
		}, "PUSH_PROMISE on stream 1"},
		{"ack of nothing", func(_ *loomtest.Downstream, up *loomtest.Upstream) {
			up.SettingsAck()
			up.SettingsAck()
		}, "SETTINGS ACK without SETTINGS"},
		{"window overflow", func(_ *loomtest.Downstream, up *loomtest.Upstream) {
			up.WindowUpdate(0, 1<<31-1)
		}, "overflows the window of stream 0"},
		{"table not shrunk", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			down.Open("/a.B/C")
			up.Settings(setting(http2.SettingHeaderTableSize, 0))
			up.WantSettingsAck()
			up.WantSettingsAck()
			block := []byte{0x83, 0x86, 0x84} // POST, http, / from the static table
			down.RawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 3, block)
		}, "header block without a table size update"},
		{"not HTTP/2", func(down *loomtest.Downstream, _ *loomtest.Upstream) {
			down.RawFrame(http2.FrameSettings, 0, 1, nil)
		}, "PROTOCOL_ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &fakeTest{TB: t}
				down, up := pair(fake)
				tt.script(down, up)
				synctest.Wait()
				fake.end()
				if got := strings.Join(fake.errors, "\n"); !strings.Contains(got, tt.want) {
					t.Fatalf("noticed %q\nwant %q", got, tt.want)
				}
			})
		})
	}
}
