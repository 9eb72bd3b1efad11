package tls

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"loom/test/daemon"
)

// load makes calls until stop is called, over clients that connect anew every
// now and then, and returns how many calls there were. None may fail.
func load(t *testing.T, address string, cfg *tls.Config) (stop func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var calls atomic.Int64
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			var conn *grpc.ClientConn
			for n := 0; ctx.Err() == nil; n++ {
				if n%(20+i) == 0 {
					if conn != nil {
						_ = conn.Close()
					}
					conn = dial(t, address, cfg)
				}
				question := fmt.Sprint(i, "-", n)
				if got, err := ask(conn, question); err != nil || !strings.HasSuffix(got, ":"+question) {
					t.Errorf("call %s: %q and %v", question, got, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	return func() int64 {
		cancel()
		running.Wait()
		return calls.Load()
	}
}

// shown is the certificate that loomd shows now.
func shown(t *testing.T, address string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "loom.test", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatalf("look at the certificate: %v", err)
	}
	defer func() { _ = conn.Close() }()
	return strings.Join(conn.ConnectionState().PeerCertificates[0].DNSNames, " ")
}

// Certificates are swapped under load, and broken in between: no call fails,
// and new connections see the new one.
func TestCertificatesChangeUnderLoad(t *testing.T) {
	a := daemon.NewAuthority(t, "test")
	pair := a.For("loom.test", "first.test")
	address := daemon.FreeAddress(t)
	process := start(t, address, edge(address, certificate(pair), plain(startServer(t))))
	stop := load(t, address, &tls.Config{RootCAs: a.Pool(), ServerName: "loom.test"})
	for _, version := range []string{"second.test", "third.test"} {
		a.Reissue(pair, time.Now().Add(time.Hour), "loom.test", version)
		process.Await(t, "clients see "+version, func() bool { return shown(t, address) == "loom.test "+version })
	}
	key, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pair.Key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	process.Await(t, "the log says that the key is broken", func() bool {
		shown(t, address)
		return strings.Contains(process.Stderr(), "PRIVATE KEY")
	})
	time.Sleep(3 * time.Second) // it would say it again
	if got := shown(t, address); got != "loom.test third.test" {
		t.Errorf("with a broken key clients see %s", got)
	}
	if n := strings.Count(process.Stderr(), "stays in force"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if err := os.WriteFile(pair.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := stop(); n < 100 {
		t.Errorf("only %d calls were made", n)
	} else {
		t.Logf("%d calls while certificates changed", n)
	}
}

// With a greatest age, connections end and others take their place, without a
// failed call.
func TestConnectionsAgeUnderLoad(t *testing.T) {
	a := daemon.NewAuthority(t, "test")
	address := daemon.FreeAddress(t)
	text := strings.Replace(edge(address, certificate(a.For("loom.test")), plain(startServer(t))),
		"identity_metadata", "max_connection_age: 1s, max_connection_age_grace: 10s, identity_metadata", 1)
	process := start(t, address, text)
	conn := dial(t, address, &tls.Config{RootCAs: a.Pool(), ServerName: "loom.test"})
	end := time.Now().Add(5 * time.Second)
	n := 0
	for ; time.Now().Before(end); n++ {
		if _, err := ask(conn, "hello"); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
	}
	callers := map[string]bool{}
	for line := range strings.Lines(process.Stdout()) {
		for word := range strings.FieldsSeq(line) {
			if strings.HasPrefix(word, "127.0.0.1:") {
				callers[word] = true
			}
		}
	}
	if len(callers) < 4 || len(callers) > 8 {
		t.Errorf("%d calls in 5 s came over %d connections, each a second old at most", n, len(callers))
	}
}
