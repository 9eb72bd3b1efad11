package peer

import (
	"fmt"
	"slices"
	"strings"

	"loom/bench/internal/role"
)

// The names of the peers.
const (
	Direct = "direct"
	TCP    = "tcp"
	Loomd  = "loomd"
	// Recording is a loomd that records all calls.
	Recording = "loomd-recording"
	// Watched is one that somebody watches besides.
	Watched = "loomd-watched"

	HAProxy = "haproxy"
	Nginx   = "nginx"
	GRPCGo  = "grpc-go"
)

// Names lists all peers in the order of the table.
func Names() []string {
	return []string{Direct, TCP, Loomd, Recording, Watched, HAProxy, Nginx, GRPCGo}
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
}

const backendPort = 18980

// recipes holds every peer that has a process. The ports are fixed, below the
// range from which the kernel takes ports for outgoing connections.
func recipes() map[string]recipe {
	return map[string]recipe{
		TCP:       {18981, ownRole(role.TCPProxy), goVersion},
		Loomd:     {18982, prepareLoomd, loomdVersion},
		Recording: {18986, prepareRecording, loomdVersion},
		Watched:   {18987, prepareWatched, loomdVersion},
		HAProxy:   {18983, prepareHAProxy, haproxyVersion},
		Nginx:     {18984, prepareNginx, nginxVersion},
		GRPCGo:    {18985, ownRole(role.GRPCProxy), grpcVersion},
	}
}
