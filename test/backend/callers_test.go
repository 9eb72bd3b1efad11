package backend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"loom/test/daemon"
)

// proxy is a loomd in front of endpoints.
type proxy struct {
	*daemon.Process
	t       *testing.T
	conn    *grpc.ClientConn
	metrics string
}

// startProxy runs loomd with one backend, which has these keys besides its
// targets.
func startProxy(t *testing.T, keys string, endpoints ...*endpoint) *proxy {
	t.Helper()
	var targets []string
	for _, e := range endpoints {
		targets = append(targets, fmt.Sprintf("%q", e.address))
	}
	address, p := daemon.FreeAddress(t), &proxy{t: t, metrics: daemon.FreeAddress(t)}
	p.Process = program.Start(t, "-quiet", "-config", daemon.WriteConfig(t, fmt.Sprintf(`
listeners: [{name: plain, address: %q}]
backends:
  main:
    targets: [%s]
%s
routes: [{name: everything, backend: main}]
metrics: {address: %q}
`, address, strings.Join(targets, ", "), keys, p.metrics)))
	p.WaitListening(t, address)
	p.WaitListening(t, p.metrics)
	var err error
	if p.conn, err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.conn.Close() })
	return p
}

// who calls, and returns the address of the endpoint that answered.
func (p *proxy) who(kv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(p.t.Context(), kv...), 10*time.Second)
	defer cancel()
	answer := new(wrapperspb.StringValue)
	err := p.conn.Invoke(ctx, whoMethod, new(wrapperspb.StringValue), answer)
	return answer.GetValue(), err
}

// meet calls until every endpoint has answered, so that each has a connection.
func (p *proxy) meet(endpoints ...*endpoint) {
	p.t.Helper()
	seen := make(map[string]bool)
	p.Await(p.t, "every endpoint answers", func() bool {
		if at, err := p.who(); err == nil {
			seen[at] = true
		}
		return len(seen) == len(endpoints)
	})
}

// awaitMetric waits until a scrape has the line.
func (p *proxy) awaitMetric(line string) {
	p.t.Helper()
	p.Await(p.t, "a scrape has "+line, func() bool {
		request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.metrics+"/metrics", http.NoBody)
		if err != nil {
			p.t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return err == nil && strings.Contains(string(text), "\n"+line+"\n")
	})
}

// result is a call that ended.
type result struct {
	began, ended time.Time
	at           string
	err          error
}

// callers call all the time.
type callers struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mu  sync.Mutex
	all []result // guarded by mu
}

// call has n callers call, each some hundred times a second, until end.
func (p *proxy) call(n int) *callers {
	c := &callers{stop: make(chan struct{})}
	for range n {
		c.wg.Go(func() {
			for {
				r := result{began: time.Now()}
				r.at, r.err = p.who()
				r.ended = time.Now()
				c.mu.Lock()
				c.all = append(c.all, r)
				c.mu.Unlock()
				select {
				case <-c.stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	return c
}

// end stops the callers and returns their calls, in the order of their ends.
func (c *callers) end() []result {
	close(c.stop)
	c.wg.Wait()
	slices.SortFunc(c.all, func(a, b result) int { return a.ended.Compare(b.ended) })
	return c.all
}

// firstAt returns when a call that was answered by the endpoint first ended
// after a moment, and whether one was.
func firstAt(all []result, address string, after time.Time) (time.Time, bool) {
	for _, r := range all {
		if r.at == address && r.ended.After(after) {
			return r.ended, true
		}
	}
	return time.Time{}, false
}

// ejections counts the lines of the log that tell of one.
func (p *proxy) ejections() int { return strings.Count(p.Stderr(), `"endpoint ejected"`) }
