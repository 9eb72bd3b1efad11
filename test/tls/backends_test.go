package tls

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// startSecure is startServer over TLS, for clients of clients, if there are any.
func startSecure(t *testing.T, p daemon.Pair, clients *daemon.Authority) string {
	t.Helper()
	cfg := &tls.Config{Certificates: []tls.Certificate{p.Load(t)}}
	if clients != nil {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool()
	}
	return startServer(t, grpc.Creds(credentials.NewTLS(cfg)))
}

// Backends over TLS, and what callers are told when it cannot be.
func TestBackends(t *testing.T) {
	a, other := daemon.NewAuthority(t, "test"), daemon.NewAuthority(t, "other")
	local := a.For("127.0.0.1", "users.test")
	mine := certificate(a.For("loomd.test"))
	trust := fmt.Sprintf("ca_file: %q", a.File)
	for name, tt := range map[string]struct {
		server string
		tls    string
		want   string // of what callers are told; empty: it works
	}{
		"by its address":    {startSecure(t, local, nil), trust, ""},
		"by its name":       {startSecure(t, a.For("users.test"), nil), trust + ", server_name: users.test", ""},
		"mTLS":              {startSecure(t, local, a), trust + ", " + mine, ""},
		"anything goes":     {startSecure(t, other.For("nobody.test"), nil), "insecure_skip_verify: true", ""},
		"no certificate":    {startSecure(t, local, a), trust, "it wants a client certificate; see cert_file and key_file"},
		"wrong certificate": {startSecure(t, local, other), trust + ", " + mine, "it does not accept our client certificate"},
		"wrong name":        {startSecure(t, a.For("users.test"), nil), trust, "its certificate is for users.test, not for 127.0.0.1; see server_name"},
		"unknown authority": {startSecure(t, other.For("127.0.0.1"), nil), trust, `signed by the authority "CN=other", which loomd does not trust; see ca_file`},
		"expired":           {startSecure(t, a.Issue(time.Now().Add(-time.Minute), "127.0.0.1"), nil), trust, "the certificate expired on "},
		"clear text":        {startServer(t), trust, "it does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			address := daemon.FreeAddress(t)
			process := start(t, address, strings.Replace(edge(address, "", plain(tt.server)+fmt.Sprintf(", tls: {%s}", tt.tls)), ", tls: {}", "", 1))
			conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{})))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			got, err := ask(conn, "hello")
			if tt.want == "" {
				if err != nil || got != ":hello" {
					t.Errorf("%q and %v", got, err)
				}
			} else if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("callers are told %v, want %q", err, tt.want)
			}
			if warned := strings.Contains(process.Stderr(), "insecure_skip_verify"); warned != strings.Contains(tt.tls, "insecure") {
				t.Errorf("a warning in the log: %v", warned)
			}
		})
	}
}

// -check reads the files, and says where a mistake is.
func TestCheckReadsCertificates(t *testing.T) {
	a := daemon.NewAuthority(t, "test")
	good, old := a.For("loom.test"), a.Issue(time.Now().Add(-time.Minute), "loom.test")
	for name, tt := range map[string]struct {
		pair daemon.Pair
		code int
		want string
	}{
		"right":     {good, 0, "ok\n"},
		"expired":   {old, 5, `loom.yaml:3:\d+: .*: the certificate expired on `},
		"other key": {daemon.Pair{Cert: good.Cert, Key: old.Key}, 5, `loom.yaml:3:\d+: the key in .* does not belong to the certificate in `},
		"not there": {daemon.Pair{Cert: good.Cert + ".gone", Key: good.Key}, 5, `loom.yaml:3:\d+: open .*gone: no such file`},
	} {
		text := edge("127.0.0.1:0", certificate(tt.pair), plain("localhost:1"))
		process := loomd.Start(t, "-check", "-config", daemon.WriteConfig(t, text))
		if code := process.WaitExit(t, 20*time.Second); code != tt.code {
			t.Errorf("%s: exit code %d, want %d", name, code, tt.code)
		}
		if out := process.Stdout() + process.Stderr(); !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("%s: it says %s", name, out)
		}
	}
}

// A certificate that is made for the run is trusted by the file that loomd
// names, and both are gone afterwards.
func TestSelfSigned(t *testing.T) {
	address := daemon.FreeAddress(t)
	process := loomd.Start(t, "-backend", startServer(t), "-listen", address, "-tls-self-signed")
	process.WaitListening(t, address)
	var found []string
	process.Await(t, "it says how clients trust it", func() bool {
		found = regexp.MustCompile(`grpcurl -cacert (\S+) (\S+) list\n`).FindStringSubmatch(process.Stderr())
		return len(found) == 3
	})
	if found[2] != address {
		t.Fatalf("it says %s", process.Stderr())
	}
	info, err := os.Stat(found[1])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file is %v and %v, want mode 0600", info, err)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		trust, err := credentials.NewClientTLSFromFile(found[1], name)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(trust), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{})))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ask(conn, "hello"); err != nil || got != ":hello" {
			t.Errorf("%s: %q and %v", name, got, err)
		}
		_ = conn.Close()
	}
	process.Signal(t, os.Interrupt)
	process.WaitExit(t, 20*time.Second)
	if _, err := os.Stat(found[1]); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}

// With a file, the file names the certificates.
func TestSelfSignedGoesWithoutAFile(t *testing.T) {
	process := loomd.Start(t, "-config", "loom.yaml", "-tls-self-signed")
	if code := process.WaitExit(t, 20*time.Second); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if !strings.Contains(process.Stderr(), "listeners[].tls") {
		t.Errorf("it says %s", process.Stderr())
	}
}

// The demo's own callers trust its certificate.
func TestDemoOverTLS(t *testing.T) {
	process := loomd.Start(t, "-demo", "-listen", daemon.FreeAddress(t), "-tls-self-signed")
	process.Await(t, "calls of the demo succeed", func() bool { return strings.Contains(process.Stdout(), " OK ") })
}

// The caller that a load balancer names is the one that is shown.
func TestProxyHeader(t *testing.T) {
	a := daemon.NewAuthority(t, "test")
	address := daemon.FreeAddress(t)
	text := strings.Replace(edge(address, certificate(a.For("loom.test")), plain(startServer(t))), "identity_metadata", "proxy_protocol: true, identity_metadata", 1)
	process := start(t, address, text)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("PROXY TCP4 192.0.2.7 192.0.2.8 5000 443\r\n")); err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(conn, &tls.Config{RootCAs: a.Pool(), ServerName: "loom.test", NextProtos: []string{"h2"}})
	cc := over(t, secure)
	if _, err := ask(cc, "hello"); err != nil {
		t.Fatal(err)
	}
	process.Await(t, "the line of the call names the caller", func() bool { return strings.Contains(process.Stdout(), " 192.0.2.7:5000 ") })
}
