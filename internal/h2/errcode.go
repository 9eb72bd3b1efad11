package h2

import "fmt"

// ErrCode is an HTTP/2 error code (RFC 9113, section 7).
type ErrCode uint32

// The error codes of RFC 9113, section 7.
const (
	CodeNo                 ErrCode = 0x0
	CodeProtocol           ErrCode = 0x1
	CodeInternal           ErrCode = 0x2
	CodeFlowControl        ErrCode = 0x3
	CodeSettingsTimeout    ErrCode = 0x4
	CodeStreamClosed       ErrCode = 0x5
	CodeFrameSize          ErrCode = 0x6
	CodeRefusedStream      ErrCode = 0x7
	CodeCancel             ErrCode = 0x8
	CodeCompression        ErrCode = 0x9
	CodeConnect            ErrCode = 0xa
	CodeEnhanceYourCalm    ErrCode = 0xb
	CodeInadequateSecurity ErrCode = 0xc
	CodeHTTP11Required     ErrCode = 0xd
)

// String returns the name that RFC 9113 gives the code.
func (c ErrCode) String() string {
	switch c {
	case CodeNo:
		return "NO_ERROR"
	case CodeProtocol:
		return "PROTOCOL_ERROR"
	case CodeInternal:
		return "INTERNAL_ERROR"
	case CodeFlowControl:
		return "FLOW_CONTROL_ERROR"
	case CodeSettingsTimeout:
		return "SETTINGS_TIMEOUT"
	case CodeStreamClosed:
		return "STREAM_CLOSED"
	case CodeFrameSize:
		return "FRAME_SIZE_ERROR"
	case CodeRefusedStream:
		return "REFUSED_STREAM"
	case CodeCancel:
		return "CANCEL"
	case CodeCompression:
		return "COMPRESSION_ERROR"
	case CodeConnect:
		return "CONNECT_ERROR"
	case CodeEnhanceYourCalm:
		return "ENHANCE_YOUR_CALM"
	case CodeInadequateSecurity:
		return "INADEQUATE_SECURITY"
	case CodeHTTP11Required:
		return "HTTP_1_1_REQUIRED"
	default:
		return fmt.Sprintf("code 0x%x", uint32(c))
	}
}

// ConnError ends a connection: it is told to the peer in a GOAWAY frame.
type ConnError struct {
	Code   ErrCode
	Reason string // what the peer did, for its log and ours
}

func (e *ConnError) Error() string { return e.Code.String() + ": " + e.Reason }

func connError(code ErrCode, reason string) error {
	return &ConnError{Code: code, Reason: reason}
}

// streamError ends one stream: it is told to the peer in a RST_STREAM frame.
type streamError struct {
	id     uint32
	code   ErrCode
	reason string
}

func (e *streamError) Error() string {
	return fmt.Sprintf("stream %d: %s: %s", e.id, e.code, e.reason)
}
