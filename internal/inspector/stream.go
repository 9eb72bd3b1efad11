package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"loom/internal/capture"
)

const (
	frameGap    = 50 * time.Millisecond // between frames: 20 a second are more than an eye sees
	statusEvery = time.Second           // which also shows that the stream lives
	frameTime   = 10 * time.Second      // for a reader to take a frame; else it is dropped
	frameRows   = 2_000                 // after which a frame takes in no further batch
	drain       = time.Millisecond      // to see whether a further batch waits
)

// frameID names a place in the stream, for a page that comes back.
func (s *Server) frameID(cursor uint64) string {
	return strconv.FormatUint(s.opts.Info.Generation, 16) + "-" + strconv.FormatUint(cursor, 10)
}

// since reads where a page was; 0 if that is no place in this process's
// stream, which happens after a restart.
func (s *Server) since(r *http.Request) uint64 {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("since")
	}
	generation, cursor, _ := strings.Cut(text, "-")
	g, err := strconv.ParseUint(generation, 16, 64)
	if err != nil || g != s.opts.Info.Generation {
		return 0
	}
	at, err := strconv.ParseUint(cursor, 10, 64)
	if err != nil || at > s.opts.Store.Cursor() {
		return 0
	}
	return at
}

// stream tells a page what happens, until either goes away.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) error {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return failed(http.StatusServiceUnavailable, "%d pages follow already; close some of them", maxStreams)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(s.ending, cancel)
	defer stop()
	since := s.since(r)
	sub, err := s.opts.Store.Subscribe(since)
	if err != nil {
		return failed(http.StatusServiceUnavailable, "%v", err)
	}
	defer sub.Close()

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	f := &follower{server: s, sub: sub, out: http.NewResponseController(w), w: w, cursor: since}
	if err := f.out.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("let the request last: %w", err)
	}
	if since == 0 {
		f.cursor = s.opts.Store.Cursor()
	}
	// A reader that left or does not read is nobody to tell.
	_ = f.run(ctx, since != 0)
	return nil
}

// follower writes the stream of one page. One goroutine uses it.
type follower struct {
	// Immutable.
	server *Server
	sub    *capture.Subscription
	out    *http.ResponseController
	w      http.ResponseWriter

	cursor  uint64
	buf     []byte
	sent    time.Time // the last frame
	counted time.Time // the last status
	seen    uint64    // calls, by then
}

func (f *follower) run(ctx context.Context, resumed bool) error {
	hello := fmt.Sprintf(`{"generation":%d,"resumed":%t,"continues":%d}`, f.server.opts.Info.Generation, resumed, f.server.continues.Load())
	if err := f.frame("hello", []byte(hello)); err != nil {
		return err
	}
	f.counted, f.seen = time.Now(), f.server.opts.Store.Stats().Seen
	if err := f.status(); err != nil {
		return err
	}
	for {
		batch, err := f.next(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return err
		case err == nil:
			f.cursor = batch.Cursor
			if err := f.calls(batch); err != nil {
				return err
			}
		}
		if time.Since(f.counted) >= statusEvery {
			if err := f.status(); err != nil {
				return err
			}
		}
	}
}

// next waits until the last frame is frameGap ago and something changed, or
// until the status is due.
func (f *follower) next(ctx context.Context) (capture.Batch, error) {
	wait := frameGap - time.Since(f.sent)
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return capture.Batch{}, ctx.Err()
		}
	}
	due, cancel := context.WithDeadline(ctx, f.counted.Add(statusEvery))
	defer cancel()
	batch, err := f.sub.Next(due)
	if err != nil || wait <= 0 {
		return batch, err
	}
	// Whoever waited may be behind. What waits goes out in one frame, so that
	// the reader catches up.
	for len(batch.Calls) < frameRows {
		further, err := f.soon(ctx)
		if err != nil {
			break
		}
		// The batch belongs to all who follow.
		batch.Calls = slices.Concat(batch.Calls, further.Calls)
		batch.Missed += further.Missed
		batch.Cursor = further.Cursor
	}
	return batch, nil
}

func (f *follower) soon(ctx context.Context) (capture.Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	return f.sub.Next(ctx)
}

func (f *follower) calls(b capture.Batch) error {
	if len(b.Calls) == 0 && b.Missed == 0 {
		return nil
	}
	f.buf = append(f.buf[:0], `{"calls":`...)
	f.buf = appendRows(f.buf, b.Calls)
	f.buf = append(f.buf, `,"missed":`...)
	f.buf = strconv.AppendUint(f.buf, b.Missed, 10)
	f.buf = append(f.buf, '}')
	return f.frame("calls", f.buf)
}

// statusView is what the page shows of loomd itself, once a second.
type statusView struct {
	Rate    float64      `json:"rate"` // calls a second
	Seen    uint64       `json:"seen"`
	Kept    int          `json:"kept"`
	Open    int          `json:"open"`
	Dropped uint64       `json:"dropped"` // calls and messages that were not recorded
	Oldest  int64        `json:"oldest"`  // microseconds since 1970; 0 if nothing is kept
	Bytes   int64        `json:"bytes"`
	Capture string       `json:"capture"`
	Config  configStatus `json:"config"`
}

type configStatus struct {
	Hash  string `json:"hash"`
	Error string `json:"error"`
}

func (f *follower) status() error {
	st := f.server.opts.Store.Stats()
	now := time.Now()
	view := statusView{
		Seen: st.Seen, Kept: st.Kept, Open: st.Open, Dropped: st.Dropped + st.NoRoom + st.Unredacted,
		Bytes: st.Bytes, Capture: st.Mode.String(),
	}
	if !st.Oldest.IsZero() {
		view.Oldest = st.Oldest.UnixMicro()
	}
	if passed := now.Sub(f.counted).Seconds(); passed > 0 && st.Seen >= f.seen {
		view.Rate = float64(st.Seen-f.seen) / passed
	}
	if config := f.server.opts.Panels.Config; config != nil {
		c := config()
		view.Config = configStatus{c.Hash, c.Error}
	}
	f.counted, f.seen = now, st.Seen
	data, err := json.Marshal(view)
	if err != nil {
		return fmt.Errorf("write the status as JSON: %w", err)
	}
	return f.frame("status", data)
}

// frame writes one event. JSON holds no line end, so one data line is enough.
func (f *follower) frame(event string, data []byte) error {
	if err := f.out.SetWriteDeadline(time.Now().Add(frameTime)); err != nil {
		return fmt.Errorf("bound the write of an event: %w", err)
	}
	head := "event: " + event + "\nid: " + f.server.frameID(f.cursor) + "\ndata: "
	for _, part := range [][]byte{[]byte(head), data, []byte("\n\n")} {
		if _, err := f.w.Write(part); err != nil { //nolint:gosec // an event stream, which no browser renders
			return fmt.Errorf("write an event: %w", err)
		}
	}
	f.sent = time.Now()
	if err := f.out.Flush(); err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	return nil
}
