package config

// Breaker is when a backend is no longer called, and when it is tried again.
type Breaker struct {
	Window      Duration `yaml:"window" min:"1s" doc:"Time over which failures are counted."`
	Trip        Trip     `yaml:"trip" doc:"What opens the breaker: either condition does."`
	Failures    []Code   `yaml:"failures" min:"1" doc:"Status codes that count as failures of the backend."`
	MinDeadline Duration `yaml:"min_deadline" min:"0s" doc:"A call that its client's deadline ends counts as a failure only if the backend had at least this long."`
	OpenFor     Duration `yaml:"open_for" min:"10ms" doc:"How long calls are refused before the backend is tried again."`
	MaxOpenFor  Duration `yaml:"max_open_for" min:"10ms" doc:"open_for doubles with each opening in a row, up to this."`
	HalfOpen    HalfOpen `yaml:"half_open" doc:"How the backend is tried again."`
}

// Trip is what opens a breaker.
type Trip struct {
	Consecutive  int     `yaml:"consecutive" min:"0" max:"1000000" doc:"Failures in a row. 0 switches the condition off."`
	FailureRatio float64 `yaml:"failure_ratio" min:"0" max:"1" doc:"Share of failures within the window. 0 switches the condition off."`
	MinRequests  int     `yaml:"min_requests" min:"1" max:"1000000" doc:"Calls within the window before failure_ratio is looked at."`
}

// HalfOpen is how a breaker tries a backend again.
type HalfOpen struct {
	Probes       int      `yaml:"probes" min:"1" max:"1000" doc:"Calls that are let through, all of which must succeed."`
	ProbeTimeout Duration `yaml:"probe_timeout" min:"10ms" doc:"A unary probe without an answer for this long has failed; a stream only gives its place back."`
}

// Outlier is when a single endpoint is no longer called.
type Outlier struct {
	Consecutive       int      `yaml:"consecutive" min:"1" max:"1000000" doc:"Failures in a row that eject an endpoint."`
	EjectFor          Duration `yaml:"eject_for" min:"10ms" doc:"How long it is left out, times its ejections in a row."`
	MaxEjectFor       Duration `yaml:"max_eject_for" min:"10ms" doc:"The longest that it is left out."`
	MaxEjectedPercent int      `yaml:"max_ejected_percent" min:"0" max:"100" doc:"The share of endpoints that may be left out at the same time. Unless it is 0, one of several may."`
}
