package inspector

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

// Panels tell what the page shows beside the calls. Each function may be nil,
// is called for each look, by several goroutines at once, and returns at once.
type Panels struct {
	Routes   func() []RouteView
	Backends func() []BackendView
	Breakers func() []BreakerView
	Config   func() ConfigView
	Status   func() StatusView
}

// Route returns what there is to show of a route; nil if none has that name.
func (p *Panels) Route(name string) *RouteView {
	return find(p.Routes, func(v *RouteView) bool { return v.Name == name })
}

// Backend returns what there is to show of a backend; nil if none has that name.
func (p *Panels) Backend(name string) *BackendView {
	return find(p.Backends, func(v *BackendView) bool { return v.Name == name })
}

// Breaker returns what there is to show of the breaker of a backend; nil if it
// has none.
func (p *Panels) Breaker(backend string) *BreakerView {
	return find(p.Breakers, func(v *BreakerView) bool { return v.Backend == backend })
}

func find[T any](list func() []T, wanted func(*T) bool) *T {
	if list == nil {
		return nil
	}
	all := list()
	for i := range all {
		if wanted(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

// RouteView is a rule, in the order in which rules are tried.
type RouteView struct {
	Name     string       `json:"name"`
	Match    string       `json:"match"` // as a person would say it
	Backends []WeightView `json:"backends"`
	Deny     string       `json:"deny,omitempty"` // the status of a rule that refuses
	Load     LoadView     `json:"load"`
}

// WeightView is a backend's share of a route.
type WeightView struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"`
}

// LoadView is what goes through a route or a backend.
type LoadView struct {
	Calls  uint64 `json:"calls"`  // since loomd started
	Errors uint64 `json:"errors"` // since loomd started
	Open   int    `json:"open"`
	// Of the last seconds.
	Rate       float64 `json:"rate"`       // calls a second
	ErrorShare float64 `json:"errorShare"` // from 0 to 1
	P50        int64   `json:"p50"`        // microseconds; 0 if there were no calls
	P99        int64   `json:"p99"`        // microseconds; 0 if there were no calls
}

// BackendView is a backend with its endpoints.
type BackendView struct {
	Name      string         `json:"name"`
	Targets   []string       `json:"targets"`
	Endpoints []EndpointView `json:"endpoints"`
	Balance   string         `json:"balance"`
	Panic     bool           `json:"panic"`   // no endpoint is fit, so all are used
	Waiting   int            `json:"waiting"` // calls that wait for a connection
	Load      LoadView       `json:"load"`
	Problems  []string       `json:"problems,omitempty"` // such as an address that does not resolve
}

// EndpointView is one address of a backend.
type EndpointView struct {
	Address     string  `json:"address"`
	State       string  `json:"state"` // as backend.State has it
	Weight      int     `json:"weight"`
	Connections int     `json:"connections"`
	Open        int     `json:"open"`             // attempts in flight
	Good        uint64  `json:"good"`             // attempts that ended so
	Bad         uint64  `json:"bad"`              // attempts that ended so
	Ejections   uint64  `json:"ejections"`        // ever
	Health      string  `json:"health,omitempty"` // healthy, unhealthy, unknown or not offered; empty: nobody asks
	Drained     bool    `json:"drained"`          // by an operator
	Warmth      float64 `json:"warmth"`           // the part of its share of the calls that it takes, up to 1
	Error       string  `json:"error,omitempty"`
}

// BreakerView is the circuit breaker of a backend.
type BreakerView struct {
	Backend      string    `json:"backend"`
	State        string    `json:"state"`        // closed, open, half-open, forced-open or disabled
	FailureRatio float64   `json:"failureRatio"` // within the window, from 0 to 1
	Verdicts     int       `json:"verdicts"`     // within the window: failures and successes
	Consecutive  int       `json:"consecutive"`  // failures in a row
	Openings     int       `json:"openings"`     // in a row, without a closing between
	Probing      int       `json:"probing"`      // probes without an answer yet
	Since        time.Time `json:"since"`
	NextProbe    time.Time `json:"nextProbe,omitzero"`
	LastError    string    `json:"lastError,omitempty"`
	LastErrorAt  time.Time `json:"lastErrorAt,omitzero"`

	Totals BreakerTotals `json:"totals"`
}

// BreakerTotals count since loomd started.
type BreakerTotals struct {
	Allowed       uint64 `json:"allowed"`
	Rejected      uint64 `json:"rejected"`
	Successes     uint64 `json:"successes"`
	Failures      uint64 `json:"failures"`
	Excluded      uint64 `json:"excluded"` // ends that said nothing about the backend
	Late          uint64 `json:"late"`     // ends that came too late to count
	Probes        uint64 `json:"probes"`
	ProbeTimeouts uint64 `json:"probeTimeouts"`
	Openings      uint64 `json:"openings"`
}

// ConfigView is the configuration in force.
type ConfigView struct {
	Path   string    `json:"path"` // empty: flags only
	Hash   string    `json:"hash"` // the beginning of that of Text
	Loaded time.Time `json:"loaded"`
	Text   string    `json:"text"`  // with secrets left out
	Error  string    `json:"error"` // why a newer one was refused; empty if none was
	// ErrorSince is since when that is known.
	ErrorSince time.Time `json:"errorSince,omitzero"`
}

// hashBytes is how much of the hash of a configuration is shown: enough to tell
// those of one machine apart.
const hashBytes = 4

// NewConfigView returns a configuration that is in force since it was loaded.
func NewConfigView(path string, loaded time.Time, text string) ConfigView {
	sum := sha256.Sum256([]byte(text))
	return ConfigView{Path: path, Hash: hex.EncodeToString(sum[:hashBytes]), Loaded: loaded, Text: text}
}

// StatusView is loomd itself.
type StatusView struct {
	Version    string         `json:"version"`
	Go         string         `json:"go"`
	PID        int            `json:"pid"`
	Generation uint64         `json:"generation"`
	Started    time.Time      `json:"started"`
	Memory     uint64         `json:"memory"` // bytes that Go has from the system
	Goroutines int            `json:"goroutines"`
	Listeners  []ListenerView `json:"listeners"`
	Limits     []LimitView    `json:"limits"`
	// Generations are the processes of this loomd: the one that serves, and
	// those before it that still drain, the youngest first.
	Generations []GenerationView `json:"generations"`
}

// GenerationView is one process of a loomd that was reloaded.
type GenerationView struct {
	Name        string    `json:"name"`   // for people
	Number      int       `json:"number"` // 1 for the first process, +1 with each reload
	PID         int       `json:"pid"`
	Started     time.Time `json:"started,omitzero"` // zero: it has not said yet
	Connections int       `json:"connections"`      // of callers
	Calls       int       `json:"calls"`            // that are open
	Serving     bool      `json:"serving"`          // it takes new connections
	Why         string    `json:"why"`              // it lives
}

// LimitView is a limit and how often it was hit.
type LimitView struct {
	Name    string `json:"name"`
	Meaning string `json:"meaning"` // a sentence on what it counts
	Hits    uint64 `json:"hits"`
}

// items is a list as the page gets it.
type items[T any] struct {
	Items []T `json:"items"`
}

func list[T any](from func() []T) handle {
	return func(w http.ResponseWriter, _ *http.Request) error {
		if from == nil {
			return answer(w, items[T]{[]T{}})
		}
		return answer(w, items[T]{orEmpty(from())})
	}
}

func object[T any](from func() T) handle {
	return func(w http.ResponseWriter, _ *http.Request) error {
		if from == nil {
			return answer(w, struct{}{})
		}
		return answer(w, from())
	}
}
