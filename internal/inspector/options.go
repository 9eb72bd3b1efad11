package inspector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"go.uber.org/zap"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"loom/internal/decode"
	"loom/internal/reflectcache"
	"loom/internal/replay"
)

// minToken is how long a token must be: 16 characters are beyond guessing over
// a network if they were chosen by chance.
const minToken = 16

// Options configures a Server. Store, Decoder, Schemas, Address and Log are
// required.
type Options struct {
	RecordsOptions

	// ControlBreaker does open, close, auto or reset to the breaker of a
	// backend, and says why not; nil: breakers cannot be controlled.
	ControlBreaker func(backend, action string) error
	// DrainEndpoint has an endpoint of a backend take no new calls, or take them
	// again, and says why not; nil: endpoints cannot be drained.
	DrainEndpoint func(backend, endpoint string, drained bool) error

	// Address is the host:port that the listener of Serve listens on, as a
	// browser would name it.
	Address string
	// TLS says that the listener of Serve speaks TLS.
	TLS bool
	// Token opens the inspector; empty: New makes one.
	Token string
	// AllowHosts are further names by which a browser may reach it, each with
	// or without a port.
	AllowHosts []string

	Info   Info
	Panels Panels
	Log    *zap.Logger
}

// Schemas tells what messages mean: *reflectcache.Cache.
type Schemas interface {
	Method(ctx context.Context, backend, path string) (*decode.Method, error)
	Service(ctx context.Context, backend, service string) (protoreflect.ServiceDescriptor, decode.Source, error)
	Services(ctx context.Context, backend string) ([]string, error)
	Types(backend string) decode.Resolver
	Changes() []reflectcache.Change
	Problems(backend string) []string
	FileSet(backend string, services ...string) (*descriptorpb.FileDescriptorSet, error)
}

// Replayer makes a call: *replay.Replayer.
type Replayer interface {
	Do(ctx context.Context, q replay.Request) (replay.Answer, error)
}

func (o *Options) validate() error {
	switch {
	case o.Store == nil || o.Decoder == nil || o.Schemas == nil || o.Log == nil:
		return errors.New("inspector: Store, Decoder, Schemas and Log are required")
	case o.Token != "" && len(o.Token) < minToken:
		return fmt.Errorf("inspector: the token has %d characters, it needs at least %d", len(o.Token), minToken)
	}
	return o.mayServe(o.Address)
}

// mayServe refuses an address that others reach unless they need a token over
// an encrypted connection.
func (o *Options) mayServe(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("inspector: read the address: %w", err)
	}
	if loopback(host) || o.TLS && o.Token != "" {
		return nil
	}
	return fmt.Errorf("inspector: address %s can be reached from other machines: "+
		"listen on 127.0.0.1, or configure both TLS and a token", address)
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
