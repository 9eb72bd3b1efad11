package h2

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/net/http2"
)

func settingsPayload(settings ...http2.Setting) []byte {
	var p []byte
	for _, s := range settings {
		p = appendSetting(p, settingID(s.ID), s.Val)
	}
	return p
}

func TestPeerSettings(t *testing.T) {
	initial := initialPeerSettings()
	with := func(change func(*peerSettings)) peerSettings {
		s := initial
		change(&s)
		return s
	}
	tests := []struct {
		name    string
		payload []byte
		want    peerSettings
		code    ErrCode // of the error; CodeNo for none
	}{
		{"empty", nil, initial, CodeNo},
		{"table", settingsPayload(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}),
			with(func(s *peerSettings) { s.headerTable = 0 }), CodeNo},
		{"streams", settingsPayload(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1<<32 - 1}),
			with(func(s *peerSettings) { s.maxStreams = 1<<32 - 1 }), CodeNo},
		{"window", settingsPayload(http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow}),
			with(func(s *peerSettings) { s.initialWindow = maxWindow }), CodeNo},
		{"largest frames are not needed", settingsPayload(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<24 - 1}), initial, CodeNo},
		{"the last of two holds", settingsPayload(
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2}),
			with(func(s *peerSettings) { s.initialWindow = 2 }), CodeNo},
		{"what means nothing here", settingsPayload(
			http2.Setting{ID: http2.SettingEnablePush, Val: 1}, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 0},
			http2.Setting{ID: 0xffff, Val: 1<<32 - 1}), initial, CodeNo},

		{"half an entry", make([]byte, 5), initial, CodeFrameSize},
		{"an entry and a half", make([]byte, 9), initial, CodeFrameSize},
		{"push", settingsPayload(http2.Setting{ID: http2.SettingEnablePush, Val: 2}), initial, CodeProtocol},
		{"window over 2^31-1", settingsPayload(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}), initial, CodeFlowControl},
		{"frames too small", settingsPayload(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16383}), initial, CodeProtocol},
		{"frames too large", settingsPayload(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 24}), initial, CodeProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := initial
			err := s.apply(tt.payload)
			var ce *ConnError
			if tt.code != CodeNo {
				if !errors.As(err, &ce) || ce.Code != tt.code {
					t.Fatalf("got error %v, want %v", err, tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s.leastTable, tt.want.leastTable = 0, 0 // TestLeastTable looks at it
			if s != tt.want {
				t.Errorf("got %+v, want %+v", s, tt.want)
			}
		})
	}
}

// The smallest table that one frame asks for counts, too (RFC 7541, section 4.2).
func TestLeastTable(t *testing.T) {
	table := func(sizes ...uint32) (p []byte) {
		for _, size := range sizes {
			p = appendSetting(p, settingHeaderTableSize, size)
		}
		return p
	}
	s := initialPeerSettings()
	for _, step := range []struct {
		sizes       []uint32
		least, last uint32
	}{
		{[]uint32{0, 4096}, 0, 4096},
		{nil, 4096, 4096}, // of an earlier frame it is forgotten
		{[]uint32{100, 50, 70}, 50, 70},
		{[]uint32{8000}, 70, 8000},
	} {
		if err := s.apply(table(step.sizes...)); err != nil {
			t.Fatal(err)
		}
		if s.leastTable != step.least || s.headerTable != step.last {
			t.Errorf("after %v: least %d, last %d; want %d, %d", step.sizes, s.leastTable, s.headerTable, step.least, step.last)
		}
	}
}

func TestOurSettings(t *testing.T) {
	limits := DefaultLimits()
	wide := limits
	wide.StreamWindow = 1 << 20
	tests := []struct {
		name   string
		server bool
		limits *Limits
		want   map[http2.SettingID]uint32
	}{
		{"server", true, &limits, map[http2.SettingID]uint32{
			http2.SettingMaxConcurrentStreams: 1000, http2.SettingMaxHeaderListSize: 64 << 10}},
		{"client", false, &limits, map[http2.SettingID]uint32{
			http2.SettingEnablePush: 0, http2.SettingMaxHeaderListSize: 64 << 10}},
		{"wide windows", true, &wide, map[http2.SettingID]uint32{
			http2.SettingMaxConcurrentStreams: 1000, http2.SettingInitialWindowSize: 1 << 20,
			http2.SettingMaxHeaderListSize: 64 << 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire := appendSettings([]byte("before"), tt.server, tt.limits)[len("before"):]
			f, err := http2.NewFramer(nil, bytes.NewReader(wire)).ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			settings := f.(*http2.SettingsFrame)
			if settings.NumSettings() != len(tt.want) {
				t.Errorf("%d settings, want %d", settings.NumSettings(), len(tt.want))
			}
			for id, want := range tt.want {
				if got, ok := settings.Value(id); !ok || got != want {
					t.Errorf("%v is %d, %v; want %d", id, got, ok, want)
				}
			}
		})
	}
}
