package peer

import (
	"errors"
	"runtime"
	"runtime/debug"
)

// ownRole prepares a peer that is a role of the bench's own executable.
func ownRole(name string) func(place) (command, error) {
	return func(p place) (command, error) {
		return command{
			path:    p.self,
			args:    []string{"serve", name, "-listen", p.listen, "-backend", p.backend},
			reports: true,
		}, nil
	}
}

func goVersion(place) (string, error) { return runtime.Version(), nil }

func grpcVersion(place) (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", errors.New("the executable holds no build information")
	}
	for _, m := range info.Deps {
		if m.Path == "google.golang.org/grpc" {
			return "grpc-go " + m.Version, nil
		}
	}
	return "", errors.New("the executable was built without grpc-go")
}
