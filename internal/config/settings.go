package config

// Limits bound what loomd spends on its clients.
type Limits struct {
	PrefaceTimeout        Duration `yaml:"preface_timeout" min:"100ms" max:"5m" doc:"How long a client may take for the connection preface and its first SETTINGS."`
	TLSHandshakeTimeout   Duration `yaml:"tls_handshake_timeout" min:"100ms" max:"5m" doc:"How long a client may take for the TLS handshake."`
	TLSHandshakes         int      `yaml:"tls_handshakes" min:"1" max:"100000" doc:"TLS handshakes of clients that go on at the same time, over all listeners. A further connection is closed."`
	Connections           int      `yaml:"connections" min:"1" max:"1000000" doc:"Connections per listener. A further one gets GOAWAY and is closed."`
	Streams               int      `yaml:"streams" min:"1" max:"1000000" doc:"Calls that a client may have open on one connection. A further one is refused with REFUSED_STREAM."`
	HeaderList            Size     `yaml:"header_list" min:"4KiB" max:"1MiB" doc:"Size of the metadata of a call, counted as HTTP/2 does. Beyond it, the call gets RESOURCE_EXHAUSTED; beyond four times it, the connection is closed."`
	HeaderFields          int      `yaml:"header_fields" min:"20" max:"10000" doc:"Metadata fields of a call, the pseudo-headers included."`
	Continuations         int      `yaml:"continuations" min:"1" max:"1000" doc:"CONTINUATION frames of one header block."`
	BufferedPerConnection Size     `yaml:"buffered_per_connection" min:"128KiB" max:"1GiB" doc:"Bytes that wait in loomd for the other side of one connection."`
	BufferedTotal         Size     `yaml:"buffered_total" min:"0B" doc:"Bytes that wait in the whole process. 0 stands for an eighth of the memory."`
	StreamStall           Duration `yaml:"stream_stall" min:"1s" doc:"End a call whose receiver takes nothing for this long while bytes wait for it."`
	KeptRequest           Size     `yaml:"kept_request" min:"0B" max:"16MiB" doc:"Request bytes of a call that are kept until the response begins, so that a call which the backend certainly did not process can go out once more. 0 keeps none."`
}

// Capture is what is recorded of the calls.
type Capture struct {
	Mode         string `yaml:"mode" enum:"full,metadata,off" doc:"full records everything, metadata all but the bytes of messages, off nothing. A route may say otherwise."`
	Ring         Ring   `yaml:"ring" doc:"The calls that are kept in memory; the oldest goes first."`
	MessageBytes Size   `yaml:"message_bytes" min:"0B" max:"64MiB" doc:"How much of each message is kept."`
	Redact       Redact `yaml:"redact" doc:"What is blotted out before anything is stored."`
	Session      string `yaml:"session" form:"name" doc:"Write each call that ends to a file of this name under the state directory, and read it back at the next start. No file, unless given."`
	SessionSize  Size   `yaml:"session_size" min:"64KiB" doc:"How large a session file may be before the next one begins."`
	SessionFiles int    `yaml:"session_files" min:"1" max:"1000" doc:"How many session files are kept, the newest included."`
}

// Ring bounds the calls that are kept in memory.
type Ring struct {
	Calls int  `yaml:"calls" min:"1" max:"10000000" doc:"How many calls."`
	Bytes Size `yaml:"bytes" min:"64KiB" doc:"How many bytes they may take together."`
}

// Redact names what is never stored.
type Redact struct {
	Metadata []string `yaml:"metadata" form:"metadata_name" doc:"Names of metadata, in lower case."`
	Fields   []string `yaml:"fields" form:"proto_name" doc:"Full names of message fields, such as acme.users.v1.User.email."`
}

// Inspector is the web page that shows calls.
type Inspector struct {
	Address    Address       `yaml:"address" required:"true" doc:"HOST:PORT. One that other machines reach needs tls and token_file."`
	AllowHosts []string      `yaml:"allow_hosts" min:"1" form:"browser_host" doc:"Further names by which browsers may reach it, such as localhost:8080 of a tunnel. Without a port, the inspector's own and that of the scheme."`
	Replay     bool          `yaml:"replay" doc:"Whether calls may be made from the page."`
	TokenFile  string        `yaml:"token_file" form:"path" doc:"File with the token that opens the page, of at least 16 characters. loomd makes a new token at each start, unless given."`
	TLS        *InspectorTLS `yaml:"tls" doc:"Serve the page over TLS."`
}

// InspectorTLS is how the inspector proves itself.
type InspectorTLS struct {
	CertFile string `yaml:"cert_file" required:"true" form:"path" doc:"PEM file with the certificate and its chain."`
	KeyFile  string `yaml:"key_file" required:"true" form:"path" doc:"PEM file with the private key."`
}

// Metrics is what monitoring reads.
type Metrics struct {
	Address Address `yaml:"address" required:"true" doc:"HOST:PORT, or unix:/path of a Unix socket. Serves /metrics, /healthz and /readyz."`
}

// Admin is the socket that loomctl talks to.
type Admin struct {
	Socket   string   `yaml:"socket" form:"socket" doc:"Path of the Unix socket. Chosen by loomd, unless given."`
	Group    string   `yaml:"group" form:"group" doc:"The group whose members may see and change everything, besides root and the user of loomd. Nobody else, unless given."`
	ReadOnly []string `yaml:"read_only" min:"1" form:"user" doc:"Users, by name or number, who may look and change nothing. They get to the socket as members of the group."`
}

// Restart is how loomd stops and restarts.
type Restart struct {
	ReadyTimeout Duration `yaml:"ready_timeout" min:"1s" doc:"How long a fresh process may take until it serves, before the reload is called off."`
	Drain        Duration `yaml:"drain" min:"0s" max:"24h" doc:"How long open calls may go on when loomd stops. 0 cuts them at once."`
	Probation    Duration `yaml:"probation" min:"0s" max:"1m" doc:"How long a fresh process has to serve before the old one lets go of the listeners. If it ends within that time, the old one takes over again."`
	Generations  int      `yaml:"generations" min:"1" max:"100" doc:"Old processes that may drain at the same time. With one more, the oldest is cut off within 5 s."`
}

// Log is what loomd says about itself.
type Log struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" doc:"The least important kind of line that is written."`
	Format string `yaml:"format" enum:"auto,console,json" doc:"auto is console on a terminal and json elsewhere."`
}
