package h2

import (
	"encoding/binary"
	"math"
)

type settingID uint16

// Settings (RFC 9113, section 6.5.2).
const (
	settingHeaderTableSize      settingID = 0x1
	settingEnablePush           settingID = 0x2
	settingMaxConcurrentStreams settingID = 0x3
	settingInitialWindowSize    settingID = 0x4
	settingMaxFrameSize         settingID = 0x5
	settingMaxHeaderListSize    settingID = 0x6
)

const (
	defaultWindow = 65535
	maxWindow     = math.MaxInt32
	// assumedStreams is how many streams a peer is taken to allow until its
	// SETTINGS have come: the least that RFC 9113 recommends.
	assumedStreams = 100
)

// peerSettings are the settings that a peer has told us.
type peerSettings struct {
	headerTable   uint32
	leastTable    uint32 // least headerTable of the last SETTINGS frame
	maxStreams    uint32
	initialWindow int64
	maxFrame      int
}

func initialPeerSettings() peerSettings {
	return peerSettings{
		headerTable:   4096,
		maxStreams:    assumedStreams,
		initialWindow: defaultWindow,
		maxFrame:      maxFrameSize,
	}
}

// apply puts the payload of one SETTINGS frame in force, or says what is
// wrong with it, leaving s as it was up to the bad entry.
func (s *peerSettings) apply(p []byte) error {
	if len(p)%6 != 0 {
		return connError(CodeFrameSize, "SETTINGS of a length that is no multiple of 6")
	}
	s.leastTable = s.headerTable
	for ; len(p) > 0; p = p[6:] {
		v := binary.BigEndian.Uint32(p[2:])
		switch settingID(binary.BigEndian.Uint16(p)) {
		case settingHeaderTableSize:
			s.headerTable, s.leastTable = v, min(s.leastTable, v)
		case settingEnablePush:
			if v > 1 {
				return connError(CodeProtocol, "SETTINGS_ENABLE_PUSH is neither 0 nor 1")
			}
		case settingMaxConcurrentStreams:
			s.maxStreams = v
		case settingInitialWindowSize:
			if v > maxWindow {
				return connError(CodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE over 2^31-1")
			}
			s.initialWindow = int64(v)
		case settingMaxFrameSize:
			if v < maxFrameSize || v > 1<<24-1 {
				return connError(CodeProtocol, "SETTINGS_MAX_FRAME_SIZE out of range")
			}
			s.maxFrame = min(int(v), maxFrameSize)
		case settingMaxHeaderListSize:
			// Advisory. A block that the peer finds too large it refuses itself.
		}
	}
	return nil
}

func appendSetting(dst []byte, id settingID, v uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(id))
	return binary.BigEndian.AppendUint32(dst, v)
}

// appendSettings appends the SETTINGS frame that opens a connection of ours.
func appendSettings(dst []byte, server bool, l *Limits) []byte {
	at := len(dst)
	dst = appendFrameHeader(dst, 0, frameSettings, 0, 0)
	if server {
		dst = appendSetting(dst, settingMaxConcurrentStreams, uint32(l.Streams))
	} else {
		dst = appendSetting(dst, settingEnablePush, 0)
	}
	if l.StreamWindow != defaultWindow {
		dst = appendSetting(dst, settingInitialWindowSize, uint32(l.StreamWindow))
	}
	dst = appendSetting(dst, settingMaxHeaderListSize, uint32(l.HeaderList))
	dst[at+2] = byte(len(dst) - at - frameHeaderLen)
	return dst
}
