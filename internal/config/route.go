package config

// Route is a rule that picks a backend for a call. Exactly one of Backend,
// Backends and Deny is given.
type Route struct {
	Name         string            `yaml:"name" required:"true" form:"name" doc:"What the route is called in logs, metrics and commands. Unique."`
	Match        Match             `yaml:"match" doc:"Which calls the route is for: all conditions that are given must hold. Without any, it is for every call."`
	Backend      string            `yaml:"backend" form:"name" doc:"The backend that takes the calls."`
	Backends     []WeightedBackend `yaml:"backends" min:"1" doc:"Backends that share the calls by weight."`
	Deny         Code              `yaml:"deny" doc:"Refuse the calls with this status code."`
	Timeout      *Timeout          `yaml:"timeout" doc:"How long a call may take, whatever deadline its client set. Beyond it, the client gets DEADLINE_EXCEEDED."`
	Retry        *Retry            `yaml:"retry" doc:"Try a failed call again, as long as no answer has begun and the request is within limits.kept_request."`
	Mirror       *Mirror           `yaml:"mirror" doc:"Send a copy of some calls to another backend and drop its answers. Copies wait for nobody: what finds no room is dropped and counted."`
	Capture      string            `yaml:"capture" enum:"full,metadata,off" doc:"What is recorded of the calls. As capture.mode says, unless given."`
	Metadata     MetadataEdits     `yaml:"metadata" doc:"Changes to the metadata of the calls."`
	ForwardedFor bool              `yaml:"forwarded_for" doc:"Add the address of the client to x-forwarded-for, behind what the client sent. Remove x-forwarded-for under metadata.request if clients are not to be believed."`
}

// Split returns the backends of the route and their weights, however the
// route names them. It is empty for a route that denies.
func (r *Route) Split() []WeightedBackend {
	if r.Backend != "" {
		return []WeightedBackend{{Name: r.Backend, Weight: defaultWeight}}
	}
	return r.Backends
}

// Match is what a call must be like. The zero value matches every call.
type Match struct {
	Service   string          `yaml:"service" form:"service" doc:"The full name of the gRPC service, such as acme.users.v1.Users."`
	Method    string          `yaml:"method" form:"service" doc:"The name of the method, such as GetUser."`
	Authority string          `yaml:"authority" form:"glob" doc:"The :authority of the call, in which * stands for any run of characters. Without a port, any port will do."`
	Identity  string          `yaml:"identity" form:"identity" doc:"Who calls, by the client's certificate: its SPIFFE ID, else its first DNS name, else its common name; * stands for any run of characters. A client without a certificate matches none."`
	Metadata  []MetadataMatch `yaml:"metadata" doc:"Conditions on the metadata of the call, all of which must hold."`
	PathRegex string          `yaml:"path_regex" form:"regex" doc:"A regular expression (RE2) that is searched for in the path, such as ^/acme\\.admin\\. Anchor it to match the whole path."`
}

// MetadataMatch is a condition on the metadata of one name. Exactly one of
// Value, Regex and Present is given.
type MetadataMatch struct {
	Name    string  `yaml:"name" required:"true" form:"metadata_name" doc:"The name of the metadata, in lower case."`
	Value   *string `yaml:"value" form:"metadata_value" doc:"The exact value."`
	Regex   string  `yaml:"regex" form:"regex" doc:"A regular expression (RE2) that is searched for in the value."`
	Present bool    `yaml:"present" doc:"true: any value will do."`
}

// WeightedBackend is a backend and its share of the calls of a route.
type WeightedBackend struct {
	Name   string `yaml:"name" required:"true" form:"name" doc:"The backend."`
	Weight int    `yaml:"weight" min:"0" max:"1000000" doc:"Share of the calls, relative to the sum of all weights. 0 takes none."`
}

// Timeout bounds the time of a call. Zero fields set no bound.
type Timeout struct {
	Overall Duration `yaml:"overall" min:"1ms" doc:"For the call with all its tries."`
	PerTry  Duration `yaml:"per_try" min:"1ms" doc:"For a single try, until its answer begins. With retry, a try that takes longer is always followed by another, as long as max_attempts allows."`
	Idle    Duration `yaml:"idle" min:"1ms" doc:"How long a call may go on without a byte either way."`
}

// Retry is when a failed call is tried again.
type Retry struct {
	MaxAttempts   int     `yaml:"max_attempts" min:"2" max:"10" doc:"Tries altogether, the first one included."`
	On            []Code  `yaml:"on" min:"1" doc:"Status codes that are worth another try."`
	Backoff       Backoff `yaml:"backoff" doc:"How long to wait between tries."`
	BudgetPercent int     `yaml:"budget_percent" min:"1" max:"100" doc:"Further tries, in percent of the calls that the route had in the last 10 seconds. 10 tries are always allowed in that time."`
}

// Backoff is how long to wait between tries: it doubles each time.
type Backoff struct {
	Initial Duration `yaml:"initial" min:"1ms" doc:"Before the second try."`
	Max     Duration `yaml:"max" min:"1ms" doc:"Never longer than this."`
}

// Mirror is where copies of calls go.
type Mirror struct {
	Backend string  `yaml:"backend" required:"true" form:"name" doc:"The backend that gets the copies."`
	Percent float64 `yaml:"percent" required:"true" min:"0" max:"100" doc:"How many of the calls are copied."`
}

// MetadataEdits are the changes that a route makes to metadata.
type MetadataEdits struct {
	Request  MetadataEdit `yaml:"request" doc:"On the way to the backend."`
	Response MetadataEdit `yaml:"response" doc:"On the way back: headers, not trailers."`
}

// MetadataEdit changes metadata in one direction: first Remove, then Set,
// then Append.
type MetadataEdit struct {
	Set    []MetadataField `yaml:"set,keyed" doc:"Names and values that take the place of all values of the name."`
	Append []MetadataField `yaml:"append,keyed" doc:"Names and values that are added to the values of the name."`
	Remove []string        `yaml:"remove" form:"metadata_edit" doc:"Names whose values are all taken away."`
}

// MetadataField is a name and its value. The value of a name that ends in -bin
// is base64, as it is on the wire.
type MetadataField struct {
	Name  string `yaml:",key" form:"metadata_edit" doc:"The name, in lower case."`
	Value string `yaml:"value" required:"true" short:"only" form:"metadata_value" doc:"The value."`
}
