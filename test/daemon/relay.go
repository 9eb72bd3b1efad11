package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// Relay is a loomd that relays every call to one backend.
type Relay struct {
	*Process
	TCP  string // host:port of the h2c listener
	Unix string // path of the Unix-socket listener
}

// StartRelay runs loomd with a TCP and a Unix-socket listener in front of the
// backend at host:port, and returns once both accept.
func (p *Program) StartRelay(t *testing.T, backend string) *Relay {
	t.Helper()
	relay := &Relay{TCP: FreeAddress(t), Unix: filepath.Join(SocketFolder(t), "in.sock")}
	config := WriteConfig(t, fmt.Sprintf(`
listeners:
  - {name: plain, address: %q}
  - {name: local, address: %q}
backends:
  main: {targets: [%q]}
routes:
  - {name: everything, backend: main}
`, relay.TCP, "unix:"+relay.Unix, backend))
	relay.Process = p.Start(t, "-config", config, "-quiet")
	relay.WaitListening(t, relay.TCP)
	relay.WaitListening(t, "unix:"+relay.Unix)
	return relay
}

// WriteConfig writes the text to a file of the test and returns its name.
func WriteConfig(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "loom.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatalf("write the configuration: %v", err)
	}
	return name
}

// FreeAddress returns a loopback address that nobody listens on at the moment.
func FreeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	return listener.Addr().String()
}

// SocketFolder returns a folder with a name short enough for the 107 bytes
// that the address of a Unix socket may have; t.TempDir's may be longer.
func SocketFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long
	if err != nil {
		t.Fatalf("make a folder for sockets: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Errorf("remove the folder of sockets: %v", err)
		}
	})
	return folder
}
