package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"loom/internal/capture"
	"loom/internal/decode"
	"loom/internal/reflectcache"
)

// schemas is what decoding and redaction know of the backends' messages.
type schemas struct {
	// Immutable.
	now     func() *inForce
	cache   *reflectcache.Cache
	decoder *decode.Decoder

	redactor atomic.Pointer[decode.Redactor]
	found    sync.Map // names of backends whose endpoints have been found once
}

func newSchemas(now func() *inForce, o Options) *schemas {
	s := &schemas{now: now}
	s.redactor.Store(decode.NewRedactor(now().cfg.Capture.Redact.Fields))
	s.decoder = decode.New(decode.DefaultLimits(), s.redactor.Load())
	s.cache = reflectcache.New(reflectcache.Options{
		Dial:     s.dial,
		Metadata: s.metadata,
		Files:    s.files,
		TTL:      s.ttl,
		Log:      o.Log.Named("reflection"),
		Dir:      o.stateFolder("descriptors"),
		Identity: s.identity,
	})
	return s
}

// dial opens a gRPC client to a backend, past the relay.
func (s *schemas) dial(_ context.Context, name string) (grpc.ClientConnInterface, io.Closer, error) {
	f := s.now()
	b := f.cfg.Backend(name)
	if b == nil {
		return nil, nil, fmt.Errorf("there is no backend %q", name)
	}
	secure := insecure.NewCredentials()
	if c := f.tls[name]; c != nil {
		secure = credentials.NewTLS(c.Config("")) // grpc fills in the host of the target
	}
	conn, err := grpc.NewClient(b.Targets[0].Target, grpc.WithTransportCredentials(secure),
		grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, nil, fmt.Errorf("connect to backend %q: %w", name, err)
	}
	return conn, conn, nil
}

func (s *schemas) metadata(name string) metadata.MD {
	md := metadata.MD{}
	if b := s.now().cfg.Backend(name); b != nil && b.Reflection != nil {
		for _, f := range b.Reflection.Metadata {
			md.Append(f.Name, f.Value)
		}
	}
	return md
}

func (s *schemas) files(name string) []string {
	if b := s.now().cfg.Backend(name); b != nil {
		return b.Descriptors
	}
	return nil
}

// identity is where a backend is and how it is asked for its descriptors. What
// it is asked with may be secret, so this is a hash.
func (s *schemas) identity(name string) string {
	b := s.now().cfg.Backend(name)
	if b == nil {
		return ""
	}
	text, err := json.Marshal([]any{b.Targets, b.TLS, b.Reflection})
	if err != nil {
		return "" // not possible: it is plain data
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// endpointsMoved has what is known of a backend be asked anew, because its
// endpoints are others. Those that are found first are no others: only what
// could not be had without them is asked again.
func (s *schemas) endpointsMoved(name string) {
	if _, found := s.found.LoadOrStore(name, true); found {
		s.cache.Drop(name)
	} else {
		s.cache.Retry(name)
	}
}

// ttl is how long the descriptors of a backend count as fresh; 0 if nothing is
// said of it.
func (s *schemas) ttl(name string) time.Duration {
	if b := s.now().cfg.Backend(name); b != nil && b.Reflection != nil {
		return time.Duration(b.Reflection.TTL)
	}
	return 0
}

// withheldUnknown is said of a message that may hold a field which must not be
// stored, as long as nobody knows its type.
const withheldUnknown = "its type is not known, and fields are configured that must not be stored"

// rules says what must not be stored of the messages of a method. It asks for
// what it does not know, and does not wait.
func (s *schemas) rules(backend, path string) (request, response capture.Rule) {
	m, known := s.cache.Lookup(backend, path)
	if !known || m == nil || m.Desc == nil {
		if s.redactor.Load().HasFields() {
			return capture.Rule{Withhold: withheldUnknown}, capture.Rule{Withhold: withheldUnknown}
		}
		return request, response
	}
	return s.rule(m.Desc.Input(), m.Types), s.rule(m.Desc.Output(), m.Types)
}

// rule is for messages of one type. One whose file the backend does not have is
// as good as unknown.
func (s *schemas) rule(desc protoreflect.MessageDescriptor, types decode.Resolver) capture.Rule {
	if desc.IsPlaceholder() && s.redactor.Load().HasFields() {
		return capture.Rule{Withhold: withheldUnknown}
	}
	if p := s.redactor.Load().PlanWith(desc, types); p != nil {
		return capture.Rule{Body: p}
	}
	return capture.Rule{}
}
