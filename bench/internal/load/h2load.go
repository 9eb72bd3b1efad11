package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"loom/bench/internal/echo"
	"loom/bench/internal/endpoint"
	"loom/bench/internal/row"
)

const (
	// h2loadGrace is how long h2load may take beyond its own duration.
	h2loadGrace = 10 * time.Second
	// h2loadSlowest is the least rate, each second, at which a number of calls
	// must get done.
	h2loadSlowest = 2000
)

// H2Load makes unary calls for the duration, as many at once as the row says.
// file holds one framed message, which is the body of every request.
func H2Load(ctx context.Context, addr string, r row.Row, file string, d time.Duration) (Count, error) {
	return h2load(ctx, addr, r, file, d+h2loadGrace, "-D", fmt.Sprintf("%dms", d.Milliseconds()))
}

// H2Calls makes n unary calls, and is otherwise like H2Load.
func H2Calls(ctx context.Context, addr string, r row.Row, file string, n int) (Count, error) {
	limit := time.Duration(n)*time.Second/h2loadSlowest + h2loadGrace
	return h2load(ctx, addr, r, file, limit, "-n", strconv.Itoa(n))
}

func h2load(ctx context.Context, addr string, r row.Row, file string, limit time.Duration, amount ...string) (Count, error) {
	body, err := os.Stat(file)
	if err != nil {
		return Count{}, fmt.Errorf("h2load: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "h2load", append(amount,
		"-c", strconv.Itoa(r.Conns),
		"-m", strconv.Itoa(r.Streams),
		"-d", file,
		"-H", "content-type: application/grpc",
		"-H", "te: trailers",
		"-H", "user-agent: grpc-h2load",
		endpoint.URL(addr, echo.UnaryMethod),
	)...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil && bytes.Contains(out, []byte("Stopped all clients")) {
		return Count{}, fmt.Errorf("%w:\n%s", ErrStuck, out)
	}
	if err != nil {
		return Count{}, fmt.Errorf("h2load: %w\n%s", err, out)
	}
	report, err := parseH2Load(out)
	if err == nil {
		err = report.check(body.Size())
	}
	if err != nil {
		return Count{}, fmt.Errorf("%w in:\n%s", err, out)
	}
	return Count{Requests: report.done, Elapsed: report.elapsed}, nil
}

// ErrStuck says that h2load had measured and did not end: with TLS, it now and
// then does not.
var ErrStuck = errors.New("h2load: it stopped its clients and did not end")

// ErrNothingDone says that not one reply came within the duration: the machine
// was busy with something else, or the proxy hangs.
var ErrNothingDone = errors.New("h2load: no request was finished")

// ErrFailed says that some requests had no reply, or another than they ought to.
var ErrFailed = errors.New("h2load: requests failed")

// h2loadReport is what the bench reads of h2load's output.
type h2loadReport struct {
	done, succeeded, failed int
	data                    int64 // bytes of DATA frames received
	elapsed                 time.Duration
}

var (
	h2loadRequests = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed,`)
	h2loadFinished = regexp.MustCompile(`(?m)^finished in ([0-9.]+(?:us|ms|s|m|h)),`)
	h2loadData     = regexp.MustCompile(`(?m)^traffic: .*, \S+ \((\d+)\) data$`)
)

func parseH2Load(out []byte) (h2loadReport, error) {
	requests := h2loadRequests.FindSubmatch(out)
	if requests == nil {
		return h2loadReport{}, errors.New("h2load: no line of requests")
	}
	data := h2loadData.FindSubmatch(out)
	if data == nil {
		return h2loadReport{}, errors.New("h2load: no line of traffic")
	}
	finished := h2loadFinished.FindSubmatch(out)
	if finished == nil {
		return h2loadReport{}, errors.New("h2load: no line of the time taken")
	}
	var r h2loadReport
	var errs [5]error
	r.done, errs[0] = strconv.Atoi(string(requests[1]))
	r.succeeded, errs[1] = strconv.Atoi(string(requests[2]))
	r.failed, errs[2] = strconv.Atoi(string(requests[3]))
	r.data, errs[3] = strconv.ParseInt(string(data[1]), 10, 64)
	r.elapsed, errs[4] = time.ParseDuration(string(finished[1]))
	if err := errors.Join(errs[:]...); err != nil {
		return h2loadReport{}, fmt.Errorf("h2load: %w", err)
	}
	return r, nil
}

// check looks at the bytes that came back, because h2load does not look at
// grpc-status: a call refused with an error is a success to it. Replies that
// were cut off at the end of the time may add to the bytes.
func (r h2loadReport) check(reply int64) error {
	switch {
	case r.done == 0:
		return ErrNothingDone
	case r.failed > 0 || r.succeeded != r.done:
		return fmt.Errorf("%w: %d of %d", ErrFailed, r.done-r.succeeded, r.done)
	case r.data < int64(r.done)*reply:
		return fmt.Errorf("h2load: %d replies of %d bytes make more than the %d bytes of data received", r.done, reply, r.data)
	}
	return nil
}
