package backend_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"loom/internal/loomtest"
)

// nameServer answers queries for addresses over UDP.
type nameServer struct {
	conn    net.PacketConn
	serving sync.WaitGroup

	mu      sync.Mutex
	code    dnsmessage.RCode // guarded by mu
	address [4]byte          // guarded by mu
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn}
	s.serving.Go(s.serve)
	t.Cleanup(func() {
		_ = conn.Close()
		s.serving.Wait()
	})
	return s
}

// answer sets what is answered from now on.
func (s *nameServer) answer(code dnsmessage.RCode, address [4]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code, s.address = code, address
}

func (s *nameServer) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		reply, err := s.reply(&query)
		if err == nil {
			_, _ = s.conn.WriteTo(reply, from) // one that is gone asks no more
		}
	}
}

func (s *nameServer) reply(query *dnsmessage.Message) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := query.Questions[0]
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true, RCode: s.code},
		Questions: query.Questions,
	}
	if s.code == dnsmessage.RCodeSuccess && q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: s.address},
		}}
	}
	return m.Pack()
}

// A name that a real name server resolves: not at first, then to an endpoint,
// then to another, then not any more.
func TestNameServer(t *testing.T) {
	server := startNameServer(t)
	server.answer(dnsmessage.RCodeNameError, [4]byte{})
	uri := "dns://" + server.conn.LocalAddr().String() + "/orders.test.:9000"
	r := newRig(t, targets(uri))
	eventually(t, "a name that does not exist is reported", func() bool {
		s := r.call("early").state()
		return strings.HasPrefix(s, "refused: resolve "+uri+": ")
	})

	server.answer(dnsmessage.RCodeSuccess, [4]byte{10, 0, 0, 1})
	up := wantCallAt(t, r, "10.0.0.1:9000")

	server.answer(dnsmessage.RCodeSuccess, [4]byte{10, 0, 0, 2})
	up.Close()
	up = wantCallAt(t, r, "10.0.0.2:9000")

	// No answer is no news, and neither is one without an address. What is
	// used is shown as stale.
	for _, code := range []dnsmessage.RCode{dnsmessage.RCodeServerFailure, dnsmessage.RCodeNameError} {
		server.answer(code, [4]byte{})
		up.Close()
		up = wantCallAt(t, r, "10.0.0.2:9000")
		eventually(t, "the name is stale", func() bool { return len(r.backend.Status().Stale) == 1 })
	}
	stale := r.backend.Status().Stale[0]
	if since := time.Since(stale.Since); stale.Target != uri || since < 0 || since > time.Minute || !strings.HasPrefix(stale.Why, "resolve "+uri+": ") {
		t.Fatalf("stale: %+v", stale)
	}
	server.answer(dnsmessage.RCodeSuccess, [4]byte{10, 0, 0, 3})
	up.Close()
	wantCallAt(t, r, "10.0.0.3:9000")
	if all := r.backend.Status().Stale; len(all) > 0 {
		t.Fatalf("stale: %+v", all)
	}
}

// wantCallAt calls until a call is placed at the endpoint, and returns it.
func wantCallAt(t *testing.T, r *rig, endpoint string) *loomtest.Upstream {
	t.Helper()
	before := r.dialled(endpoint)
	eventually(t, "a call goes to "+endpoint, func() bool {
		if r.dialled(endpoint) == before {
			r.call("c")
		}
		return r.dialled(endpoint) > before
	})
	return r.accept(endpoint)
}

// eventually waits for what real sockets and a real clock bring about.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after 30 s: %s", what)
		}
	}
}
