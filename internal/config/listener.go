package config

// Listener is a socket that loomd accepts on.
type Listener struct {
	Name             string       `yaml:"name" required:"true" form:"name" doc:"What the listener is called in logs, metrics and commands. Unique."`
	Address          Address      `yaml:"address" required:"true" doc:"HOST:PORT, or unix:/path of a Unix socket. Port 0 takes any free port."`
	Mode             FileMode     `yaml:"mode" doc:"Permissions of a Unix socket, in octal."`
	TLS              *ListenerTLS `yaml:"tls" doc:"Speak TLS on this listener. Without it, the listener speaks HTTP/2 in clear text (h2c)."`
	MaxConnectionAge Duration     `yaml:"max_connection_age" min:"1s" doc:"Ask clients to connect anew after this time, so that they spread over new instances. Off unless given."`
}

// ListenerTLS is how a listener proves itself and checks its clients.
type ListenerTLS struct {
	CertFile     string `yaml:"cert_file" required:"true" form:"path" doc:"PEM file with the certificate and its chain."`
	KeyFile      string `yaml:"key_file" required:"true" form:"path" doc:"PEM file with the private key."`
	ClientCAFile string `yaml:"client_ca_file" form:"path" doc:"PEM file with the authorities that sign client certificates."`
	ClientAuth   string `yaml:"client_auth" enum:"none,optional,require" doc:"Whether clients must show a certificate that client_ca_file signed."`
}
