package loomtest

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/net/http2"
)

const (
	defaultWindow    = 65535
	defaultFrameSize = 16384
	defaultTableSize = 4096
	greatestFrame    = 1<<24 - 1
)

// ledger keeps the books of a connection that both sides agree on by SETTINGS
// and WINDOW_UPDATE. 'Ours' is what the peer announced and the other side must
// keep; it may go by an old value until it has acknowledged the new one, so
// that ours is the most that could be right. 'Theirs' is the other way round.
// It has no lock of its own.
type ledger struct {
	ours, theirs terms
	pending      []map[http2.SettingID]uint32 // sent, not acknowledged
	recvConn     int64                        // what they may still send
	sendConn     int64                        // what we may still send
	streams      map[uint32]*streamLedger

	// The dynamic table of their encoder.
	tableNow   uint32 // by their last size update
	tableLimit uint32 // what they acknowledged last
	tableLeast uint32 // the least that they acknowledged since their last block
}

// terms is what one side lets the other do.
type terms struct {
	window    int64
	frameSize uint32
	tableSize uint32
}

type streamLedger struct {
	recv, send int64
}

func newLedger() ledger {
	initial := terms{window: defaultWindow, frameSize: defaultFrameSize, tableSize: defaultTableSize}
	return ledger{
		ours: initial, theirs: initial,
		recvConn: defaultWindow, sendConn: defaultWindow,
		streams:  make(map[uint32]*streamLedger),
		tableNow: defaultTableSize, tableLimit: defaultTableSize, tableLeast: defaultTableSize,
	}
}

func (l *ledger) stream(id uint32) *streamLedger {
	s := l.streams[id]
	if s == nil {
		s = &streamLedger{recv: l.ours.window, send: l.theirs.window}
		l.streams[id] = s
	}
	return s
}

// sentSettings puts what widens the terms into force at once; what narrows
// them waits for the acknowledgement.
func (l *ledger) sentSettings(settings []http2.Setting) {
	sent := make(map[http2.SettingID]uint32)
	for _, s := range settings {
		sent[s.ID] = s.Val
		switch s.ID {
		case http2.SettingInitialWindowSize:
			l.widenWindow(int64(s.Val))
		case http2.SettingMaxFrameSize:
			l.ours.frameSize = max(l.ours.frameSize, s.Val)
		case http2.SettingHeaderTableSize:
			l.ours.tableSize = max(l.ours.tableSize, s.Val)
		}
	}
	l.pending = append(l.pending, sent)
}

func (l *ledger) widenWindow(to int64) {
	if to > l.ours.window {
		l.moveWindow(to)
	}
}

func (l *ledger) moveWindow(to int64) {
	for _, s := range l.streams {
		s.recv += to - l.ours.window
	}
	l.ours.window = to
}

// acked puts the oldest pending settings into force.
func (l *ledger) acked() error {
	if len(l.pending) == 0 {
		return errors.New("SETTINGS ACK without SETTINGS to acknowledge")
	}
	settings := l.pending[0]
	l.pending = l.pending[1:]
	if v, ok := settings[http2.SettingInitialWindowSize]; ok {
		l.moveWindow(int64(l.most(http2.SettingInitialWindowSize, v)))
	}
	if v, ok := settings[http2.SettingMaxFrameSize]; ok {
		l.ours.frameSize = l.most(http2.SettingMaxFrameSize, v)
	}
	if v, ok := settings[http2.SettingHeaderTableSize]; ok {
		l.ours.tableSize = l.most(http2.SettingHeaderTableSize, v)
		l.tableLimit = v
		l.tableLeast = min(l.tableLeast, v)
	}
	return nil
}

// most returns the greatest of v and the values still pending.
func (l *ledger) most(id http2.SettingID, v uint32) uint32 {
	for _, settings := range l.pending {
		if pending, ok := settings[id]; ok {
			v = max(v, pending)
		}
	}
	return v
}

func (l *ledger) gotSettings(settings []http2.Setting) error {
	for _, s := range settings {
		if err := s.Valid(); err != nil {
			return fmt.Errorf("setting %v: %w", s, err)
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			for id, stream := range l.streams {
				stream.send += int64(s.Val) - l.theirs.window
				if stream.send > math.MaxInt32 {
					return fmt.Errorf("%v overflows the window of stream %d", s, id)
				}
			}
			l.theirs.window = int64(s.Val)
		case http2.SettingMaxFrameSize:
			l.theirs.frameSize = s.Val
		case http2.SettingHeaderTableSize:
			l.theirs.tableSize = s.Val
		}
	}
	return nil
}

// gotData books a DATA frame of theirs; n counts its padding, too.
func (l *ledger) gotData(id uint32, n int64) error {
	s := l.stream(id)
	s.recv -= n
	l.recvConn -= n
	// An empty frame passes even a window below zero.
	if n > 0 && s.recv < 0 {
		return fmt.Errorf("DATA of %d bytes on stream %d exceeds the stream's window by %d", n, id, -s.recv)
	}
	if n > 0 && l.recvConn < 0 {
		return fmt.Errorf("DATA of %d bytes on stream %d exceeds the connection's window by %d", n, id, -l.recvConn)
	}
	return nil
}

func (l *ledger) sentData(id uint32, n int64) {
	l.stream(id).send -= n
	l.sendConn -= n
}

// sendable returns how much DATA may go out now in one frame.
func (l *ledger) sendable(id uint32) int64 {
	return max(0, min(l.sendConn, l.stream(id).send, int64(l.theirs.frameSize)))
}

// granted books a WINDOW_UPDATE of ours.
func (l *ledger) granted(id uint32, n uint32) {
	if id == 0 {
		l.recvConn += int64(n)
		return
	}
	l.stream(id).recv += int64(n)
}

// gotGrant books a WINDOW_UPDATE of theirs.
func (l *ledger) gotGrant(id uint32, n uint32) error {
	window := &l.sendConn
	if id != 0 {
		window = &l.stream(id).send
	}
	*window += int64(n)
	if *window > math.MaxInt32 {
		return fmt.Errorf("WINDOW_UPDATE of %d overflows the window of stream %d", n, id)
	}
	return nil
}

// gotBlock checks the table size updates that a header block starts with
// against what they acknowledged (RFC 7541, section 4.2).
func (l *ledger) gotBlock(updates []uint32) error {
	least := l.tableLeast
	l.tableLeast = l.tableLimit
	if len(updates) == 0 {
		if l.tableNow > least {
			return fmt.Errorf("header block without a table size update; the table holds %d, acknowledged were %d", l.tableNow, least)
		}
		return nil
	}
	if updates[0] > least && l.tableNow > least {
		return fmt.Errorf("header block starts with a table size of %d; acknowledged were %d", updates[0], least)
	}
	for _, size := range updates {
		if size > l.ours.tableSize {
			return fmt.Errorf("table size update to %d, allowed are %d", size, l.ours.tableSize)
		}
		l.tableNow = size
	}
	return nil
}

// sizeUpdates reads the table size updates at the start of a header block.
func sizeUpdates(block []byte) []uint32 {
	var sizes []uint32
	for len(block) > 0 && block[0]&0xe0 == 0x20 {
		size, n := uint64(block[0]&0x1f), 1
		if size == 0x1f {
			for shift := 0; n < len(block) && shift < 32; shift += 7 {
				size += uint64(block[n]&0x7f) << shift
				n++
				if block[n-1]&0x80 == 0 {
					break
				}
			}
		}
		sizes = append(sizes, uint32(size))
		block = block[n:]
	}
	return sizes
}
