package peer

import (
	"fmt"
	"os"
	"path/filepath"
)

// guardedConfig is all that guards a backend, and the metrics, with nothing
// recorded: what is paid for it shows beside the bare relay.
const guardedConfig = `listeners: [{name: plain, address: %q}]
backends:
  echo:
    targets: [%q]
    balance: least_request
    limits: {concurrent: 100000}
    breaker: {trip: {consecutive: 5, failure_ratio: 0.5}}
    outlier: {consecutive: 5}
routes: [{name: all, backend: echo}]
capture: {mode: "off"}
metrics: {address: %q}
`

// guardedMetrics is the port of its metrics.
const guardedMetrics = 18993

// prepareGuarded prepares a loomd that guards its backend and counts.
func prepareGuarded(p place) (command, error) {
	file := filepath.Join(p.dir, "guarded.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, guardedConfig, p.listen, p.backend, loopback(guardedMetrics)), 0o600); err != nil {
		return command{}, fmt.Errorf("configure loomd: %w", err)
	}
	return command{path: p.loomd, args: []string{"-quiet", "-admin", "off", "-config", file}, reports: true}, nil
}
