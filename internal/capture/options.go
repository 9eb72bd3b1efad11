package capture

// Mode says how much of calls is recorded.
type Mode uint8

// The modes.
const (
	Full     Mode = iota // everything
	Metadata             // all but the bytes of messages
	Off                  // nothing
)

// String returns the mode as loom.yaml writes it.
func (m Mode) String() string {
	switch m {
	case Full:
		return "full"
	case Metadata:
		return "metadata"
	default:
		return "off"
	}
}

// Body takes out of a message what must not be stored. It is called on the
// goroutine of the call for small messages, and must not wait.
type Body interface {
	// Apply returns the message without it, uncompressed, and whether that
	// changed anything. encoding is that of grpc-encoding.
	Apply(encoding string, compressed bool, data []byte) ([]byte, bool, error)
}

// Rule says what happens to the messages of one direction of a method before
// they are stored. The zero value stores them as they are.
type Rule struct {
	Withhold string // why their bytes are not stored at all
	Body     Body   // nil: nothing to take out
}

// Options configures a Store.
type Options struct {
	// Generation is the first part of the ids.
	Generation uint64
	// Calls is how many calls are kept, open ones included; at least 1.
	Calls int
	// Bytes is how much memory they may take together.
	Bytes int64
	// MessageBytes is how much of a message is kept.
	MessageBytes int
	// Mode holds where RouteModes has nothing for a route.
	Mode       Mode
	RouteModes map[string]Mode
	// Redact are names of metadata whose values are not stored.
	Redact []string
	// Rules returns at once what to do with the requests and responses of a
	// method; nil: they are stored as they are.
	Rules func(backend, path string) (request, response Rule)
}

// A long stream keeps how it began and what came last; what lies between is
// rarely looked at, and would push every other call out.
const (
	firstMessages  = 64
	newestMessages = 256
)
