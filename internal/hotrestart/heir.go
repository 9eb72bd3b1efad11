package hotrestart

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// Heir is a process that was started to take over from an older one. Its
// methods are for one goroutine, but for Progress.
type Heir struct {
	// Immutable.
	channel     *channel
	stderr      *lent
	generation  int // of this process
	predecessor int // its PID
	build       string
	waiting     context.Context // ends with patience
	cancel      context.CancelFunc
	beating     sync.WaitGroup
	stop        chan struct{} // ends the heartbeat; closed by quiet
	beat        chan string   // from Progress to the heartbeat

	// Owned by the caller's goroutine.
	sockets  map[string]*os.File
	reused   []string
	sections map[string]Saved
	links    []*Link
	started  bool
	warnings []string
}

// Saved is a section as the old process saved it.
type Saved struct {
	Version uint32
	Data    []byte
	at      time.Time
}

// Age is how long ago it was saved.
func (s Saved) Age() time.Duration { return time.Since(s.at) }

// ErrOrphaned is the error of a process whose predecessor ended before it said
// that it may accept. It must not serve: another may be started in its place.
var ErrOrphaned = errors.New("the process that was to hand over has ended before it did")

var errSilence = fmt.Errorf("the process that was to hand over said nothing within %v", patience)

// Inherited takes what an older process hands over, all but the service itself.
// It returns nil, and no error, in a process that was started in the ordinary
// way. Call it before any other process is started and any descriptor opened.
// env looks up the environment; what is found is removed from it.
func Inherited(env func(string) (string, bool)) (*Heir, error) {
	nonce, ok := env(variable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(variable); err != nil {
		return nil, fmt.Errorf("unset %s: %w", variable, err)
	}
	stderr := newLent()
	channel, err := adoptChannel(os.NewFile(channelDescriptor, "channel"), "new")
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is no channel, though %s is set: unset it: %w", channelDescriptor, variable, err)
	}
	return inherit(channel, stderr, nonce)
}

func inherit(c *channel, stderr *lent, nonce string) (*Heir, error) {
	h := &Heir{
		channel: c, stderr: stderr, stop: make(chan struct{}), beat: make(chan string, unsaid),
		sockets: map[string]*os.File{}, sections: map[string]Saved{},
	}
	h.waiting, h.cancel = context.WithTimeoutCause(context.Background(), patience, errSilence)
	err := h.greet(nonce)
	if err == nil {
		err = h.take()
	}
	if err != nil {
		h.Fail(err)
		return nil, fmt.Errorf("take over: %w", err)
	}
	h.beating.Go(h.heartbeat)
	return h, nil
}

// greet answers HELLO with the version that both speak.
func (h *Heir) greet(nonce string) error {
	in, err := h.receive()
	if err != nil {
		return err
	}
	in.close()
	if in.kind != kindHello {
		return fmt.Errorf("%s came instead of %s", in.kind, kindHello)
	}
	theirs, err := read[hello](in)
	if err != nil {
		return err
	}
	if theirs.Nonce != nonce {
		return errors.New("the other end of the channel is not who started this process")
	}
	version, err := choose(theirs, spoken())
	if err != nil {
		return err
	}
	h.generation, h.predecessor, h.build = theirs.Generation, theirs.PID, theirs.Build
	if _, err := h.channel.send(h.waiting, kindWelcome, welcome{Version: version}, nil); err != nil {
		return orphaned(err)
	}
	h.channel.version = uint8(version)
	return nil
}

// take receives everything that is offered, and acknowledges each frame of it.
func (h *Heir) take() error {
	for {
		in, err := h.receive()
		if err != nil {
			return err
		}
		switch in.kind {
		case kindListeners:
			err = h.takeSockets(in)
		case kindLinks:
			err = h.takeLinks(in)
		case kindState:
			err = h.takeState(in)
		case kindComplete:
			err = h.compare(in)
		default:
			err = fmt.Errorf("%s came instead of what is handed over", in.kind)
		}
		in.close()
		if err != nil {
			return err
		}
		if _, err := h.channel.send(h.waiting, kindAck, ack{Seq: in.seq}, nil); err != nil {
			return orphaned(err)
		}
		if in.kind == kindComplete {
			return nil
		}
	}
}

func (h *Heir) takeSockets(in *incoming) error {
	keys, err := readKeys(in)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if h.sockets[key] != nil || len(h.sockets) >= maxSockets {
			return fmt.Errorf("socket %q came twice, or there are more than %d", key, maxSockets)
		}
		h.sockets[key] = in.files[i]
		in.files[i] = nil
	}
	return nil
}

func (h *Heir) takeLinks(in *incoming) error {
	ends, err := readLinks(in)
	if err != nil {
		return err
	}
	own := spoken()
	for i, end := range ends {
		if end.Version < own.min || end.Version > own.max || len(h.links) >= maxLinks {
			h.warn("generation %d, process %d, cannot be heard: its link has version %d", end.Generation, end.PID, end.Version)
			continue
		}
		c, err := adoptChannel(in.files[i], "new")
		in.files[i] = nil
		if err != nil {
			return fmt.Errorf("take the link of generation %d: %w", end.Generation, err)
		}
		c.version = uint8(end.Version)
		h.links = append(h.links, newLink(end.Generation, end.PID, c))
	}
	return nil
}

func (h *Heir) takeState(in *incoming) error {
	head, err := readState(in)
	if err != nil {
		return err
	}
	switch _, twice := h.sections[head.Name]; {
	case twice || len(h.sections) >= maxSections:
		return fmt.Errorf("section %q came twice, or there are more than %d", head.Name, maxSections)
	case in.damage != nil:
		h.warn("section %s starts afresh: %v", head.Name, in.damage)
	default:
		h.sections[head.Name] = Saved{Version: head.Version, Data: in.body, at: time.Now().Add(-head.Age)}
	}
	return nil
}

// compare finds what went missing.
func (h *Heir) compare(in *incoming) error {
	sent, err := read[complete](in)
	if err == nil && sent.Sockets != len(h.sockets) {
		err = fmt.Errorf("%d of %d sockets came", len(h.sockets), sent.Sockets)
	}
	return err
}

// receive waits for the old process.
func (h *Heir) receive() (*incoming, error) {
	in, err := h.channel.receive(h.waiting)
	if err != nil {
		return nil, orphaned(err)
	}
	return in, nil
}

// orphaned gives the errors of a channel whose other end is gone a plain name.
func orphaned(err error) error {
	if errors.Is(lost(err), errEnded) {
		return ErrOrphaned
	}
	return err
}

func (h *Heir) warn(format string, args ...any) {
	h.warnings = append(h.warnings, fmt.Sprintf(format, args...))
}

// Generation is that of this process: 2 for the first that took over.
func (h *Heir) Generation() int { return h.generation }

// Build is what the old process says that it is.
func (h *Heir) Build() string { return h.build }

// Take returns the listening socket with the key, once. It is the caller's.
func (h *Heir) Take(key string) (*os.File, bool) {
	f, ok := h.sockets[key]
	if ok {
		delete(h.sockets, key)
		h.reused = append(h.reused, key)
	}
	return f, ok
}

// Section returns what was saved under the name, once. Of a section that came
// damaged there is only a warning.
func (h *Heir) Section(name string) (Saved, bool) {
	s, ok := h.sections[name]
	delete(h.sections, name)
	return s, ok
}

// Unclaimed are the names of the sections that nobody has asked for.
func (h *Heir) Unclaimed() []string { return slices.Sorted(maps.Keys(h.sections)) }

// Warnings say what did not come, and why.
func (h *Heir) Warnings() []string { return slices.Clone(h.warnings) }

// Links are those to the processes that drain: that of the direct predecessor
// first. There are none before Prepared has returned, because until then they
// may yet be used by the old process.
func (h *Heir) Links() []*Link {
	if !h.started {
		return nil
	}
	return h.links
}

// Progress tells the old process, and whoever waits for it, what this process
// is about to do. It does not wait; what an old process that reads nothing has
// not heard by then, it does not hear. That this process lives is told each
// second without it.
func (h *Heir) Progress(what string) {
	select {
	case h.beat <- what:
	default:
	}
}

// unsaid is how many texts of Progress wait to be sent.
const unsaid = 16

// heartbeat shows the old process that this one lives.
func (h *Heir) heartbeat() {
	t := time.NewTicker(heartbeat)
	defer t.Stop()
	what := ""
	for {
		// A failure shows in Prepared. The true stderr is back at once, so that
		// nobody waits for a reader of the other one.
		if _, err := h.channel.send(h.waiting, kindProgress, progress{What: shorten(what)}, nil); err != nil {
			h.stderr.giveBack()
		}
		select {
		case what = <-h.beat:
		case <-t.C:
		case <-h.stop:
			return
		}
	}
}

// quiet ends the heartbeat.
func (h *Heir) quiet() {
	select {
	case <-h.stop:
	default:
		close(h.stop)
	}
	h.beating.Wait()
}

// Prepared says that this process could accept at once, with the keys of the
// sockets that it has bound anew, and waits until it may. Sockets that nobody
// took are closed. With an error it must not serve, and has to end: ErrOrphaned
// if the old process has ended.
func (h *Heir) Prepared(ctx context.Context, bound []string) error {
	h.quiet()
	if bound == nil {
		bound = []string{}
	}
	plan := Plan{Reused: h.reused, Bound: bound, Dropped: slices.Sorted(maps.Keys(h.sockets))}
	h.closeSockets()
	deadline, _ := h.waiting.Deadline()
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, errSilence)
	defer cancel()
	err := h.awaitStart(ctx, plan)
	if err != nil {
		h.Fail(err)
		return fmt.Errorf("take over: %w", err)
	}
	h.started = true
	h.links = slices.Insert(h.links, 0, newLink(h.generation-1, h.predecessor, h.channel))
	return nil
}

func (h *Heir) awaitStart(ctx context.Context, plan Plan) error {
	body, err := encodePlan(plan)
	if err != nil {
		return err
	}
	if _, err := h.channel.send(ctx, kindPrepared, struct{}{}, body); err != nil {
		return orphaned(err)
	}
	in, err := h.channel.receive(ctx)
	if err != nil {
		return orphaned(err)
	}
	in.close()
	if in.kind != kindStart {
		return fmt.Errorf("%s came instead of %s", in.kind, kindStart)
	}
	return nil
}

// Serving says that this process accepts. From now on its stderr is the true
// one. An old process that has ended in the meantime is no error: this one
// serves.
func (h *Heir) Serving() error {
	h.stderr.giveBack()
	h.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), defaultLimits().start)
	defer cancel()
	_, err := h.channel.send(ctx, kindServing, struct{}{}, nil)
	if errors.Is(orphaned(err), ErrOrphaned) {
		return nil
	}
	return err
}

// Fail says why this process cannot take over, and closes all that came. It
// has to end then. What it still writes to stderr is read by the old process,
// or goes to the true one if that has ended.
func (h *Heir) Fail(reason error) {
	h.quiet()
	ctx, cancel := context.WithTimeout(context.Background(), heartbeat)
	defer cancel()
	if _, err := h.channel.send(ctx, kindFailed, failed{Reason: shorten(reason.Error())}, nil); err != nil {
		h.stderr.giveBack()
	}
	h.cancel()
	h.closeSockets()
	for _, l := range h.links {
		_ = l.Close() // of no use any more
	}
	h.channel.close()
}

func (h *Heir) closeSockets() {
	for _, f := range h.sockets {
		_ = f.Close()
	}
	clear(h.sockets)
}
