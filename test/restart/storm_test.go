//go:build linux

package restart

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// The size of the storm: "make soak" has a hundred reloads, each with the
// probation that loomd has by default.
var (
	stormReloads   = flag.Int("reloads", 5, "how often the storm reloads, and the tests of counts and breakers at least")
	stormProbation = flag.Duration("probation", 500*time.Millisecond, "restart.probation in the storm")
	stormQuiet     = flag.Duration("quiet", 3*time.Second, "how long the storm looks at a loomd that is not reloaded")
	stormFactor    = flag.Float64("factor", 0, "how many times the quiet p99 that of reloads may be at most; 0: whatever")
)

const (
	stormConnections = 50
	stormCalls       = 2000            // a second, over all connections
	stormAfter       = 2 * time.Second // after the trigger of a reload: its calls are pooled
	stormStream      = time.Second     // how long a stream lasts; it has to end within the drain
)

// ledger is a backend that counts how often each call came.
type ledger struct {
	mu   sync.Mutex
	seen map[string]int
}

// serve answers each call with its checksum.
func (l *ledger) serve(t *testing.T) string {
	t.Helper()
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}))
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Sum", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		rawbytes.Stream("Echo", func(s grpc.ServerStream) error {
			message, err := rawbytes.Receive(s)
			if err != nil {
				return err
			}
			l.mu.Lock()
			l.seen[string(message)]++
			l.mu.Unlock()
			answer := []byte(answerTo(string(message)))
			return s.SendMsg(&answer)
		}),
		rawbytes.Stream("Sum", sum),
	}}, struct{}{})
	return daemon.Serve(t, server)
}

func answerTo(question string) string {
	return question + " " + strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(question))), 16)
}

// timed is a call that succeeded.
type timed struct {
	began time.Time
	took  time.Duration
}

// storm is calls at a steady rate, whatever becomes of those before.
type storm struct {
	running sync.WaitGroup
	stop    context.CancelFunc

	mu     sync.Mutex
	calls  []timed
	failed []error
	made   int
}

func startStorm(t *testing.T, address string) *storm {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &storm{stop: stop}
	for c := range stormConnections {
		conn := connect(t, address)
		s.running.Go(func() {
			every := stormConnections * time.Second / stormCalls
			time.Sleep(time.Duration(c) * every / stormConnections)
			tick := time.NewTicker(every)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					s.running.Go(func() { s.call(conn, fmt.Sprintf("%d/%d", c, n)) })
				}
			}
		})
	}
	t.Cleanup(func() { s.end() })
	return s
}

func (s *storm) call(conn *grpc.ClientConn, question string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	began := time.Now()
	in, out := []byte(question), []byte(nil)
	err := conn.Invoke(ctx, echoMethod, &in, &out)
	took := time.Since(began)
	if err == nil && string(out) != answerTo(question) {
		err = fmt.Errorf("the reply is %q", out)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	if err != nil {
		s.failed = append(s.failed, fmt.Errorf("call %s at %s: %w", question, began.Format("15:04:05.000"), err))
		return
	}
	s.calls = append(s.calls, timed{began, took})
}

func (s *storm) end() {
	s.stop()
	s.running.Wait()
}

// p99 is that of the calls that began in one of the spans.
func (s *storm) p99(spans ...[2]time.Time) (p99 time.Duration, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []time.Duration
	for _, c := range s.calls {
		if slices.ContainsFunc(spans, func(x [2]time.Time) bool { return c.began.After(x[0]) && c.began.Before(x[1]) }) {
			all = append(all, c.took)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)*99/100], len(all)
}

// costs is what the process that serves has at one moment.
type costs struct {
	fds, goroutines int
	memory          int64
}

// settledCosts are those when all callers have come to the process that serves.
func (f *family) settledCosts() costs {
	f.t.Helper()
	f.await("the older processes end", func() bool { return len(f.generations()) == 1 })
	return f.costs()
}

func (f *family) costs() costs {
	f.t.Helper()
	var st struct {
		PID         int    `json:"pid"`
		Goroutines  int    `json:"goroutines"`
		MemoryBytes string `json:"memoryBytes"`
	}
	f.ask(&st, "status")
	memory, err := strconv.ParseInt(st.MemoryBytes, 10, 64)
	if err != nil {
		f.t.Fatal(err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", st.PID))
	if err != nil {
		f.t.Fatal(err)
	}
	return costs{len(fds), st.Goroutines, memory}
}

// One reload after the other under 2,000 calls a second on 50 connections, and
// bidi streams one after the other: each call is answered, once, and rightly;
// none waits for long; and what the process that serves costs stays as it is.
func TestStorm(t *testing.T) {
	plain, err := daemon.Build(false) // latencies are looked at
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Remove()
	backend := &ledger{seen: make(map[string]int)}
	f := startFamilyOf(t, plain, backend.serve(t), fmt.Sprintf("restart: {drain: 5s, probation: %v}\n", *stormProbation))
	s := startStorm(t, f.listen)
	streaming := make(chan struct{})
	var streams sync.WaitGroup
	rounds := 0
	streams.Go(func() { rounds = streamOn(t, f.listen, streaming) })

	time.Sleep(time.Second) // all have connected
	quiet := [2]time.Time{time.Now(), time.Now().Add(*stormQuiet)}
	time.Sleep(*stormQuiet)
	var after [][2]time.Time
	var first costs
	for n := range *stormReloads {
		now := time.Now()
		after = append(after, [2]time.Time{now, now.Add(stormAfter)})
		f.reload()
		if n == 0 {
			first = f.settledCosts()
		}
	}
	last := f.settledCosts()
	time.Sleep(stormAfter)
	s.end()
	close(streaming)
	streams.Wait()

	before, _ := s.p99(quiet)
	during, calls := s.p99(after...)
	t.Logf("%d reloads, %d calls, %d failed, %d streams; p99 quiet %v, in the 2 s after each trigger %v (%.1f times, %d calls); at first %+v, at last %+v",
		*stormReloads, s.made, len(s.failed), rounds, before, during, float64(during)/float64(before), calls, first, last)
	for _, err := range s.failed[:min(10, len(s.failed))] {
		t.Error(err)
	}
	backend.want(t, s.made, len(s.failed))
	if *stormFactor > 0 && float64(during) > *stormFactor*float64(before) {
		t.Errorf("p99 is %v while it reloads, %v in quiet times", during, before)
	}
	wantFlat(t, first, last)
}

// want looks that each call came once. Those that failed may have come.
func (l *ledger) want(t *testing.T, made, failed int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	twice := 0
	for _, n := range l.seen {
		if n > 1 {
			twice++
		}
	}
	if twice > 0 || len(l.seen) < made-failed || len(l.seen) > made {
		t.Errorf("of %d calls %d came, %d more than once", made, len(l.seen), twice)
	}
}

// wantFlat looks that the last process costs what the second one did.
func wantFlat(t *testing.T, first, last costs) {
	t.Helper()
	if last.fds > first.fds+10 {
		t.Errorf("%d descriptors at first, %d at last", first.fds, last.fds)
	}
	if last.goroutines > first.goroutines+20 {
		t.Errorf("%d goroutines at first, %d at last", first.goroutines, last.goroutines)
	}
	if last.memory > first.memory*3/2 {
		t.Errorf("%d bytes at first, %d at last", first.memory, last.memory)
	}
}

// streamOn has one stream after the other, until it is to stop. Each answer is
// checked, and each stream has to end well. It returns how many there were.
func streamOn(t *testing.T, address string, stop <-chan struct{}) (rounds int) {
	conn := connect(t, address)
	for ; ; rounds++ {
		select {
		case <-stop:
			return rounds
		default:
		}
		if err := streamOnce(conn); err != nil {
			t.Errorf("stream %d: %v", rounds, err)
			return rounds
		}
	}
}

func streamOnce(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, sumMethod)
	if err != nil {
		return err
	}
	running := uint32(0)
	for n, began := 0, time.Now(); time.Since(began) < stormStream; n++ {
		message := []byte(strconv.Itoa(n))
		running = crc32.Update(running, crc32.IEEETable, message)
		if err := s.SendMsg(&message); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		answer, err := rawbytes.Receive(s)
		if err != nil {
			return fmt.Errorf("answer %d: %w", n, err)
		}
		if want := []byte{byte(running >> 24), byte(running >> 16), byte(running >> 8), byte(running)}; !slices.Equal(answer, want) {
			return fmt.Errorf("answer %d is %x, want %x", n, answer, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := rawbytes.Receive(s); !errors.Is(err, io.EOF) {
		return fmt.Errorf("it ended with %w", err)
	}
	return nil
}
