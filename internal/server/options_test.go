package server

import (
	"io/fs"
	"math"
	"testing"
	"time"

	"loom/internal/backend"
	"loom/internal/config"
)

// files is a file system of few files.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

func TestMemory(t *testing.T) {
	const meminfo = "MemTotal:       16384000 kB\nMemFree:         1000000 kB\n"
	for _, tt := range []struct {
		name  string
		files files
		want  int64
	}{
		{"nothing is told", files{}, 1 << 30},
		{"the machine's", files{"/proc/meminfo": meminfo}, 16384000 << 10},
		{"a container's", files{"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		{"a container's, version 1", files{
			"/proc/meminfo": meminfo, "/proc/self/cgroup": "4:memory:/docker/abc\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n",
		}, 64 << 20},
		{"a unit's", files{
			"/proc/meminfo": meminfo, "/proc/self/cgroup": "0::/system.slice/loomd.service\n",
			"/sys/fs/cgroup/system.slice/loomd.service/memory.max": "268435456\n",
			"/sys/fs/cgroup/system.slice/memory.max":               "max\n",
		}, 256 << 20},
		{"a slice's", files{
			"/proc/meminfo": meminfo, "/proc/self/cgroup": "0::/system.slice/loomd.service\n",
			"/sys/fs/cgroup/system.slice/loomd.service/memory.max": "max\n",
			"/sys/fs/cgroup/system.slice/memory.max":               "134217728\n",
		}, 128 << 20},
		{"version 1", files{
			"/proc/meminfo": meminfo, "/proc/self/cgroup": "5:cpu,cpuacct:/a\n4:memory:/a/b\n",
			"/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "67108864\n",
			"/sys/fs/cgroup/memory/a/memory.limit_in_bytes":   "9223372036854771712\n",
		}, 64 << 20},
		{"broken groups", files{"/proc/meminfo": meminfo, "/proc/self/cgroup": "what?\n0::../../..\n"}, 16384000 << 10},
		{"no limit", files{"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "max\n"}, 16384000 << 10},
		{"a limit above the machine's", files{"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "99999999999999\n"}, 16384000 << 10},
		{"nonsense", files{"/proc/meminfo": "what?", "/sys/fs/cgroup/memory.max": "\n"}, 1 << 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := memory(tt.files.read, math.MaxInt64); got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
		})
	}
}

// GOMEMLIMIT counts, too.
func TestMemoryOfTheRuntime(t *testing.T) {
	machine := files{"/proc/meminfo": "MemTotal:       16384000 kB\n"}
	if got := memory(machine.read, 100<<20); got != 100<<20 {
		t.Errorf("%d bytes", got)
	}
}

func TestBufferedTotal(t *testing.T) {
	if got := bufferedTotal(&config.Limits{BufferedTotal: 5 << 20}); got != 5<<20 {
		t.Errorf("as configured: %d", got)
	}
	// Whatever this machine has, it is something, and not all.
	if got := bufferedTotal(&config.Limits{}); got <= 0 || got > 1<<45 {
		t.Errorf("of the memory: %d", got)
	}
}

// What loom.yaml says of backends arrives where it is used.
func TestBackendOptions(t *testing.T) {
	cfg := parse(t, `
listeners: [`+anyPort+`]
backends:
  b:
    targets: ["127.0.0.1:1", {target: "unix:/run/b.sock", weight: 5}]
    balance: ring_hash
    ring_hash: {metadata: x-user}
    slow_start: 20s
    outlier: {consecutive: 6, eject_for: 12s, max_eject_for: 90s, max_ejected_percent: 40}
    health: {interval: 3s, timeout: 900ms, fall: 4, rise: 3, service: acme.Orders}
    connect_timeout: 7s
    keepalive: {interval: 40s, timeout: 8s}
    limits: {connections: 3, concurrent: 12, pending: 11}
routes: [{name: all, backend: b}]
`)
	var counters Counters
	o := backendOptions(&cfg.Backends[0], h2Limits(&cfg.Limits), nil, &counters)
	if o.Name != "b" || len(o.Targets) != 2 || o.Targets[0].Weight != 1 || o.Targets[1] != (backend.Target{URI: "unix:/run/b.sock", Weight: 5}) || o.Connections != 3 || o.Pending != 11 ||
		o.ConnectTimeout != 7*time.Second || o.Counters != &counters.Backend {
		t.Errorf("options %+v", o)
	}
	if o.Balance != backend.RingHash || o.HashMetadata != "x-user" || o.SlowStart != 20*time.Second || o.Concurrent != 12 {
		t.Errorf("options %+v", o)
	}
	if *o.Outlier != (backend.Outlier{Consecutive: 6, EjectFor: 12 * time.Second, MaxEjectFor: 90 * time.Second, MaxEjectedPercent: 40}) {
		t.Errorf("outlier %+v", o.Outlier)
	}
	if *o.Health != (backend.HealthCheck{Interval: 3 * time.Second, Timeout: 900 * time.Millisecond, Fall: 4, Rise: 3, Service: "acme.Orders"}) {
		t.Errorf("health %+v", o.Health)
	}
	if o.H2.KeepaliveInterval != 40*time.Second || o.H2.KeepaliveTimeout != 8*time.Second || o.H2.Counters != &counters.H2 {
		t.Errorf("h2 options %+v", o.H2)
	}
}

// What loom.yaml says of limits arrives where it is used, and the windows fit
// what a connection may buffer.
func TestLimits(t *testing.T) {
	cfg := parse(t, oneBackend(nobody, anyPort)+`limits:
  preface_timeout: 3s
  streams: 50
  header_list: 20KiB
  header_fields: 77
  continuations: 5
  buffered_per_connection: 512KiB
  stream_stall: 90s
`)
	l := h2Limits(&cfg.Limits)
	if l.Preface != 3*time.Second || l.Streams != 50 || l.HeaderList != 20<<10 || l.HeaderFields != 77 ||
		l.Continuations != 5 || l.Buffered != 512<<10 || l.Stall != 90*time.Second {
		t.Errorf("limits %+v", l)
	}
	if l.EarlyResets.Burst != 100 {
		t.Errorf("%d early resets at once; a deadline may end 50 calls, and the 50 after them", l.EarlyResets.Burst)
	}
	if l.ConnWindow > l.Buffered/4 || l.MaxWindow > l.Buffered {
		t.Errorf("windows %d and %d, of %d that may be buffered", l.ConnWindow, l.MaxWindow, l.Buffered)
	}
}
