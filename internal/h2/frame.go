package h2

import "encoding/binary"

type frameType uint8

// Frame types (RFC 9113, section 6).
const (
	frameData         frameType = 0x0
	frameHeaders      frameType = 0x1
	framePriority     frameType = 0x2
	frameRSTStream    frameType = 0x3
	frameSettings     frameType = 0x4
	framePushPromise  frameType = 0x5
	framePing         frameType = 0x6
	frameGoAway       frameType = 0x7
	frameWindowUpdate frameType = 0x8
	frameContinuation frameType = 0x9
)

type frameFlags uint8

const (
	flagEndStream  frameFlags = 0x1
	flagAck        frameFlags = 0x1
	flagEndHeaders frameFlags = 0x4
	flagPadded     frameFlags = 0x8
	flagPriority   frameFlags = 0x20
)

const (
	frameHeaderLen = 9
	// maxFrameSize is the largest frame that we accept and the largest that
	// we send: the value that every peer starts with (RFC 9113, section
	// 6.5.2). Larger ones save little and make streams wait for each other.
	maxFrameSize = 16384
	maxStreamID  = 1<<31 - 1

	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

type frameHeader struct {
	length int
	typ    frameType
	flags  frameFlags
	id     uint32
}

// parseFrameHeader reads the first 9 bytes of p, which must have them.
func parseFrameHeader(p []byte) frameHeader {
	_ = p[8]
	return frameHeader{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		typ:    frameType(p[3]),
		flags:  frameFlags(p[4]),
		id:     binary.BigEndian.Uint32(p[5:9]) & maxStreamID,
	}
}

func appendFrameHeader(dst []byte, length int, t frameType, f frameFlags, id uint32) []byte {
	return append(dst,
		byte(length>>16), byte(length>>8), byte(length),
		byte(t), byte(f),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendUint32Frame(dst []byte, t frameType, id, v uint32) []byte {
	dst = appendFrameHeader(dst, 4, t, 0, id)
	return binary.BigEndian.AppendUint32(dst, v)
}

func appendRSTStream(dst []byte, id uint32, code ErrCode) []byte {
	return appendUint32Frame(dst, frameRSTStream, id, uint32(code))
}

func appendWindowUpdate(dst []byte, id uint32, n int64) []byte {
	return appendUint32Frame(dst, frameWindowUpdate, id, uint32(n))
}

func appendPing(dst []byte, ack bool, data [8]byte) []byte {
	var f frameFlags
	if ack {
		f = flagAck
	}
	dst = appendFrameHeader(dst, 8, framePing, f, 0)
	return append(dst, data[:]...)
}

func appendGoAway(dst []byte, last uint32, code ErrCode, debug string) []byte {
	dst = appendFrameHeader(dst, 8+len(debug), frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

// unpad returns the payload of a DATA or HEADERS frame without its padding
// (RFC 9113, section 6.1). It reports false when the padding is as long as
// the frame or longer.
func unpad(f frameFlags, p []byte) ([]byte, bool) {
	if f&flagPadded == 0 {
		return p, true
	}
	if len(p) == 0 {
		return nil, false
	}
	n := int(p[0])
	if n+1 > len(p) {
		return nil, false
	}
	return p[1 : len(p)-n], true
}
