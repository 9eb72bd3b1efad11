package config

// Config is one loom.yaml. It is plain data: nobody changes it once it is
// made, so it may be shared between goroutines.
//
// The tags of these structs are read by the loader, by Diff and by Schema:
// yaml is the key (",keyed" a list that is written as a mapping, ",key" the
// field that takes the keys of it), doc the explanation, required that it must
// be given, min and max the bounds of a number or of the length of a list, enum the allowed
// texts, form the name of a form in form.go, short that a plain text may stand
// for the whole block.
type Config struct {
	Listeners []Listener `yaml:"listeners" required:"true" min:"1" doc:"Sockets that loomd accepts gRPC on."`
	Backends  []Backend  `yaml:"backends,keyed" required:"true" min:"1" doc:"Named services that calls go to. In the order of the file."`
	Routes    []Route    `yaml:"routes" required:"true" min:"1" doc:"Which call goes to which backend. The first match wins; a call that no route matches is refused with UNIMPLEMENTED."`
	Limits    Limits     `yaml:"limits" doc:"Bounds that protect loomd itself."`
	Capture   Capture    `yaml:"capture" doc:"What is recorded of the calls."`
	Inspector *Inspector `yaml:"inspector" doc:"The web page that shows calls as they happen."`
	Metrics   *Metrics   `yaml:"metrics" doc:"Prometheus metrics and health, for machines."`
	Admin     Admin      `yaml:"admin" doc:"The socket that loomctl talks to."`
	Restart   Restart    `yaml:"restart" doc:"How loomd stops and restarts."`
	Log       Log        `yaml:"log" doc:"What loomd says about itself."`
}

// Backend returns the backend of that name, or nil.
func (c *Config) Backend(name string) *Backend {
	for i := range c.Backends {
		if c.Backends[i].Name == name {
			return &c.Backends[i]
		}
	}
	return nil
}
