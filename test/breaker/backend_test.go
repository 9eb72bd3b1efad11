package breaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// backendVariable has the addresses of the service and of its control when the
// test binary is the backend.
const backendVariable = "LOOM_TEST_BREAKER_BACKEND"

// The methods of the backend.
const (
	echoMethod    = "/loom.test.Breaker/Echo"
	chatMethod    = "/loom.test.Breaker/Chat"
	controlMethod = "/loom.test.Control/Set"
	healthMethod  = "/grpc.health.v1.Health/Check" // Watch is not offered
)

// Moods of the backend.
const (
	well      = "well"
	hanging   = "hanging"   // takes calls and says nothing
	slow      = "slow"      // answers later than anybody waits
	failing   = "failing"   // answers INTERNAL, and says that it is healthy
	sick      = "sick"      // answers INTERNAL, and says that it is not healthy
	resetting = "resetting" // resets every connection on which something comes
)

// slowness is longer than callers wait.
const slowness = 2 * callTimeout

// mind is the backend's process: what mood it is in, and when calls came.
type mind struct {
	mu       sync.Mutex
	mood     string
	arrivals []time.Time
}

func (m *mind) now() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mood
}

func (m *mind) arrived() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arrivals = append(m.arrivals, time.Now())
}

func runBackend(addresses string) error {
	service, control, _ := strings.Cut(addresses, " ")
	m := &mind{mood: well}
	l, err := net.Listen("tcp", service)
	if err != nil {
		return fmt.Errorf("listen for calls: %w", err)
	}
	c, err := net.Listen("tcp", control)
	if err != nil {
		return fmt.Errorf("listen for control: %w", err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}), grpc.UnknownServiceHandler(m.answer))
	controls := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}), grpc.UnknownServiceHandler(m.control))
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(moodyListener{l, m}) }()
	go func() { ended <- controls.Serve(c) }()
	return <-ended
}

func (m *mind) answer(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	switch method {
	case echoMethod, chatMethod:
	case healthMethod:
		return m.health(stream)
	default:
		return status.Error(codes.Unimplemented, "not here")
	}
	m.arrived()
	for {
		message, err := rawbytes.Receive(stream)
		if err != nil {
			return nil //nolint:nilerr // the request is complete
		}
		switch m.now() {
		case hanging:
			<-stream.Context().Done()
			return stream.Context().Err()
		case slow:
			time.Sleep(slowness)
		case failing, sick:
			return status.Error(codes.Internal, "in a bad mood")
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
		if method == echoMethod {
			return nil
		}
	}
}

// health answers with a grpc.health.v1.HealthCheckResponse, whose first field is
// 1 for SERVING and 2 for NOT_SERVING.
func (m *mind) health(stream grpc.ServerStream) error {
	if _, err := rawbytes.Receive(stream); err != nil {
		return err
	}
	answer := []byte{8, 1}
	if m.now() == sick {
		answer[1] = 2
	}
	return stream.SendMsg(&answer)
}

// control sets the mood, unless it is given none, and answers with the arrivals.
func (m *mind) control(_ any, stream grpc.ServerStream) error {
	mood, err := rawbytes.Receive(stream)
	if err != nil {
		return err
	}
	m.mu.Lock()
	if len(mood) > 0 {
		m.mood = string(mood)
	}
	all, err := json.Marshal(m.arrivals)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return stream.SendMsg(&all)
}

// moodyListener gives connections that end as the mood says.
type moodyListener struct {
	net.Listener
	mind *mind
}

// Accept waits for a connection.
func (l moodyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return moodyConn{c.(*net.TCPConn), l.mind}, nil
}

type moodyConn struct {
	*net.TCPConn
	mind *mind
}

// Read resets the connection in a resetting mood.
func (c moodyConn) Read(into []byte) (int, error) {
	n, err := c.TCPConn.Read(into)
	if err == nil && c.mind.now() == resetting {
		return 0, errors.Join(errors.New("in a resetting mood"), c.SetLinger(0), c.Close())
	}
	return n, err
}

// backend is a process that serves, as a test sees it.
type backend struct {
	*daemon.Self

	t       *testing.T
	service string
	control string
}

func startBackend(t *testing.T, service, control string) *backend {
	t.Helper()
	b := &backend{t: t, service: service, control: control}
	b.start()
	return b
}

func (b *backend) start() {
	b.t.Helper()
	b.Self = daemon.StartSelf(b.t, backendVariable, b.service+" "+b.control)
	b.tell("")
}

// tell sets the mood; empty: leaves it. It returns when calls came.
func (b *backend) tell(mood string) []time.Time {
	b.t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+b.control, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{}), grpc.WaitForReady(true)))
	if err != nil {
		b.t.Fatalf("call the backend's control: %v", err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	in, out := []byte(mood), []byte(nil)
	if err := cc.Invoke(ctx, controlMethod, &in, &out); err != nil {
		b.t.Fatalf("call the backend's control: %v", err)
	}
	var arrivals []time.Time
	if err := json.Unmarshal(out, &arrivals); err != nil {
		b.t.Fatalf("read the backend's arrivals: %v", err)
	}
	return arrivals
}
