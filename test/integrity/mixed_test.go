package integrity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
	"loom/test/traffic"
)

// callLimit is far above what a call takes here, cut or not. A call that lasts
// so long hangs.
const callLimit = 60 * time.Second

// TestMixed lets many workers call in all four ways at once, some reading
// slowly, some cancelling. Half of them go through connections that are cut
// before loomd, behind it, or both. Each message that anybody receives must be
// the right one, and a call that ended well must have had all of them.
func TestMixed(t *testing.T) {
	for _, build := range []struct {
		name    string
		program *daemon.Program
	}{{"race detector", watched}, {"fast", plain}} {
		t.Run(build.name, func(t *testing.T) {
			found := &traffic.Faults{}
			way := startWay(t, build.program, found)
			groups := []*group{
				{name: "steady", service: steadyService, address: way.steady},
				{name: "cut behind loomd", service: cutService, address: way.steady, allowed: cutCodes},
				{name: "cut before loomd", service: steadyService, address: way.before.address(), allowed: cutCodes},
				{name: "cut on both sides", service: cutService, address: way.before.address(), allowed: cutCodes},
			}
			ctx, cancel := context.WithTimeout(t.Context(), *mixedFor)
			defer cancel()
			var workers sync.WaitGroup
			for _, g := range groups {
				g.faults = found
				for range 2 {
					conn := dial(t, g.address)
					for range 8 {
						workers.Go(func() { g.work(ctx, conn) })
					}
				}
			}
			workers.Wait()

			found.Report(t)
			for _, g := range groups {
				g.report(t)
			}
			before, behind := way.before.cuts.Load(), way.behind.cuts.Load()
			t.Logf("connections cut: %d before loomd, %d behind it", before, behind)
			if before < 5 || behind < 5 {
				t.Error("too few connections were cut to say anything")
			}
		})
	}
}

// way is what the traffic passes.
type way struct {
	steady         string // the address of loomd itself
	before, behind *cutter
}

// startWay runs loomd between two cutters, and a backend behind all.
func startWay(t *testing.T, program *daemon.Program, found *traffic.Faults) *way {
	t.Helper()
	target := startBackend(t, found)
	w := &way{steady: daemon.FreeAddress(t), behind: startCutter(t, target)}
	loomd := program.Start(t, "-quiet", "-config", daemon.WriteConfig(t, fmt.Sprintf(`
listeners:
  - {name: plain, address: %q}
backends:
  steady: {targets: [%q]}
  cut: {targets: [%q]}
routes:
  - {name: cut, match: {service: %s}, backend: cut}
  - {name: steady, match: {service: %s}, backend: steady}
`, w.steady, target, w.behind.address(), cutService, steadyService)))
	loomd.WaitListening(t, w.steady)
	w.before = startCutter(t, w.steady)
	return w
}

// dial makes a channel that is closed when the test ends.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := newChannel(address)
	if err != nil {
		t.Fatalf("make a channel: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// newChannel makes a channel that comes back quickly when its connection was cut.
func newChannel(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{}), grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(8<<20)),
	)
}

// cutCodes are how a call may end whose connection was cut: it could not be
// carried, or broke off inside a message.
var cutCodes = map[codes.Code]bool{codes.Unavailable: true, codes.Internal: true}

// group is a part of the traffic that goes one way.
type group struct {
	name    string
	service string
	address string
	faults  *traffic.Faults
	allowed map[codes.Code]bool // failures that are no fault

	well, messages, cancelled, broken atomic.Int64
}

// work calls until the context ends; the calls that are under way end first.
func (g *group) work(ctx context.Context, conn *grpc.ClientConn) {
	for ctx.Err() == nil {
		c := &call{group: g, id: rand.Uint64() | 1}
		callContext, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
		var clock *time.Timer
		if c.cancels = rand.IntN(8) == 0; c.cancels {
			clock = time.AfterFunc(time.Duration(rand.Int64N(int64(20*time.Millisecond))), cancel)
		}
		c.settle(c.run(callContext, conn))
		if clock != nil {
			clock.Stop()
		}
		cancel()
	}
}

// report says what the group did, and fails when that was next to nothing.
func (g *group) report(t *testing.T) {
	t.Helper()
	t.Logf("%s: %d calls ended well, %d were cancelled, %d broken; %d messages", g.name, g.well.Load(), g.cancelled.Load(), g.broken.Load(), g.messages.Load())
	if g.well.Load() < 50 || g.cancelled.Load() < 5 {
		t.Errorf("%s: too few calls to say anything", g.name)
	}
}

// call is one call as its client sees it.
type call struct {
	*group
	id       uint64
	cancels  bool
	received traffic.Follow
	reached  bool // something of a response has come
}

// run makes a call of a random kind. The error is how it ended.
func (c *call) run(ctx context.Context, conn *grpc.ClientConn) error {
	c.received = traffic.Follow{Call: c.id, Direction: traffic.FromBackend}
	kind := []string{"Unary", "Unary", "Unary", "Chat", "Chat", "Flood", "Upload"}[rand.IntN(7)]
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+c.service+"/"+kind)
	if err != nil {
		return err
	}
	defer func() {
		header, _ := stream.Header() // its error is that of the call
		c.reached = len(header) > 0 || len(stream.Trailer()) > 0
	}()
	switch kind {
	case "Unary", "Flood":
		// io.EOF says that the call is over; receiving tells how.
		if err := c.send(stream, 0, 1, randomSize()); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		return c.receive(stream, kind == "Flood" && rand.IntN(2) == 0)
	default:
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() {
			total := 1 + rand.Uint32N(60)
			for sequence := range total {
				if c.send(stream, sequence, total, rand.IntN(16<<10)) != nil {
					return // the receiving half tells why
				}
			}
			// Its error shows in the receiving half as well.
			_ = stream.CloseSend()
		})
		return c.receive(stream, rand.IntN(4) == 0)
	}
}

// randomSize is small as a rule and now and then larger than any window at the
// start of a stream.
func randomSize() int {
	switch rand.IntN(20) {
	case 0:
		return rand.IntN(1 << 20)
	case 1:
		return 0
	default:
		return rand.IntN(2 << 10)
	}
}

func (c *call) send(stream grpc.ClientStream, sequence, total uint32, size int) error {
	data := traffic.Message{Call: c.id, Sequence: sequence, Total: total, Direction: traffic.ToBackend}.Encode(size)
	return stream.SendMsg(&data)
}

// receive takes all messages to the end of the call, some of them late.
func (c *call) receive(stream grpc.ClientStream, slowly bool) error {
	for {
		data, err := rawbytes.Receive(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.received.Take(data); err != nil {
			c.faults.Addf("%s: %v", c.name, err)
			return nil
		}
		if slowly && rand.IntN(10) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// settle judges how the call ended.
func (c *call) settle(err error) {
	c.messages.Add(int64(c.received.Next))
	code := status.Code(err)
	switch {
	case err == nil && !c.reached && c.allowed != nil:
		// grpc-go tries a call again whose connection broke before it was
		// written. Breaks that connection as well while it sends the messages
		// over, RecvMsg returns the io.EOF of that sending, which reads as
		// success. No status has come from anywhere.
		c.broken.Add(1)
	case err == nil:
		if err := c.received.Complete(); err != nil {
			c.faults.Addf("%s: %v", c.name, err)
		}
		c.well.Add(1)
	case c.cancels && code == codes.Canceled:
		c.cancelled.Add(1)
	case c.allowed[code]:
		c.broken.Add(1)
		// What refuses at once must not be asked again at once.
		time.Sleep(5 * time.Millisecond)
	default:
		c.faults.Addf("%s: call %x ended with: %v", c.name, c.id, err)
		time.Sleep(5 * time.Millisecond)
	}
}
