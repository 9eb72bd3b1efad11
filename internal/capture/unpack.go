package capture

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

// ErrDamaged says that bytes are not what Snapshot or Changes has written, or
// not all of it. Nothing of them is taken in.
var ErrDamaged = errors.New("the bytes are damaged")

// errTorn says that what is written down of one call is damaged.
var errTorn = errors.New("its bytes are damaged")

// unpacker reads a bundle. What it returns refers to no bytes of the bundle,
// but for the data of messages.
type unpacker struct {
	store   *Store
	process uint64
	missed  uint64
	texts   []string
	raw     [][]byte // of blocks
	blocks  []*block // nil: not read yet
	records [][]byte

	found written // the record that was read last
	err   error   // what is wrong with it
}

// fields calls yield for each field of b that is a number or bytes. It reports
// false if b is not whole.
func fields(b []byte, yield func(field protowire.Number, number uint64, data []byte)) bool {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				yield(field, v, nil)
			}
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(b); n >= 0 {
				yield(field, 0, v)
			}
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// unpack finds the parts of a bundle. The records of one that is not whole are
// not to be had.
func (s *Store) unpack(bundle []byte) (*unpacker, error) {
	u := &unpacker{store: s}
	whole := fields(bundle, func(field protowire.Number, v uint64, data []byte) {
		switch field {
		case bundleProcess:
			u.process = v
		case bundleMissed:
			u.missed = v
		case bundleText:
			u.texts = append(u.texts, text(string(data)))
		case bundleBlock:
			u.raw = append(u.raw, data)
		case bundleRecord:
			u.records = append(u.records, data)
		}
	})
	if !whole || u.process == 0 {
		return nil, ErrDamaged
	}
	u.blocks = make([]*block, len(u.raw))
	return u, nil
}

// read reads a record. It is good until the next is read.
func (u *unpacker) read(record []byte) (*written, error) {
	w := &u.found
	*w = written{process: u.process, list: w.list[:0], data: w.data[:0]}
	u.err = nil
	w.request, w.response = u.store.blocks.none, u.store.blocks.none
	if !fields(record, u.field) && u.err == nil {
		u.err = errTorn
	}
	switch {
	case u.err != nil:
	case w.seq == 0 || w.process == 0:
		u.fail("it has no id")
	case w.loaded != nil:
		w.loaded.id = ID{w.process, w.seq}
		if w.loaded.call.GetId() != w.loaded.id.String() {
			u.fail("it has two ids")
		}
	}
	return w, u.err
}

func (u *unpacker) fail(format string, args ...any) {
	if u.err == nil {
		u.err = fmt.Errorf(format, args...)
	}
}

// text is a text of the bundle; 0 is none.
func (u *unpacker) text(n uint64) string {
	switch {
	case n == 0:
		return ""
	case n > uint64(len(u.texts)):
		u.fail("it has no text %d", n)
		return ""
	}
	return u.texts[n-1]
}

// block is a header block of the bundle; 0 is none. Redaction is what this
// process is told it is.
func (u *unpacker) block(n uint64) *block {
	if n == 0 || n > uint64(len(u.blocks)) {
		u.fail("it has no header block %d", n)
		return nil
	}
	if b := u.blocks[n-1]; b != nil {
		return b
	}
	var list []hpack.HeaderField
	name := ""
	whole := fields(u.raw[n-1], func(field protowire.Number, v uint64, data []byte) {
		switch field {
		case blockName:
			name = u.text(v)
		case blockValue:
			list = append(list, hpack.HeaderField{Name: name, Value: string(data)})
			name = ""
		}
	})
	if !whole {
		u.fail("header block %d: %w", n, errTorn)
		return nil
	}
	b := u.store.blocks.none
	if len(list) > 0 {
		b = u.store.blocks.parse(list)
	}
	u.blocks[n-1] = b
	return b
}

// most returns v, unless that is too much for what it is.
func (u *unpacker) most(v, most uint64) uint64 {
	if v > most {
		u.fail("it has %d where at most %d can be", v, most)
		return 0
	}
	return v
}

func moment(v uint64) time.Duration { return time.Duration(protowire.DecodeZigZag(v)) }

// field takes a field of a record.
func (u *unpacker) field(field protowire.Number, v uint64, data []byte) {
	w := &u.found
	switch field {
	case recordSequence:
		w.seq = v
	case recordProcess:
		w.process = v
	case recordFlags:
		w.flags = v
		w.ended, w.noRoom, w.hasCode = v&flagEnded != 0, v&flagNoRoom != 0, v&flagCode != 0
		w.drift, w.filed = v&flagDrift != 0, v&flagFiled != 0
	case recordMode:
		w.mode = Mode(u.most(v, uint64(Metadata))) // nothing is written down of other calls
	case recordEnder:
		w.ender = callevent.Ender(u.most(v, uint64(len(enders)-1)))
	case recordCode:
		w.code = uint32(u.most(v, math.MaxUint32))
	case recordRevision:
		w.revision = uint32(u.most(v, math.MaxUint32))
	case recordAttempts:
		w.attempts = uint32(u.most(v, math.MaxUint32))
	case recordRequest:
		w.request = u.block(v)
	case recordResponse:
		w.response = u.block(v)
	case recordInterim:
		w.interim = u.block(v)
	case recordTrailers:
		w.trailers = u.block(v)
	case recordEarlier:
		u.attempt(data)
	case recordMessage:
		u.message(data)
	case recordData:
		u.data(data)
	case recordLoaded:
		u.loaded(data)
	default:
		if !u.moment(field, v) && !u.shared(field, v) {
			u.traffic(field, v)
		}
	}
}

// moment takes a moment. It reports false if the field is none.
func (u *unpacker) moment(field protowire.Number, v uint64) bool {
	w := &u.found
	switch field {
	case recordStarted:
		w.started = time.Unix(0, protowire.DecodeZigZag(v))
	case recordTimeout:
		w.timeout = moment(v)
	case recordFirstByte:
		w.times.firstByte = moment(v)
	case recordHeaders:
		w.times.headers = moment(v)
	case recordFirstMessage:
		w.times.firstMessage = moment(v)
	case recordLastByte:
		w.times.lastByte = moment(v)
	case recordChange:
		w.times.change = moment(v)
	case recordTried:
		w.tried = moment(v)
	default:
		return false
	}
	return true
}

// shared takes a text. It reports false if the field is none.
func (u *unpacker) shared(field protowire.Number, v uint64) bool {
	w := &u.found
	switch field {
	case recordPeer:
		w.peer = u.text(v)
	case recordIdentity:
		w.identity = u.text(v)
	case recordPath:
		w.path = u.text(v)
	case recordRoute:
		w.route = u.text(v)
	case recordBackend:
		w.backend = u.text(v)
	case recordEndpoint:
		w.endpoint = u.text(v)
	case recordDetail:
		if !u.store.blocks.hides("grpc-message") {
			w.detail = u.text(v)
		}
	case recordReason:
		w.reason = u.text(v)
	default:
		return false
	}
	return true
}

// traffic takes what went one way.
func (u *unpacker) traffic(field protowire.Number, v uint64) {
	m := &u.found.messages
	for d, of := range trafficOf {
		switch field {
		case of.messages:
			m.sequence[d] = v
		case of.bytes:
			m.bytesSeen[d] = v
		case of.unrecorded:
			m.unrecorded[d] = v
		}
	}
}

func (u *unpacker) attempt(data []byte) {
	w := &u.found
	if len(w.earlier) == attemptsKept {
		u.fail("it has more than %d attempts", attemptsKept)
		return
	}
	var a attempt
	whole := fields(data, func(field protowire.Number, v uint64, _ []byte) {
		switch field {
		case attemptEndpoint:
			a.endpoint = u.text(v)
		case attemptAt:
			a.at = moment(v)
		}
	})
	if !whole {
		u.fail("an attempt: %w", errTorn)
	}
	w.earlier = append(w.earlier, a)
}

func (u *unpacker) message(data []byte) {
	w := &u.found
	if len(w.list) == firstMessages+newestMessages {
		u.fail("it has more than %d messages", firstMessages+newestMessages)
		return
	}
	var m message
	whole := fields(data, func(field protowire.Number, v uint64, _ []byte) {
		switch field {
		case messageFlags:
			if v&flagDown != 0 {
				m.direction = callevent.Down
			}
			m.compressed, m.whole = v&flagCompressed != 0, v&flagWhole != 0
			m.truncated, m.redacted = v&flagTruncated != 0, v&flagRedacted != 0
		case messageSequence:
			m.sequence = v
		case messageSize:
			m.size = uint32(u.most(v, math.MaxUint32))
		case messageFirst:
			m.first = moment(v)
		case messageLast:
			m.last = moment(v)
		case messageWithheld:
			m.withheld = u.text(v)
		}
	})
	if !whole {
		u.fail("a message: %w", errTorn)
	}
	w.list, w.data = append(w.list, m), append(w.data, nil)
}

// data takes the bytes of the message that came last.
func (u *unpacker) data(data []byte) {
	w := &u.found
	if len(w.list) == 0 {
		u.fail("it has bytes of no message")
		return
	}
	w.data[len(w.data)-1] = data
}

// loaded takes a call that was recorded elsewhere.
func (u *unpacker) loaded(data []byte) {
	w := &u.found
	c := new(loomv1.Call)
	if err := proto.Unmarshal(data, c); err != nil {
		u.fail("read it: %w", err)
		return
	}
	w.loaded = &loaded{call: c}
}
