//go:build linux

package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"loom/test/daemon"
)

// What a reload carries in TestReloadTime, and how long it may take from the
// command to the first connection that the new process accepts.
const (
	services  = 1000 // with descriptors; half of them of each backend
	ringCalls = 10000
	soon      = time.Second
)

// TestReloadTime measures how soon the new process serves, with a full ring and
// many cached descriptors to take over. The figure is the best of a few, because
// what else the machine does meanwhile is not loomd's.
func TestReloadTime(t *testing.T) {
	m := boot(t)
	m.install("")
	m.run("install", "-m", "755", "other/loomd", "other/loomctl", "/usr/bin/") // without the race detector
	listen, inspector := daemon.FreeAddress(t), daemon.FreeAddress(t)
	m.configure(fmt.Sprintf(`listeners: [{name: plain, address: %q}]
backends: {first: {targets: [%q]}, second: {targets: [%q]}}
routes:
  - {name: first, match: {path_regex: "^/loom\\.test\\.S0"}, backend: first}
  - {name: second, backend: second}
inspector: {address: %q}
`, listen, serveDescribed(t, 0), serveDescribed(t, services/2), inspector) + quickly)
	m.run("systemctl", "start", "loomd")
	conn := daemon.Dial(t, listen)
	m.fillCache("first", "second")
	callServices(t, conn, ringCalls/services)
	if status := m.run("loomctl", "status"); !strings.Contains(status, fmt.Sprintf("%d of ", ringCalls)) {
		t.Fatalf("the ring is not full:\n%s", status)
	}

	var took []time.Duration
	for range 5 {
		begin := time.Now()
		if !m.reload() {
			t.Fatal("the reload fails")
		}
		took = append(took, m.lastListening().Sub(begin))
	}
	t.Logf("from systemctl reload to serving: %v", took)
	if best := slices.Min(took); best < 0 || best > soon {
		t.Errorf("the reload took %v at best, more than %v", best, soon)
	}
	if status := m.run("loomctl", "status"); !strings.Contains(status, fmt.Sprintf("%d of ", ringCalls)) {
		t.Errorf("calls are lost:\n%s", status)
	}
}

// fillCache has the inspector ask each backend what it offers, and waits until
// the descriptors are in the cache.
func (m *machine) fillCache(backends ...string) {
	m.t.Helper()
	cookies, err := cookiejar.New(nil)
	if err != nil {
		m.t.Fatal(err)
	}
	browser := &http.Client{Jar: cookies, Timeout: patience}
	page := m.run("loomctl", "ui", "-o", "tsv")
	base, _, _ := strings.Cut(page, "/?")
	for _, url := range []string{page, base + "/api/backends/" + backends[0] + "/services", base + "/api/backends/" + backends[1] + "/services"} {
		answer, err := browser.Get(url)
		if err != nil {
			m.t.Fatalf("ask the inspector: %v", err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			m.t.Fatalf("the inspector answers %s", answer.Status)
		}
	}
	if _, token, _ := strings.Cut(page, "token="); strings.Contains(m.journal("-u", "loomd"), token) {
		m.t.Error("the token of the inspector is in the journal")
	}
	m.await("the descriptors are in the cache", func() bool { return m.cached() == services })
}

// cached is how many services have descriptors on disk, where each is written
// when it comes into the cache.
func (m *machine) cached() int {
	m.t.Helper()
	index, err := os.ReadFile(m.path("/var/lib/loomd/descriptors/index.json"))
	if err != nil {
		return 0
	}
	var records []struct {
		Service string `json:"service"`
	}
	if err := json.Unmarshal(index, &records); err != nil {
		m.t.Fatalf("read the index of descriptors: %v", err)
	}
	return len(records)
}

// lastListening is when a loomd last said that it listens.
func (m *machine) lastListening() time.Time {
	m.t.Helper()
	var last time.Time
	for line := range strings.Lines(m.journal("-u", "loomd")) {
		_, text, _ := strings.Cut(line, ": {")
		var entry struct {
			TS  time.Time `json:"ts"`
			Msg string    `json:"msg"`
		}
		if json.Unmarshal([]byte("{"+text), &entry) == nil && entry.Msg == "listening" {
			last = entry.TS
		}
	}
	return last
}

// serviceName is spread over the backends: the first half begins with S0.
func serviceName(i int) string { return fmt.Sprintf("loom.test.S%d%03d", i*2/services, i%(services/2)) }

// callServices makes rounds of calls, one to each service.
func callServices(t *testing.T, conn *grpc.ClientConn, rounds int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var calling sync.WaitGroup
	const callers = 20
	for first := range callers {
		calling.Go(func() {
			for i := first; i < services*rounds; i += callers {
				answer := new(wrapperspb.StringValue)
				err := conn.Invoke(ctx, "/"+serviceName(i%services)+"/Call", wrapperspb.String("hello"), answer, grpc.WaitForReady(true))
				if err != nil || answer.GetValue() != "hello" {
					t.Errorf("a call ends with %v and %v", answer, err)
					return
				}
			}
		})
	}
	calling.Wait()
}

// serveDescribed is a backend of half of the services, from the one given on,
// which it describes by reflection.
func serveDescribed(t *testing.T, first int) string {
	t.Helper()
	files := new(protoregistry.Files)
	all := described{}
	for i := first; i < first+services/2; i++ {
		file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
			Name: new(serviceName(i) + ".proto"), Package: new("loom.test"), Syntax: new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{
				Name: new(fmt.Sprintf("M%04d", i)),
				Field: []*descriptorpb.FieldDescriptorProto{{
					Name: new("text"), Number: new(int32(1)), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
				}},
			}},
			Service: []*descriptorpb.ServiceDescriptorProto{{
				Name: new(strings.TrimPrefix(serviceName(i), "loom.test.")),
				Method: []*descriptorpb.MethodDescriptorProto{{
					Name: new("Call"), InputType: new(fmt.Sprintf(".loom.test.M%04d", i)), OutputType: new(fmt.Sprintf(".loom.test.M%04d", i)),
				}},
			}},
		}, files)
		if err == nil {
			err = files.RegisterFile(file)
		}
		if err != nil {
			t.Fatalf("describe a service: %v", err)
		}
		all[serviceName(i)] = grpc.ServiceInfo{Metadata: file.Path()}
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		message := new(wrapperspb.StringValue) // as the messages that are described
		if err := stream.RecvMsg(message); err != nil {
			return err
		}
		return stream.SendMsg(message)
	}))
	grpc_reflection_v1.RegisterServerReflectionServer(server, reflection.NewServerV1(reflection.ServerOptions{Services: all, DescriptorResolver: files}))
	return daemon.Serve(t, server)
}

// described names the services.
type described map[string]grpc.ServiceInfo

// GetServiceInfo is what reflection asks for.
func (d described) GetServiceInfo() map[string]grpc.ServiceInfo { return d }
