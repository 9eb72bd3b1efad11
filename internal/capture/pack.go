package capture

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"loom/internal/callevent"
)

// packer writes a bundle.
type packer struct {
	process uint64
	missed  uint64 // calls that are not in it
	out     []byte // the bundle so far
	record  []byte // the record under way
	part    []byte // a part of it
	texts   map[string]uint64
	blocks  map[*block]uint64
}

func newPacker(process uint64) *packer {
	p := &packer{process: process, texts: make(map[string]uint64), blocks: make(map[*block]uint64)}
	p.out = appendNumber(p.out, bundleProcess, process)
	return p
}

// appendNumber adds a field to b, unless it is 0, which is what a field is that
// is not there.
func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// appendTime adds a moment, which may lie before the one it is counted from.
func appendTime(b []byte, field protowire.Number, ns int64) []byte {
	return appendNumber(b, field, protowire.EncodeZigZag(ns))
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// text returns the number of a text, which the bundle has from then on; 0 for
// none.
func (p *packer) text(s string) uint64 {
	if s == "" {
		return 0
	}
	n, ok := p.texts[s]
	if !ok {
		n = uint64(len(p.texts)) + 1
		p.texts[s] = n
		p.out = protowire.AppendString(protowire.AppendTag(p.out, bundleText, protowire.BytesType), s)
	}
	return n
}

// block returns the number of a header block in the same manner.
func (p *packer) block(b *block) uint64 {
	if b == nil {
		return 0
	}
	n, ok := p.blocks[b]
	if ok {
		return n
	}
	p.part = p.part[:0]
	for i := range b.fields {
		f := &b.fields[i]
		p.part = appendNumber(p.part, blockName, p.text(f.Name))
		p.part = protowire.AppendString(protowire.AppendTag(p.part, blockValue, protowire.BytesType), f.Value)
	}
	p.out = appendBytes(p.out, bundleBlock, p.part)
	n = uint64(len(p.blocks)) + 1
	p.blocks[b] = n
	return n
}

// begin begins a record.
func (p *packer) begin(id ID, flags uint64) {
	b := appendNumber(p.record[:0], recordSequence, id.Sequence)
	if id.Generation != p.process {
		b = appendNumber(b, recordProcess, id.Generation)
	}
	p.record = appendNumber(b, recordFlags, flags)
}

// end adds the record to the bundle.
func (p *packer) end() { p.out = appendBytes(p.out, bundleRecord, p.record) }

// settled writes down what may change of a call whose end is known. r is
// locked.
func (p *packer) settled(r *record) {
	p.begin(r.id(), r.flags()|flagSettled)
	p.end()
}

// bundle is what was written down.
func (p *packer) bundle() []byte { return appendNumber(p.out, bundleMissed, p.missed) }

// add writes r down, without its messages if that is to show only how far it
// is. r is locked.
func (p *packer) add(r *record, progress bool) {
	flags := r.flags()
	if progress {
		flags |= flagProgress
	}
	p.begin(r.id(), flags)
	if r.loaded != nil {
		p.loaded(r.loaded)
		return
	}
	p.numbers(r)
	p.shared(r)
	if !progress {
		for m := range r.messages.inOrder {
			p.message(r, m)
		}
	}
	p.end()
}

// loaded adds a call that was not recorded here, as it is.
func (p *packer) loaded(l *loaded) {
	data, err := proto.Marshal(l.call)
	if err != nil {
		p.missed++ // who added it gave it text that is none
		return
	}
	p.record = appendBytes(p.record, recordLoaded, data)
	p.end()
}

// flags are those of a record. r is locked.
func (r *record) flags() uint64 {
	return flag(r.final(), flagEnded) | flag(r.noRoom, flagNoRoom) | flag(r.hasCode, flagCode) | flag(r.drift, flagDrift) | flag(r.filed, flagFiled)
}

func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}

// numbers adds what is a number.
func (p *packer) numbers(r *record) {
	b := appendNumber(p.record, recordMode, uint64(r.mode))
	b = appendNumber(b, recordEnder, uint64(r.ender))
	b = appendNumber(b, recordCode, uint64(r.code))
	b = appendNumber(b, recordRevision, uint64(r.revision))
	b = appendTime(b, recordStarted, r.started.UnixNano())
	b = appendTime(b, recordTimeout, int64(r.timeout))
	b = appendTime(b, recordFirstByte, int64(r.times.firstByte))
	b = appendTime(b, recordHeaders, int64(r.times.headers))
	b = appendTime(b, recordFirstMessage, int64(r.times.firstMessage))
	b = appendTime(b, recordLastByte, int64(r.times.lastByte))
	b = appendTime(b, recordChange, int64(r.times.change))
	b = appendTime(b, recordTried, int64(r.tried))
	b = appendNumber(b, recordAttempts, uint64(r.attempts))
	for d, of := range trafficOf {
		b = appendNumber(b, of.messages, r.messages.sequence[d])
		b = appendNumber(b, of.bytes, r.messages.bytesSeen[d])
		b = appendNumber(b, of.unrecorded, r.messages.unrecorded[d])
	}
	p.record = b
}

// shared adds what records share.
func (p *packer) shared(r *record) {
	b := appendNumber(p.record, recordPeer, p.text(r.peer))
	b = appendNumber(b, recordIdentity, p.text(r.identity))
	b = appendNumber(b, recordPath, p.text(r.path))
	b = appendNumber(b, recordRoute, p.text(r.route))
	b = appendNumber(b, recordBackend, p.text(r.backend))
	b = appendNumber(b, recordEndpoint, p.text(r.endpoint))
	b = appendNumber(b, recordDetail, p.text(r.detail))
	b = appendNumber(b, recordReason, p.text(r.reason))
	b = appendNumber(b, recordRequest, p.block(r.request))
	b = appendNumber(b, recordResponse, p.block(r.response))
	b = appendNumber(b, recordInterim, p.block(r.interim))
	b = appendNumber(b, recordTrailers, p.block(r.trailers))
	for _, a := range r.earlier {
		p.part = appendNumber(p.part[:0], attemptEndpoint, p.text(a.endpoint))
		p.part = appendTime(p.part, attemptAt, int64(a.at))
		b = appendBytes(b, recordEarlier, p.part)
	}
	p.record = b
}

// message adds a message, and its bytes if they may be shown.
func (p *packer) message(r *record, m *message) {
	flags := flag(m.direction == callevent.Down, flagDown) | flag(m.compressed, flagCompressed) | flag(m.whole, flagWhole) |
		flag(m.truncated, flagTruncated) | flag(m.redacted, flagRedacted)
	b := appendNumber(p.part[:0], messageFlags, flags)
	b = appendNumber(b, messageSequence, m.sequence)
	b = appendNumber(b, messageSize, uint64(m.size))
	b = appendTime(b, messageFirst, int64(m.first))
	b = appendTime(b, messageLast, int64(m.last))
	p.part = appendNumber(b, messageWithheld, p.text(m.withheld))
	p.record = appendBytes(p.record, recordMessage, p.part)
	if m.withheld != "" || m.chain.size == 0 {
		return
	}
	p.record = protowire.AppendTag(p.record, recordData, protowire.BytesType)
	p.record = protowire.AppendVarint(p.record, uint64(m.chain.size))
	p.record = r.appendTo(p.record, m)
}
