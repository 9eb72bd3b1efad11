package peer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// haproxyConfig: HTTP/2 without TLS on both sides, upstream connections shared
// by all, no logs. The windows are those of the other peers; the default of
// 64 KiB would make large messages wait.
const haproxyConfig = `global
  nbthread 2
  maxconn 5000
  tune.h2.initial-window-size 1048576
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
frontend down
  bind %s proto h2
  default_backend up
backend up
  http-reuse always
  server echo %s proto h2
`

func prepareHAProxy(p place) (command, error) {
	return haproxy(p, fmt.Appendf(nil, haproxyConfig, p.listen, p.backend))
}

func haproxy(p place, config []byte) (command, error) {
	path, err := haproxyPath()
	if err != nil {
		return command{}, err
	}
	file := filepath.Join(p.dir, "haproxy.cfg")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return command{}, fmt.Errorf("configure haproxy: %w", err)
	}
	return command{path: path, args: []string{"-db", "-f", file}}, nil
}

func haproxyPath() (string, error) { return find("haproxy", "haproxy") }

func haproxyVersion(place) (string, error) {
	path, err := haproxyPath()
	if err != nil {
		return "", err
	}
	return firstLine(path, "-v")
}

// find looks for a program, also where Debian keeps daemons.
func find(program, debianPackage string) (string, error) {
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: apt-get install %s", program, debianPackage)
}
