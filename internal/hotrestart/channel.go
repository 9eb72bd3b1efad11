package hotrestart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// channel is one end of the socket between two processes: a SEQPACKET socket,
// which keeps frames apart and tells the end of the other process. One
// goroutine may receive while others send.
type channel struct {
	// Immutable.
	conn    *net.UnixConn
	side    string // "old" or "new", for the names of points
	sending chan struct{}

	// version of the frames: 0 up to WELCOME, the form of which never changes,
	// and what was agreed on from then on.
	version uint8

	// Owned by who holds sending.
	seq uint32

	// Owned by who receives.
	buffer []byte
	oob    []byte
}

func newChannel(conn *net.UnixConn, side string) *channel {
	return &channel{conn: conn, side: side, sending: make(chan struct{}, 1)}
}

// adoptChannel makes the channel of a descriptor, which it takes over.
func adoptChannel(f *os.File, side string) (*channel, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	uc, ok := conn.(*net.UnixConn)
	if !ok || uc.LocalAddr().Network() != "unixpacket" {
		_ = conn.Close()
		return nil, errors.New("not a socket of a hot restart")
	}
	return newChannel(uc, side), nil
}

func (c *channel) close() { _ = c.conn.Close() }

// incoming is a frame that was received, with what came with it.
type incoming struct {
	*frame
	files []*os.File // descriptors, close on exec
	// damage says why the body is not what was sent; body is nil then.
	damage error
}

// close closes the descriptors that nobody has taken.
func (in *incoming) close() {
	for _, f := range in.files {
		_ = f.Close()
	}
	in.files = nil
}

// send writes a frame, and returns its number. head becomes JSON. A body that
// is too large for a frame goes in a sealed file. The descriptors of conns are
// passed; they stay open here. It waits while the socket is full, until ctx ends.
func (c *channel) send(ctx context.Context, k kind, head any, body []byte, conns ...syscall.Conn) (uint32, error) {
	select {
	case c.sending <- struct{}{}:
		defer func() { <-c.sending }()
	case <-ctx.Done():
		return 0, fmt.Errorf("send %s: %w", k, context.Cause(ctx))
	}
	fault(c.side + " sends " + k.String())
	if ctx.Err() != nil {
		return 0, fmt.Errorf("send %s: %w", k, context.Cause(ctx))
	}
	seq, err := c.write(ctx, k, head, body, conns)
	if err != nil {
		return 0, fmt.Errorf("send %s: %w", k, err)
	}
	fault(c.side + " sent " + k.String())
	return seq, nil
}

func (c *channel) write(ctx context.Context, k kind, head any, body []byte, conns []syscall.Conn) (uint32, error) {
	encoded, err := json.Marshal(head)
	if err != nil {
		return 0, err
	}
	if len(body) > maxBody {
		return 0, fmt.Errorf("%d bytes are more than %d", len(body), maxBody)
	}
	f := &frame{version: c.version, kind: k, seq: c.seq + 1, head: encoded, bodyLen: uint32(len(body)), bodySum: checksum(body), body: body}
	if headerSize+len(encoded) > maxFrame {
		return 0, fmt.Errorf("a head of %d bytes does not fit into a frame", len(encoded))
	}
	if headerSize+len(encoded)+len(body) > maxFrame {
		file, err := sealedFile(body)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		f.flags, f.body, conns = bodyInFile, nil, []syscall.Conn{file}
	}
	f.descriptors = uint8(len(conns))
	release := bound(ctx, c.conn.SetWriteDeadline)
	defer release()
	err = withDescriptors(conns, nil, func(descriptors []int) error {
		var oob []byte
		if len(descriptors) > 0 {
			oob = syscall.UnixRights(descriptors...)
		}
		_, _, err := c.conn.WriteMsgUnix(f.encode(), oob, nil)
		return err
	})
	if err != nil {
		return 0, ended(ctx, err)
	}
	c.seq++
	return c.seq, nil
}

// withDescriptors calls use while the descriptors of all conns are held open.
func withDescriptors(conns []syscall.Conn, held []int, use func([]int) error) error {
	if len(conns) == 0 {
		return use(held)
	}
	raw, err := conns[0].SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = withDescriptors(conns[1:], append(held, int(fd)), use) })
	return errors.Join(err, inner)
}

const (
	// lastLook is how long a receiver that ran out of time still looks at what
	// has come: a process that was stopped and goes on finds its time over and
	// the answer there.
	lastLook = 50 * time.Millisecond
	// resets is how often a receiver reads on after the news that the other
	// process ended without reading everything. It comes once, and ahead of
	// what the other process had sent before.
	resets = 2
)

// receive reads a frame. io.EOF means that the other process has ended, or
// closed its end. When ctx ends it returns why.
func (c *channel) receive(ctx context.Context) (*incoming, error) {
	if c.buffer == nil {
		c.buffer = make([]byte, maxFrame+1)
		c.oob = make([]byte, syscall.CmsgSpace(4*maxDescriptors))
	}
	in, err := c.read(ctx)
	if errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		last, cancel := context.WithTimeout(context.Background(), lastLook)
		defer cancel()
		in, err = c.read(last)
	}
	if err != nil {
		return nil, ended(ctx, err)
	}
	fault(c.side + " got " + in.kind.String())
	return in, nil
}

func (c *channel) read(ctx context.Context) (*incoming, error) {
	release := bound(ctx, c.conn.SetReadDeadline)
	defer release()
	for tries := 0; ; tries++ {
		n, oobn, flags, _, err := c.conn.ReadMsgUnix(c.buffer, c.oob)
		if errors.Is(err, syscall.ECONNRESET) && tries < resets {
			continue
		}
		if err != nil {
			return nil, err
		}
		return c.accept(c.buffer[:n], c.oob[:oobn], flags)
	}
}

// accept makes a frame of what was read. It closes the descriptors if it is none.
func (c *channel) accept(data, oob []byte, flags int) (*incoming, error) {
	files, err := received(oob)
	in := &incoming{files: files}
	switch {
	case err != nil:
	case flags&syscall.MSG_CTRUNC != 0:
		err = errors.New("not all descriptors could be received: the limit of open files (LimitNOFILE, ulimit -n) is too low")
	case flags&syscall.MSG_TRUNC != 0:
		err = fmt.Errorf("a frame has more than %d bytes", maxFrame)
	default:
		in.frame, err = decodeFrame(append([]byte(nil), data...))
	}
	if err == nil && in.version != c.version {
		err = fmt.Errorf("%s is of version %d, and %d was agreed on", in.kind, in.version, c.version)
	}
	if err == nil && int(in.descriptors) != len(files) {
		err = fmt.Errorf("%s came with %d of %d descriptors", in.kind, len(files), in.descriptors)
	}
	if err != nil {
		in.close()
		return nil, err
	}
	in.open()
	return in, nil
}

// open reads a body that is in a file, and judges it in any case.
func (in *incoming) open() {
	if in.flags&bodyInFile != 0 {
		in.body, in.damage = readSealed(in.files[0], in.bodyLen)
		in.close()
	}
	switch {
	case in.damage != nil:
	case len(in.body) != int(in.bodyLen):
		in.damage = fmt.Errorf("it is cut: %d of %d bytes", len(in.body), in.bodyLen)
	case checksum(in.body) != in.bodySum:
		in.damage = errors.New("it is damaged: its checksum is another")
	}
	if in.damage != nil {
		in.body = nil
	}
}

// received returns the descriptors in a control message.
func received(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read a control message: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		descriptors, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return files, fmt.Errorf("read descriptors: %w", err)
		}
		for _, fd := range descriptors {
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, nil
}

// bound has the deadline that set sets end what waits when ctx ends. The
// function that it returns gives the deadline back; nothing comes late.
func bound(ctx context.Context, set func(time.Time) error) (release func()) {
	fired := make(chan struct{})
	_ = set(time.Time{}) // fails on a closed socket only, as what follows does
	stop := context.AfterFunc(ctx, func() {
		_ = set(time.Unix(1, 0))
		close(fired)
	})
	return func() {
		if !stop() {
			<-fired
		}
	}
}

// ended returns err in plain words: why ctx ended, if it is only that.
func ended(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The socket has no name that would tell anybody anything.
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
