package config

// Listener is a socket that loomd accepts on.
type Listener struct {
	Name             string         `yaml:"name" required:"true" form:"name" doc:"What the listener is called in logs, metrics and commands. Unique."`
	Address          Address        `yaml:"address" required:"true" doc:"HOST:PORT, or unix:/path of a Unix socket. Port 0 takes any free port."`
	Mode             FileMode       `yaml:"mode" doc:"Permissions of a Unix socket, in octal."`
	TLS              *ListenerTLS   `yaml:"tls" doc:"Speak TLS on this listener. Without it, the listener speaks HTTP/2 in clear text (h2c)."`
	ProxyProtocol    bool           `yaml:"proxy_protocol" doc:"Each connection begins with a PROXY header (version 1 or 2) that names its client. Only for listeners that nobody but a load balancer reaches: a header is believed."`
	IdentityMetadata string         `yaml:"identity_metadata" form:"metadata_edit" doc:"Tell backends the identity of the client's certificate under this name. What the client sends under it is removed, with or without a certificate."`
	MaxConnectionAge Duration       `yaml:"max_connection_age" min:"1s" doc:"Ask clients to connect anew after this time, give or take a tenth, so that they spread over new instances. Off unless given."`
	AgeGrace         Duration       `yaml:"max_connection_age_grace" min:"1s" doc:"End the calls that go on for this long after max_connection_age. They are let be, unless given."`
	Limits           ListenerLimits `yaml:"limits" doc:"Bounds that differ from those under limits of the file."`
}

// ListenerLimits are bounds of one listener. Zero stands for what the file says
// for all of them.
type ListenerLimits struct {
	Connections int `yaml:"connections" min:"1" max:"1000000" doc:"Connections of this listener."`
	Streams     int `yaml:"streams" min:"1" max:"1000000" doc:"Calls that a client may have open on one connection of it."`
}

// ListenerTLS is how a listener proves itself and checks its clients.
type ListenerTLS struct {
	CertFile     string        `yaml:"cert_file" required:"true" form:"path" doc:"PEM file with the certificate and its chain. Read again when it changes."`
	KeyFile      string        `yaml:"key_file" required:"true" form:"path" doc:"PEM file with the private key."`
	Certificates []Certificate `yaml:"certificates" min:"1" doc:"Further certificates. A client gets the first one that is for the name which it asks for (SNI), else the one of cert_file."`
	ClientCAFile string        `yaml:"client_ca_file" form:"path" doc:"PEM file with the authorities that sign client certificates."`
	ClientAuth   string        `yaml:"client_auth" enum:"none,optional,require" doc:"Whether clients must show a certificate that client_ca_file signed. With optional, one that is shown must be right."`
}

// Certificate is a certificate and its key.
type Certificate struct {
	CertFile string `yaml:"cert_file" required:"true" form:"path" doc:"PEM file with the certificate and its chain."`
	KeyFile  string `yaml:"key_file" required:"true" form:"path" doc:"PEM file with the private key."`
}
