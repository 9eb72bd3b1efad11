package peer

import (
	"fmt"
	"slices"
	"strings"

	"loom/bench/internal/certificate"
	"loom/bench/internal/role"
)

// The names of the peers.
const (
	Direct = "direct"
	TCP    = "tcp"
	Loomd  = "loomd"
	// Recording is a loomd that records all calls.
	Recording = "loomd-recording"
	// Guarded is one that records nothing, and has a breaker, balances, keeps
	// limits and counts for Prometheus.
	Guarded = "loomd-guarded"
	// Watched is one that somebody watches besides.
	Watched = "loomd-watched"

	// SecureLoomd and SecureHAProxy speak TLS on both sides.
	SecureLoomd   = "loomd-tls"
	SecureHAProxy = "haproxy-tls"

	HAProxy = "haproxy"
	Nginx   = "nginx"
	GRPCGo  = "grpc-go"
)

// Names lists all peers in the order of the table.
func Names() []string {
	return []string{Direct, TCP, Loomd, Guarded, Recording, Watched, HAProxy, Nginx, GRPCGo, SecureLoomd, SecureHAProxy}
}

// Pick returns the peers named in a comma-separated list, all for an empty one,
// in the order of Names.
func Pick(list string) ([]string, error) {
	if list == "" {
		return Names(), nil
	}
	wanted := strings.Split(list, ",")
	for _, name := range wanted {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no peer %q; peers are %s", name, strings.Join(Names(), ", "))
		}
	}
	return slices.DeleteFunc(Names(), func(name string) bool { return !slices.Contains(wanted, name) }), nil
}

// place is what a peer needs to know about the machine to start.
type place struct {
	dir     string // for files of its own
	listen  string
	backend string
	self    string // executable of the bench
	loomd   string // executable of loomd
	tls     certificate.Files
}

// command is how a peer is started.
type command struct {
	path    string
	args    []string
	reports bool // answers SIGUSR1 with a line of JSON
	watched bool // its inspector is to be open
}

// recipe is how a peer comes to be.
type recipe struct {
	port    int
	prepare func(place) (command, error)
	version func(place) (string, error)
	secure  bool // it speaks TLS on both sides
}

// Ports of the backend, in clear text and over TLS.
const (
	backendPort       = 18980
	secureBackendPort = 18990
)

// recipes holds every peer that has a process. The ports are fixed, below the
// range from which the kernel takes ports for outgoing connections.
func recipes() map[string]recipe {
	return map[string]recipe{
		TCP:           {port: 18981, prepare: ownRole(role.TCPProxy), version: goVersion},
		Loomd:         {port: 18982, prepare: prepareLoomd, version: loomdVersion},
		Guarded:       {port: 18994, prepare: prepareGuarded, version: loomdVersion},
		Recording:     {port: 18986, prepare: prepareRecording, version: loomdVersion},
		Watched:       {port: 18987, prepare: prepareWatched, version: loomdVersion},
		HAProxy:       {port: 18983, prepare: prepareHAProxy, version: haproxyVersion},
		Nginx:         {port: 18984, prepare: prepareNginx, version: nginxVersion},
		GRPCGo:        {port: 18985, prepare: ownRole(role.GRPCProxy), version: grpcVersion},
		SecureLoomd:   {port: 18988, prepare: prepareSecureLoomd, version: loomdVersion, secure: true},
		SecureHAProxy: {port: 18989, prepare: prepareSecureHAProxy, version: haproxyVersion, secure: true},
	}
}
