package replay

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// messageCost is what a kept message counts beside its bytes, so that empty
// ones are bounded as well.
const messageCost = 64

// detailsName is the trailer that holds a google.rpc.Status.
const detailsName = "grpc-status-details-bin"

// Answer is what came back. Times count from Started.
type Answer struct {
	Started time.Time
	Took    time.Duration
	Sent    []time.Duration // when each message of the request went out

	Headers, Trailers metadata.MD // names ending in -bin have the decoded bytes

	// Messages are the first of the Received ones, without compression: as
	// many as Limits.AnswerBytes holds. At is when each of them came.
	Messages [][]byte
	At       []time.Duration
	Received uint64
	Bytes    uint64 // of all received messages

	// Code, Message and Details (a google.rpc.Status, nil if there is none)
	// are the status, whoever gave it: with no connection grpc-go says
	// UNAVAILABLE, and the headers and trailers are empty.
	Code    codes.Code
	Message string
	Details []byte
}
