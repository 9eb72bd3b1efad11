package capture

import (
	"google.golang.org/protobuf/encoding/protowire"

	"loom/internal/callevent"
)

// A bundle is records as one process writes them down for another: those of a
// Snapshot, and those of a Merge. It is in the wire format of protobuf, so that
// another version passes over fields that it does not know; but it is read and
// written by hand, since ten thousand calls as loomv1.Call would take most of
// the time that a reload has, and twice the memory of the ring.
//
// What records share stands in it once, before the first of them that refers
// to it by its number, counting from 1.
const (
	bundleProcess protowire.Number = iota + 1 // of calls that do not name theirs
	bundleMissed                              // calls that are in no bundle, because the ring forgot them first, or there was no room
	bundleText                                // shared
	bundleBlock                               // shared
	bundleRecord
)

// The fields of a header block. Each value follows the name that it belongs to.
const (
	blockName protowire.Number = iota + 1 // number of a text
	blockValue
)

// The fields of a record. Numbers are never used again for something else.
// Moments are in nanoseconds since the start of the call.
const (
	recordSequence protowire.Number = iota + 1
	recordProcess
	recordFlags
	recordMode
	recordEnder
	recordCode
	recordRevision
	recordStarted // nanoseconds since 1970
	recordTimeout
	recordFirstByte
	recordHeaders
	recordFirstMessage
	recordLastByte
	recordChange
	recordTried
	recordAttempts
	recordPeer // texts, from here
	recordIdentity
	recordPath
	recordRoute
	recordBackend
	recordEndpoint
	recordDetail
	recordReason
	recordRequest // blocks, from here
	recordResponse
	recordInterim
	recordTrailers
	recordEarlier // an attempt before the last one
	recordMessagesUp
	recordMessagesDown
	recordBytesUp
	recordBytesDown
	recordUnrecordedUp
	recordUnrecordedDown
	recordMessage
	recordData   // of the message before it
	recordLoaded // a loomv1.Call
)

// The fields of an attempt.
const (
	attemptEndpoint protowire.Number = iota + 1 // number of a text
	attemptAt
)

// The fields of a message.
const (
	messageFlags protowire.Number = iota + 1
	messageSequence
	messageSize
	messageFirst
	messageLast
	messageWithheld // number of a text
)

// Flags of a record.
const (
	flagEnded    = 1 << iota // and nothing of it will change
	flagNoRoom               // see Omission
	flagCode                 // it has a status
	flagDrift                // see Store.Flag
	flagFiled                // it is in the session file, or was given to who writes that
	flagProgress             // its messages are not in the bundle, only how many there were
	flagLost                 // the process forgot it before it told how it ended: there is nothing else
	flagSettled              // its end was in an earlier bundle: there are flags, and nothing else
)

// Flags of a message.
const (
	flagDown = 1 << iota
	flagCompressed
	flagWhole
	flagTruncated
	flagRedacted
)

// written is a record as a bundle has it.
type written struct {
	recorded
	process uint64
	flags   uint64
	list    []message
	data    [][]byte // of list; parts of the bundle
}

// trafficFields are those of what went one way.
type trafficFields struct{ messages, bytes, unrecorded protowire.Number }

var trafficOf = [2]trafficFields{
	callevent.Up:   {recordMessagesUp, recordBytesUp, recordUnrecordedUp},
	callevent.Down: {recordMessagesDown, recordBytesDown, recordUnrecordedDown},
}
