//go:build linux

package restart

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/rawbytes"
)

// reason is that of the ErrorInfo of an error.
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "loom" {
			return info.GetReason()
		}
	}
	return ""
}

// wantCutOff waits until the stream ends because its process stops.
func (s *stream) wantCutOff() {
	s.t.Helper()
	_, err := rawbytes.Receive(s.s)
	if status.Code(err) != codes.Unavailable || reason(err) != "DRAIN_TIMEOUT" {
		s.t.Errorf("the stream ended with %v, reason %q", err, reason(err))
	}
}

// A stream that outlives restart.drain ends with a status that says why, and
// until then loomctl status shows what its process waits for.
func TestDrainTimeout(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 2s, probation: 100ms}\n")
	long := startStream(t, f.listen)
	waiting := startWaiting(t, f.listen)
	f.reload()
	older := f.generations()[1]
	if older.Number != 1 || older.PID != f.PID() || older.Serving {
		t.Errorf("the older process is %+v", older)
	}
	f.await("the older process tells of its calls", func() bool {
		all := f.generations()
		return len(all) == 2 && all[1].Calls == 2
	})
	if shown := f.ctl("status"); !strings.Contains(shown, "2 calls go on, for ") {
		t.Errorf("status does not say why it lives:\n%s", shown)
	}
	long.exchange(100)
	began := time.Now()
	long.wantCutOff()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := <-waiting; status.Code(err) != codes.Unavailable || reason(err) != "DRAIN_TIMEOUT" {
		t.Errorf("the call without an answer ended with %v", err)
	}
	f.await("the older process ends", func() bool { return len(f.generations()) == 1 })
}

// startWaiting makes a call whose answer does not begin, and tells how it ends.
func startWaiting(t *testing.T, address string) <-chan error {
	t.Helper()
	s, err := connect(t, address).NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, sumMethod)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := rawbytes.Receive(s)
		ended <- err
	}()
	return ended
}

// With SIGTERM the process that serves has the older ones end, and waits for
// them.
func TestTermEndsAll(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 60s, probation: 100ms}\n")
	first := startStream(t, f.listen)
	f.reload()
	second := startStream(t, f.listen)
	f.reload()
	serving := f.serving()
	if err := syscall.Kill(serving.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.await("nobody listens", func() bool {
		nc, err := net.Dial("tcp", f.listen)
		if err == nil {
			_ = nc.Close()
		}
		return err != nil
	})
	first.exchange(100)
	first.end()
	f.await("the first process ends", func() bool { return len(f.alive()) == 2 })
	second.exchange(100)
	if len(f.alive()) != 2 {
		t.Errorf("processes %v are left, while generation 2 has a call", f.alive())
	}
	began := time.Now()
	second.end()
	if !f.ended() || time.Since(began) > 5*time.Second {
		t.Errorf("processes %v are left %v after the last call", f.alive(), time.Since(began))
	}
	if _, err := os.Lstat(f.socket); err == nil {
		t.Error("the admin socket is left")
	}
}

// A second SIGTERM cuts off what all of them still have.
func TestTermTwice(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 60s, probation: 100ms}\n")
	first := startStream(t, f.listen)
	f.reload()
	second := startStream(t, f.listen)
	pid := f.serving().PID
	for range 2 {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	second.wantCutOff()
	first.wantCutOff()
	if !f.ended() {
		t.Errorf("processes %v are left", f.alive())
	}
}

// SIGTERM within the probation ends both processes.
func TestTermWithinProbation(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 5s, probation: 20s}\n")
	reloading := f.follow("reload")
	f.await("the fresh process serves", func() bool { return strings.Contains(reloading.printed(), "probation") })
	f.Signal(t, syscall.SIGTERM)
	if !f.ended() {
		t.Fatalf("processes %v are left", f.alive())
	}
	if code := f.WaitExit(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// More older processes than restart.generations there are not: the oldest has
// to end within seconds, with a status for its calls; the others go on.
func TestGenerationsAreBounded(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 120s, probation: 100ms, generations: 1}\n")
	first := startStream(t, f.listen)
	f.reload()
	second := startStream(t, f.listen)
	second.exchange(10)
	first.exchange(10)
	f.reload()
	began := time.Now()
	first.wantCutOff()
	if took := time.Since(began); took < 3*time.Second || took > 10*time.Second {
		t.Errorf("the oldest was cut off after %v", took)
	}
	f.await("two processes are left", func() bool { return len(f.generations()) == 2 })
	second.exchange(10)
	second.end()
	f.await("one process is left", func() bool { return len(f.generations()) == 1 })
}

// A fresh process that ends within its probation is none: the old one accepts
// again, loomctl says so, and the next reload works.
func TestProbation(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 5s, probation: 20s}\n")
	long := startStream(t, f.listen)
	told := make(chan string, 1)
	go func() {
		_, stderr, code := f.tryReload()
		told <- fmt.Sprintf("%d: %s", code, stderr)
	}()
	f.await("the fresh process serves", func() bool { return f.serves(2) })
	if _, stderr, code := f.tryReload(); code != 1 || !strings.Contains(stderr, "another reload is under way") {
		t.Errorf("a reload within the probation: %d, %s", code, stderr)
	}
	if err := syscall.Kill(f.serving().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if said := <-told; !strings.HasPrefix(said, "1: ") || !strings.Contains(said, "this one accepts again") {
		t.Errorf("loomctl reload ended with %s", said)
	}
	if g := f.serving(); g.Number != 1 || g.PID != f.PID() {
		t.Errorf("%+v serves", g)
	}
	if err := echo(connect(t, f.listen), "again"); err != nil {
		t.Error(err)
	}
	long.exchange(10)
	after := f.follow("reload")
	f.await("the next one serves", func() bool { return strings.Contains(after.printed(), "serves as generation 2") })
	long.end()
}

// A configuration that cannot be read stops a reload, with the place of the
// mistake, and nothing else.
func TestReloadOfBadConfiguration(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 5s, probation: 100ms}\n")
	good, err := os.ReadFile(f.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.config, append(good, "limits: {streams: many}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, stderr, code := f.tryReload()
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, f.config+":5:19: ") {
			t.Errorf("ended with %d: %s", code, stderr)
		}
	}
	if err := echo(connect(t, f.listen), "still here"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(f.config, good, 0o600); err != nil {
		t.Fatal(err)
	}
	f.reload()
}

// Clients that say nothing, in clear text or before a TLS handshake, do not keep
// an old process from ending.
func TestSilentClients(t *testing.T) {
	h := startHouse(t, startBackend(t))
	for _, address := range []string{h.listen, h.secure} {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, "unix", h.local)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	h.reload()
	began := time.Now()
	h.await("the older process ends", func() bool { return len(h.generations()) == 1 })
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	// What there is to read by then is an orderly end.
	if _, err := io.ReadAll(nc); err != nil {
		t.Errorf("the silent client reads %v", err)
	}
}
