package config

// Backend is a named service and how loomd treats it.
type Backend struct {
	Name           string        `yaml:",key" form:"name" doc:"What routes, logs, metrics and commands call the backend."`
	Targets        []Target      `yaml:"targets" required:"true" min:"1" doc:"Where the service is: HOST:PORT, dns:///HOST:PORT, passthrough:///HOST:PORT or unix:/path."`
	TLS            *BackendTLS   `yaml:"tls" doc:"Speak TLS to this backend. Without it, loomd speaks HTTP/2 in clear text (h2c)."`
	Authority      string        `yaml:"authority" form:"authority" doc:"The :authority that the backend sees. What the client sent, unless given."`
	Balance        string        `yaml:"balance" enum:"round_robin,least_request,ring_hash" doc:"How an endpoint is picked for a call."`
	RingHash       *RingHash     `yaml:"ring_hash" doc:"Which calls go to the same endpoint, with balance: ring_hash."`
	SlowStart      Duration      `yaml:"slow_start" min:"0s" max:"1h" doc:"How long the share of the calls grows that goes to an endpoint which joins others or comes back. 0 gives it its full share at once."`
	ConnectTimeout Duration      `yaml:"connect_timeout" min:"10ms" max:"5m" doc:"How long a connection may take until the first SETTINGS of the endpoint."`
	IdleTimeout    Duration      `yaml:"idle_timeout" min:"1s" doc:"Close a connection that has had no call for this long. Never, unless given."`
	Keepalive      Keepalive     `yaml:"keepalive" doc:"How a dead connection is noticed while calls are open on it."`
	Health         *Health       `yaml:"health" doc:"Ask endpoints for their health (grpc.health.v1)."`
	Limits         BackendLimits `yaml:"limits" doc:"Bounds on what loomd asks of the backend."`
	Breaker        *Breaker      `yaml:"breaker" doc:"Stop calling a backend that fails."`
	Outlier        *Outlier      `yaml:"outlier" doc:"Stop calling a single endpoint that fails."`
	Reflection     *Reflection   `yaml:"reflection" doc:"How loomd asks the backend for its descriptors, to show messages decoded."`
	Descriptors    []string      `yaml:"descriptors" min:"1" form:"path" doc:"Files with descriptors (protoset or .proto), for a backend without reflection."`
}

// Target is one place where a backend can be reached.
type Target struct {
	Target string `yaml:"target" required:"true" form:"target" short:"true" doc:"HOST:PORT, dns:///HOST:PORT, passthrough:///HOST:PORT or unix:/path."`
	Weight int    `yaml:"weight" min:"1" max:"1000" doc:"Share of the calls that goes to each endpoint of the target, relative to the others."`
}

// RingHash is how calls that belong together are known.
type RingHash struct {
	Metadata string `yaml:"metadata" required:"true" form:"metadata_name" doc:"Calls with the same value of this metadata go to the same endpoint. Calls without it are spread."`
}

// BackendTLS is how loomd checks a backend.
type BackendTLS struct {
	CAFile             string `yaml:"ca_file" form:"path" doc:"PEM file with the authorities that sign the backend's certificate. The system's, unless given."`
	ServerName         string `yaml:"server_name" form:"host" doc:"The name that the certificate must have. The host of the target, unless given; a target without one, such as a Unix socket, needs it."`
	CertFile           string `yaml:"cert_file" form:"path" doc:"PEM file with loomd's own certificate, for a backend that asks for one. Read again when it changes."`
	KeyFile            string `yaml:"key_file" form:"path" doc:"PEM file with the key of cert_file."`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" doc:"Take any certificate, so that anybody in between can read and change calls. For tests."`
}

// Keepalive is how a connection that fell silent is found dead.
type Keepalive struct {
	Interval Duration `yaml:"interval" min:"0s" doc:"PING a connection with open calls on which nothing has been read for this long. 0 never does."`
	Timeout  Duration `yaml:"timeout" min:"100ms" doc:"Close the connection if the PING has no answer for this long."`
}

// Health is active health checking of the endpoints.
type Health struct {
	Interval Duration `yaml:"interval" min:"100ms" doc:"Time between two checks of an endpoint."`
	Timeout  Duration `yaml:"timeout" min:"10ms" doc:"How long a check may take."`
	Fall     int      `yaml:"fall" min:"1" max:"100" doc:"Failed checks in a row that take an endpoint out."`
	Rise     int      `yaml:"rise" min:"1" max:"100" doc:"Good checks in a row that bring it back."`
	Service  string   `yaml:"service" form:"text" doc:"The service name that is asked for. Empty asks about the whole process."`
}

// BackendLimits bound what loomd asks of one backend.
type BackendLimits struct {
	Connections int `yaml:"connections" min:"1" max:"1000" doc:"Connections to one endpoint. A further one is opened when all others have as many calls as the endpoint allows."`
	Concurrent  int `yaml:"concurrent" min:"0" max:"1000000" doc:"Calls that are open at the same time, those that wait included. Beyond it, calls are refused with UNAVAILABLE. 0 sets no bound."`
	Pending     int `yaml:"pending" min:"0" max:"1000000" doc:"Calls that wait for a connection with room. Beyond it, calls are refused with UNAVAILABLE."`
}

// Reflection is how loomd asks a backend for its descriptors.
type Reflection struct {
	Metadata []MetadataField `yaml:"metadata,keyed" secret:"true" doc:"Metadata that is sent along, such as a token."`
	TTL      Duration        `yaml:"ttl" min:"1s" doc:"How long descriptors count as fresh."`
}
