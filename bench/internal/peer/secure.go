package peer

import (
	"fmt"
	"os"
	"path/filepath"

	"loom/bench/internal/role"
)

// The peers with TLS on both sides speak version 1.3 with AES-128-GCM, which is
// what Go chooses; the others have to be told.

// secureLoomdConfig is loomd with TLS on both sides, and nothing that watches.
const secureLoomdConfig = `listeners:
  - {name: down, address: %q, tls: {cert_file: %q, key_file: %q}}
backends:
  echo: {targets: [%q], tls: {ca_file: %q}}
routes:
  - {name: all, backend: echo}
capture: {mode: "off"}
`

func prepareSecureLoomd(p place) (command, error) {
	file := filepath.Join(p.dir, "loom.yaml")
	text := fmt.Appendf(nil, secureLoomdConfig, p.listen, p.tls.Cert, p.tls.Key, p.backend, p.tls.Cert)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return command{}, fmt.Errorf("configure loomd: %w", err)
	}
	return command{path: p.loomd, args: []string{"-quiet", "-admin", "off", "-config", file}, reports: true}, nil
}

// secureHAProxyConfig is haproxyConfig with TLS on both sides.
const secureHAProxyConfig = `global
  nbthread 2
  maxconn 5000
  tune.h2.initial-window-size 1048576
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-options ssl-min-ver TLSv1.3
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
frontend down
  bind %s ssl crt %s alpn h2
  default_backend up
backend up
  http-reuse always
  server echo %s ssl ca-file %s alpn h2
`

func prepareSecureHAProxy(p place) (command, error) {
	return haproxy(p, fmt.Appendf(nil, secureHAProxyConfig, p.listen, p.tls.Both, p.backend, p.tls.Cert))
}

// secureEcho is the backend over TLS.
func secureEcho(p place) (command, error) {
	return command{path: p.self, args: []string{"serve", role.Echo, "-listen", p.listen, "-cert", p.tls.Cert, "-key", p.tls.Key}, reports: true}, nil
}
