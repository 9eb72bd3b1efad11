package relay

import (
	"fmt"
	"testing"

	"loom/test/daemon"
)

// TestInteropWithRetries runs every case over a route that tries failed calls
// again, bounds their time and sends copies of all of them elsewhere.
func TestInteropWithRetries(t *testing.T) {
	client, server := buildInterop(t)
	address := daemon.FreeAddress(t)
	config := daemon.WriteConfig(t, fmt.Sprintf(`
listeners: [{name: plain, address: %q}]
backends:
  main: {targets: [%q]}
  copy: {targets: [%q]}
routes:
  - name: everything
    backend: main
    timeout: {overall: 80s, per_try: 70s, idle: 60s}
    retry: {max_attempts: 4, on: [UNAVAILABLE, DEADLINE_EXCEEDED, UNKNOWN, UNIMPLEMENTED], backoff: {initial: 10ms, max: 50ms}}
    mirror: {backend: copy, percent: 100}
`, address, startInteropServer(t, server), startInteropServer(t, server)))
	loomd.Start(t, "-config", config, "-quiet").WaitListening(t, address)
	for _, test := range interopCases {
		t.Run(test.name, func(t *testing.T) {
			runInterop(t, client, address, append([]string{"-test_case=" + test.name}, test.args...)...)
		})
	}
}
