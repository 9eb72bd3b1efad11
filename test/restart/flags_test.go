//go:build linux

package restart

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"loom/test/daemon"
)

// startFlags starts a loomd that has no file, with the flags given.
func startFlags(t *testing.T, flags ...string) *family {
	t.Helper()
	folder := daemon.SocketFolder(t)
	socket := filepath.Join(folder, "admin.sock")
	// Its processes are known by the path of the socket.
	f := &family{t: t, folder: folder, config: socket, socket: socket, listen: daemon.FreeAddress(t)}
	t.Setenv("STATE_DIRECTORY", folder)
	f.Process = program.Start(t, append(flags, "-admin", socket, "-quiet", "-listen", f.listen)...)
	t.Cleanup(f.end)
	f.WaitListening(t, f.listen)
	f.WaitListening(t, "unix:"+socket)
	return f
}

var trustFile = regexp.MustCompile(`Clients trust it by (\S+):`)

// A loomd with a single backend and a certificate of its own reloads, too: who
// trusts it once trusts it always, and the file for that goes with the last
// process.
func TestOwnCertificateCrosses(t *testing.T) {
	f := startFlags(t, "-backend", startBackend(t), "-tls-self-signed")
	named := trustFile.FindStringSubmatch(f.Stderr())
	if named == nil {
		t.Fatalf("loomd does not say how clients trust it:\n%s", f.Stderr())
	}
	text, err := os.ReadFile(named[1])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	secure := grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "localhost"}))
	for range 2 {
		if err := echo(connect(t, f.listen, secure), "secret"); err != nil {
			t.Error(err)
		}
		f.reload()
	}
	if err := echo(connect(t, f.listen, secure), "secret"); err != nil {
		t.Error(err)
	}
	if now, err := os.ReadFile(named[1]); err != nil || !bytes.Equal(now, text) {
		t.Errorf("the file of the certificate is another one, %v", err)
	}
	f.await("the older processes end", func() bool { return len(f.generations()) == 1 })
	f.stop()
	if _, err := os.Lstat(named[1]); !os.IsNotExist(err) {
		t.Errorf("the file of the certificate is left: %v", err)
	}
}

// The demo reloads: its calls go on, each process has backends of its own.
func TestDemoReloads(t *testing.T) {
	f := startFlags(t, "-demo")
	for range 2 {
		f.await("there are calls of the demo", func() bool { return len(f.rows()) > 3 })
		f.reload()
		f.await("the older process ends", func() bool { return len(f.generations()) == 1 })
	}
	before := len(f.rows())
	f.await("further calls are made", func() bool { return len(f.rows()) > before })
	f.stop()
}
