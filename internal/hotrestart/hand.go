package hotrestart

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"
)

// handover is the old process's side of one handover.
type handover struct {
	command Command
	offer   Offer
	options Options
	path    string // of the program

	// What there is from StepSpawn on.
	*spawned
	nonce    string
	plan     Plan
	warnings []string
}

// spawned is a process that was started for a handover.
type spawned struct {
	*process
	channel *channel
	output  *output
}

// Hand starts a successor and brings it to serve. When it returns without an
// error both processes accept, and the caller is to stop. With an error, which
// is a *Failure, the successor is dead, the caller has everything as before and
// may try again. When ctx ends Hand gives up, unless the successor has been told
// to accept: then it waits for the outcome, a few seconds at most.
//
// One handover at a time: who calls sees to that.
func Hand(ctx context.Context, c Command, o Offer, options Options) (*Successor, error) {
	h := &handover{command: c, offer: o, options: options.complete(), nonce: rand.Text()}
	limits := h.options.limits
	ctx, cancel := within(ctx, limits.overall, "the handover did not end")
	defer cancel()
	for _, s := range []step{
		{StepCheck, limits.check, "the check did not end", h.check},
		{StepSpawn, limits.greet, "the successor was not started", h.spawn},
		{StepGreet, limits.greet, "the successor said nothing", h.greet},
		{StepSockets, limits.sockets, "the successor did not take the sockets", h.passSockets},
		{StepState, limits.state + limits.taken, "the successor did not take the state", h.passState},
		{StepPrepare, limits.ready, "the successor was not ready", h.awaitPrepared},
		{StepStart, limits.start, "the successor was not told to serve", h.start},
	} {
		if err := h.take(ctx, s); err != nil {
			return nil, h.rollBack(s.name, err)
		}
	}
	// The successor may accept from here on: only what it does counts.
	if err := h.awaitServing(context.WithoutCancel(ctx)); err != nil {
		return nil, h.rollBack(StepStart, err)
	}
	h.output.join()
	return &Successor{process: h.process, plan: h.plan, warnings: h.warnings, link: newLink(o.Generation, h.pid, h.channel)}, nil
}

// step is a part of the handover, with its limit and what is said beyond it.
type step struct {
	name  Step
	limit time.Duration
	late  string
	do    func(context.Context) error
}

func (h *handover) take(ctx context.Context, s step) error {
	h.options.Progress(s.name, "")
	ctx, cancel := within(ctx, s.limit, s.late)
	defer cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.do(ctx)
}

// within bounds ctx, with a sentence for when the time is over.
func within(ctx context.Context, limit time.Duration, late string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s within %v", late, limit))
}

// rollBack ends what was started, and says why.
func (h *handover) rollBack(step Step, err error) error {
	failure, ok := errors.AsType[*Failure](err)
	if !ok {
		failure = &Failure{Step: step, Err: err}
	}
	if h.spawned == nil {
		return failure
	}
	if !h.end() {
		failure.Err = fmt.Errorf("%w; and the successor, process %d, does not die", failure.Err, h.pid)
	}
	h.release()
	h.channel.close()
	h.output.join()
	failure.Output = h.output.String()
	return failure
}

// check finds the program and has it judge the configuration.
func (h *handover) check(ctx context.Context) error {
	if err := supported(); err != nil {
		return err
	}
	if err := h.offer.validate(); err != nil {
		return err
	}
	path, err := h.command.find()
	if err != nil {
		return err
	}
	h.path = path
	written, err := h.command.check(ctx, path)
	if err != nil {
		return &Failure{Step: StepCheck, Err: err, Output: written}
	}
	return nil
}

func (h *handover) spawn(context.Context) error {
	spawned, err := spawn(h.command, h.path, h.nonce, h.options.Stderr)
	h.spawned = spawned
	return err
}

// greet agrees on a version with the successor.
func (h *handover) greet(ctx context.Context) error {
	own := spoken()
	_, err := h.channel.send(ctx, kindHello, hello{
		Min: own.min, Max: own.max, Build: h.options.Build, Generation: h.offer.Generation, Nonce: h.nonce, PID: os.Getpid(),
	}, nil)
	if err != nil {
		return lost(err)
	}
	in, err := h.expect(ctx, kindWelcome)
	if err != nil {
		return err
	}
	answer, err := read[welcome](in)
	if err != nil {
		return err
	}
	if answer.Version < own.min || answer.Version > own.max {
		return fmt.Errorf("the successor chose version %d, and this process speaks %d to %d", answer.Version, own.min, own.max)
	}
	h.channel.version = uint8(answer.Version)
	return nil
}

// passSockets passes listening sockets and links, some at a time.
func (h *handover) passSockets(ctx context.Context) error {
	for rest := h.offer.Sockets; len(rest) > 0; {
		batch := rest[:min(len(rest), maxDescriptors)]
		rest = rest[len(batch):]
		var head listeners
		var conns []syscall.Conn
		for _, s := range batch {
			head.Keys, conns = append(head.Keys, s.Key), append(conns, s.Conn)
		}
		if err := h.pass(ctx, kindListeners, head, nil, conns...); err != nil {
			return err
		}
	}
	for rest := h.offer.Links; len(rest) > 0; {
		batch := rest[:min(len(rest), maxDescriptors)]
		rest = rest[len(batch):]
		var head links
		var conns []syscall.Conn
		for _, l := range batch {
			end, conn := l.end()
			head.Links, conns = append(head.Links, end), append(conns, conn)
		}
		if err := h.pass(ctx, kindLinks, head, nil, conns...); err != nil {
			return err
		}
	}
	return nil
}

// passState passes the sections that can be saved in time, and says that this
// is all.
func (h *handover) passState(ctx context.Context) error {
	saving, cancel := within(ctx, h.options.limits.state, "it was not saved")
	defer cancel()
	for _, s := range pretended(h.offer.Sections) {
		data, err := save(saving, s)
		if err == nil && len(data) > maxBody {
			err = fmt.Errorf("%d bytes are more than %d", len(data), maxBody)
		}
		if err != nil {
			h.warnings = append(h.warnings, fmt.Sprintf("section %s does not cross: %v", s.Name, err))
			continue
		}
		if err := h.pass(ctx, kindState, state{Name: s.Name, Version: s.Version}, data); err != nil {
			return err
		}
	}
	return h.pass(ctx, kindComplete, complete{Sockets: len(h.offer.Sockets)}, nil)
}

// save calls Save, and leaves it alone when its time is over.
func save(ctx context.Context, s Section) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	type result struct {
		data []byte
		err  error
	}
	saved := make(chan result, 1)
	go func() {
		data, err := s.Save()
		saved <- result{data, err}
	}()
	select {
	case r := <-saved:
		return r.data, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// awaitPrepared waits while the successor shows that it lives.
func (h *handover) awaitPrepared(ctx context.Context) error {
	for {
		silence, cancel := within(ctx, h.options.limits.silence, "the successor gave no sign of life")
		in, err := h.expect(silence, kindPrepared, kindProgress)
		cancel()
		if err != nil {
			return err
		}
		if in.kind == kindPrepared {
			h.plan, err = readPlan(in)
			return err
		}
		now, err := read[progress](in)
		if err != nil {
			return err
		}
		h.options.Progress(StepPrepare, shorten(now.What))
	}
}

// start tells the successor to accept.
func (h *handover) start(ctx context.Context) error {
	_, err := h.channel.send(ctx, kindStart, struct{}{}, nil)
	return lost(err)
}

// awaitServing waits until it does. Its time begins when it has been told, so
// that none is lost if this process was stopped before.
func (h *handover) awaitServing(ctx context.Context) error {
	ctx, cancel := within(ctx, h.options.limits.start, "the successor did not begin to serve")
	defer cancel()
	_, err := h.expect(ctx, kindServing)
	return err
}

// pass sends a frame and waits until the successor has it.
func (h *handover) pass(ctx context.Context, k kind, head any, body []byte, conns ...syscall.Conn) error {
	ctx, cancel := within(ctx, h.options.limits.taken, "the successor did not take what it was sent")
	defer cancel()
	seq, err := h.channel.send(ctx, k, head, body, conns...)
	if err != nil {
		return lost(err)
	}
	in, err := h.expect(ctx, kindAck)
	if err != nil {
		return err
	}
	answer, err := read[ack](in)
	if err == nil && answer.Seq != seq {
		err = fmt.Errorf("the successor acknowledges frame %d, and %d was sent", answer.Seq, seq)
	}
	return err
}

// expect receives a frame of one of the kinds. FAILED is an error of the
// successor's own words.
func (h *handover) expect(ctx context.Context, kinds ...kind) (*incoming, error) {
	in, err := h.channel.receive(ctx)
	if err != nil {
		return nil, lost(err)
	}
	in.close() // a successor passes no descriptors
	if in.kind == kindFailed {
		cause, err := read[failed](in)
		if err == nil && cause.Reason == "" {
			err = errors.New("the successor cannot go on, and does not say why")
		}
		if err != nil {
			return nil, err
		}
		return nil, ownError(shorten(cause.Reason))
	}
	if slices.Contains(kinds, in.kind) {
		return in, nil
	}
	return nil, fmt.Errorf("the successor sent %s instead of %s", in.kind, kinds[0])
}

// errEnded is what the end of the channel means to the old process.
var errEnded = errors.New("the successor ended")

// lost gives the errors of a channel whose other end is gone a plain name.
func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return errEnded
	}
	return err
}
