package breaker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// callTimeout is how long a caller waits for an answer: much longer than one
// takes on a machine that is busy with other tests.
const callTimeout = time.Second

// callers are clients that call all the time, and check every answer.
type callers struct {
	t     *testing.T
	stop  chan struct{}
	calls sync.WaitGroup
	wrong atomic.Int64 // answers that were not the question

	mu   sync.Mutex
	ends []end
}

// end is what a caller saw.
type end struct {
	at     time.Time
	took   time.Duration
	code   codes.Code
	reason string // of loom
}

// dial is a client of loomd.
func dial(t *testing.T, address string, more ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return daemon.Dial(t, address, append([]grpc.DialOption{grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{}))}, more...)...)
}

// startCallers has n callers call once every interval.
func startCallers(t *testing.T, address string, n int, interval time.Duration) *callers {
	t.Helper()
	c := &callers{t: t, stop: make(chan struct{})}
	t.Cleanup(c.end)
	for i := range n {
		cc := dial(t, address)
		c.calls.Go(func() {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for k := 0; ; k++ {
				select {
				case <-c.stop:
					return
				case <-tick.C:
					c.call(cc, fmt.Sprintf("caller %d, call %d", i, k))
				}
			}
		})
	}
	return c
}

func (c *callers) call(cc *grpc.ClientConn, question string) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	in, out := []byte(question), []byte(nil)
	began := time.Now()
	err := cc.Invoke(ctx, echoMethod, &in, &out)
	e := end{at: began, took: time.Since(began), code: status.Code(err), reason: reason(err)}
	if err == nil && string(out) != question {
		c.wrong.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends = append(c.ends, e)
}

// end stops the callers; what they saw is complete afterwards.
func (c *callers) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.calls.Wait()
}

// reason is the one that loom gives with a status.
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "loom" {
			return info.GetReason()
		}
	}
	return ""
}

// saw is what calls that began between from and to ended with, by their number.
func (c *callers) saw(from, to time.Time) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for _, e := range c.ends {
		if e.at.After(from) && e.at.Before(to) {
			all[strings.TrimSpace(e.code.String()+" "+e.reason)]++
		}
	}
	return all
}

// rejected are how long calls took that the breaker refused, in order.
func (c *callers) rejected() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []time.Duration
	for _, e := range c.ends {
		if strings.HasPrefix(e.reason, "BREAKER_") {
			all = append(all, e.took)
		}
	}
	slices.Sort(all)
	return all
}
