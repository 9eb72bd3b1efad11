package loomtest

import (
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// defaultTimeout is how long a peer waits for what its script wants. Real
// sockets on a busy machine need far less; in a bubble it costs nothing.
const defaultTimeout = 10 * time.Second

// Peer is one scripted end of an HTTP/2 connection, Downstream and Upstream
// have it in common. Methods that send write what they are told, whatever the
// protocol thinks of it, and say nothing when the connection is gone: the next
// Want tells. Methods that start with Want wait, and fail the test with the
// frames seen when something else came, or nothing in time; a stream's frames
// have to be wanted in the order in which they came. A script runs in one
// goroutine at a time, which must be the test's for methods that may fail it.
type Peer struct {
	// immutable
	t       testing.TB
	side    string // for failures: "downstream" or "upstream"
	accepts bool   // plays the end that accepted the connection
	opts    options
	conn    net.Conn
	ended   sync.WaitGroup // the reading and the answering goroutine

	out frameWriter

	mu      sync.Mutex // may be taken while it is somebody's turn at out, never the other way round
	changed *sync.Cond // on mu; broadcast after every change of what follows

	// guarded by mu
	auto     Auto
	ledger   ledger
	streams  map[uint32]*inbox
	arrived  []uint32 // streams that the other side opened and nobody wanted yet
	lastNew  uint32   // the highest of them
	control  control
	answers  []act // what the answering goroutine has yet to send
	log      transcript
	breaches []string
	unbooked bool  // RawBytes was used
	over     bool  // nothing more will be read
	overErr  error // why

	// owned by the reading goroutine
	decoder *hpack.Decoder
	block   *openBlock
}

// Auto says which frames a Peer answers by itself.
type Auto uint8

// The answers that a Peer gives by itself unless told otherwise.
const (
	AutoSettingsAck  Auto = 1 << iota
	AutoPingAck           // PING is answered
	AutoConnWindow        // the connection's window is given back as DATA comes
	AutoStreamWindow      // the stream's window is given back as DATA comes

	AutoAll = AutoSettingsAck | AutoPingAck | AutoConnWindow | AutoStreamWindow
)

// options are what an Option changes.
type options struct {
	auto     Auto
	timeout  time.Duration
	settings []http2.Setting
	silent   bool
	record   bool
}

// An Option changes how a Peer starts.
type Option func(*options)

// Without turns automatic answers off from the start.
func Without(a Auto) Option { return func(o *options) { o.auto &^= a } }

// Timeout sets how long the peer waits for what is wanted; 10 s without it.
func Timeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// WithSettings sets what the peer's first SETTINGS frame holds; nothing
// without it.
func WithSettings(s ...http2.Setting) Option { return func(o *options) { o.settings = s } }

// Silent keeps the peer from sending anything that the script does not ask
// for at the start: neither preface nor SETTINGS.
func Silent() Option { return func(o *options) { o.silent = true } }

// Recording has the peer keep what it sent, for Sent.
func Recording() Option { return func(o *options) { o.record = true } }

// control holds what came on the connection as a whole and nobody wanted yet.
type control struct {
	settings     [][]http2.Setting
	settingsAcks int
	pings        [][8]byte
	pingAcks     [][8]byte
	goAways      []GoAway
	grants       map[uint32]uint32 // WINDOW_UPDATE increments, summed by stream
}

// GoAway is a GOAWAY frame.
type GoAway struct {
	LastStreamID uint32
	Code         http2.ErrCode
	Debug        string
}

// start says hello unless the peer is silent, and only then, so that no answer
// comes before it, begins to read and to answer; the test's cleanup ends both.
func start(t testing.TB, side string, accepts bool, conn net.Conn, opts []Option, hello func(*Peer)) *Peer {
	p := &Peer{
		t: t, side: side, accepts: accepts, conn: conn,
		opts:    options{auto: AutoAll, timeout: defaultTimeout},
		ledger:  newLedger(),
		streams: make(map[uint32]*inbox),
		control: control{grants: make(map[uint32]uint32)},
		decoder: hpack.NewDecoder(defaultTableSize, nil),
	}
	for _, opt := range opts {
		opt(&p.opts)
	}
	p.auto = p.opts.auto
	p.changed = sync.NewCond(&p.mu)
	p.out.init(conn, p.opts)
	if !p.opts.silent {
		hello(p)
	}
	p.ended.Go(p.read)
	p.ended.Go(p.answer)
	t.Cleanup(p.finish)
	return p
}

// finish closes the connection and fails the test if the other side broke the
// protocol.
func (p *Peer) finish() {
	_ = p.conn.Close()
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, breach := range p.breaches {
		p.t.Errorf("%s: the other side broke the protocol: %s", p.side, breach)
	}
	if len(p.breaches) > 0 {
		p.t.Errorf("%s: frames seen:\n%s", p.side, &p.log)
	}
}

// SetAuto turns automatic answers on or off.
func (p *Peer) SetAuto(a Auto, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.auto &^= a
	if on {
		p.auto |= a
	}
}

// Alive reports whether the connection still stands, as far as was seen. It is
// what an attack loops on.
func (p *Peer) Alive() bool {
	p.mu.Lock()
	over := p.over
	p.mu.Unlock()
	return !over && p.out.alive()
}

// Close closes the connection and waits until the peer has stopped.
func (p *Peer) Close() {
	_ = p.conn.Close()
	p.ended.Wait()
}

// CloseWrite half-closes the connection.
func (p *Peer) CloseWrite() {
	p.t.Helper()
	half, ok := p.conn.(interface{ CloseWrite() error })
	if !ok {
		p.t.Fatalf("%s: a %T cannot be half-closed", p.side, p.conn)
	}
	_ = half.CloseWrite()
}

// Cut breaks the connection off; what was sent is delivered first. Where the
// connection is TCP, the other side gets a reset, which may overtake data.
func (p *Peer) Cut() {
	switch c := p.conn.(type) {
	case *Conn:
		c.CutDelivered()
	case *net.TCPConn:
		_ = c.SetLinger(0)
		_ = c.Close()
	default:
		_ = c.Close()
	}
	p.ended.Wait()
}

// answer sends what the reading goroutine wants answered, so that a peer that
// cannot write still reads.
func (p *Peer) answer() {
	for {
		p.mu.Lock()
		for len(p.answers) == 0 && !p.over {
			p.changed.Wait()
		}
		answers := p.answers
		p.answers = nil
		p.mu.Unlock()
		if len(answers) == 0 {
			return
		}
		for _, send := range answers {
			p.send(send)
		}
	}
}

func (p *Peer) answerLocked(a act) {
	p.answers = append(p.answers, a)
	p.changed.Broadcast()
}

func (p *Peer) breachLocked(err error) {
	p.breaches = append(p.breaches, err.Error())
	p.log.add("BREACH %v", err)
}
