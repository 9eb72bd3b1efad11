package config

import "time"

// Every default stands in this file. A block that has defaults implements
// defaulter; blocks without it start as their zero value.

// defaulter is a block of loom.yaml that does not start as its zero value.
type defaulter interface{ setDefaults() }

// defaultWeight makes shares equal where nobody says otherwise.
const defaultWeight = 1

func (l *Listener) setDefaults() {
	// Whoever may connect to the socket may call every backend, so only the
	// owner may until the file says otherwise.
	l.Mode = 0o600
}

func (t *ListenerTLS) setDefaults() {
	// A listener that is open to all is what most people mean by TLS.
	t.ClientAuth = "none"
}

func (t *Target) setDefaults()          { t.Weight = defaultWeight }
func (w *WeightedBackend) setDefaults() { w.Weight = defaultWeight }

func (b *Backend) setDefaults() {
	// Needs no state about the endpoints and has no surprises.
	b.Balance = "round_robin"
	// Two lost SYN packets (1 s and 2 s) and a slow handshake still fit;
	// most clients give up after 10 to 20 s.
	b.ConnectTimeout = Duration(5 * time.Second)
}

func (k *Keepalive) setDefaults() {
	// A grpc-go server with its defaults answers pings that come more often
	// than every 5 minutes with GOAWAY "too_many_pings". TCP's own keepalive
	// (15 s) finds hosts that are gone earlier.
	k.Interval = Duration(330 * time.Second)
	// Longer than a garbage collection or a burst of retransmissions.
	k.Timeout = Duration(10 * time.Second)
}

func (h *Health) setDefaults() {
	// With fall, a dead endpoint is out after 15 s at a negligible cost.
	h.Interval = Duration(5 * time.Second)
	// A health check does no work, so a slow one is a bad sign.
	h.Timeout = Duration(time.Second)
	// A single lost packet takes nothing out, and one good answer of an
	// endpoint that comes and goes brings nothing back.
	h.Fall, h.Rise = 3, 2
}

func (l *BackendLimits) setDefaults() {
	// Endpoints that allow 100 calls on a connection, the usual setting, then
	// take 400; more connections to a process seldom carry more.
	l.Connections = 4
	// No bound: how much a backend can take is known to its owner only.
	l.Concurrent = 0
	// All the calls of four full connections of callers (limits.streams), so
	// that none is refused while the first connection to a backend, or one
	// that was lost, is being made. What they hold is bounded by
	// buffered_total, and how long they wait by their deadlines.
	l.Pending = 4096
}

func (b *Breaker) setDefaults() {
	// Long enough to see a share in slow traffic.
	b.Window = Duration(time.Minute)
	// What says something about the backend, not about the request.
	b.Failures = []Code{codeUnavailable, codeDeadlineExceeded, codeInternal, codeUnknown, codeDataLoss}
	// Clients with less patience say more about themselves than about the
	// backend: five of them must not take it from all others.
	b.MinDeadline = Duration(time.Second)
	// About the time that a process takes to start again.
	b.OpenFor = Duration(10 * time.Second)
	// A backend that is back is noticed within the patience of a person.
	b.MaxOpenFor = Duration(2 * time.Minute)
}

func (t *Trip) setDefaults() {
	// Five in a row is no accident; half of twenty is no accident either.
	t.Consecutive, t.FailureRatio, t.MinRequests = 5, 0.5, 20
}

func (h *HalfOpen) setDefaults() {
	// One good call may be luck; three spare a weak backend the full load.
	h.Probes = 3
	// A probe that hangs must not keep the breaker in between for ever.
	h.ProbeTimeout = Duration(5 * time.Second)
}

func (o *Outlier) setDefaults() {
	// As for the breaker of a whole backend.
	o.Consecutive = 5
	// Long enough to restart, short enough not to overload the others.
	o.EjectFor = Duration(30 * time.Second)
	// An endpoint that was mended is found so within a coffee break.
	o.MaxEjectFor = Duration(5 * time.Minute)
	// The rest could hardly carry more than double load.
	o.MaxEjectedPercent = 50
}

func (r *Reflection) setDefaults() {
	// A new version of the backend shows its new fields after this time.
	r.TTL = Duration(5 * time.Minute)
}

func (r *Retry) setDefaults() {
	// What helps at all helps at the second or third try.
	r.MaxAttempts = 3
	// The only code that says that another try may do no harm.
	r.On = []Code{codeUnavailable}
	// Retries may add a fifth to the load and no more.
	r.BudgetPercent = 20
}

func (b *Backoff) setDefaults() {
	// Longer than a round trip, shorter than anybody's patience.
	b.Initial = Duration(50 * time.Millisecond)
	b.Max = Duration(time.Second)
}

func (l *Limits) setDefaults() {
	// A client on a bad line needs seconds; one that sends nothing holds a
	// file descriptor for no longer than this.
	l.PrefaceTimeout = Duration(10 * time.Second)
	// As for the preface.
	l.TLSHandshakeTimeout = Duration(10 * time.Second)
	// A core completes more than that in a second, so that only clients which
	// do nothing take the places of others.
	l.TLSHandshakes = 512
	// At up to 24 KiB for an idle connection about 240 MiB, and well within
	// the usual limit of file descriptors for a service.
	l.Connections = 10_000
	// Ten times what most gRPC servers allow, so that loomd is not the
	// narrow place, and a bound on what one client can open.
	l.Streams = 1000
	// Eight times what most servers accept; tokens fit many times over.
	l.HeaderList = 64 * kib
	// More than any real call carries; tables stay small.
	l.HeaderFields = 200
	// A header list of 64 KiB needs four frames of 16 KiB; the rest is for
	// senders that cut smaller.
	l.Continuations = 16
	// The bandwidth-delay product of 300 Mbit/s over 100 ms.
	l.BufferedPerConnection = 4 * mib
	// 0 stands for an eighth of the memory: loomd seldom runs alone.
	l.BufferedTotal = 0
	// A person who looks at a debugger for a while loses nothing.
	l.StreamStall = Duration(5 * time.Minute)
	// Nearly every unary request fits; a stream soon has answers.
	l.KeptRequest = 64 * kib
}

func (c *Capture) setDefaults() {
	// To see the calls is what most people run loomd for.
	c.Mode = "full"
	// Some ten thousand calls of a usual size, and a bound on the disk.
	c.SessionSize, c.SessionFiles = 64*mib, 5
	// Whole in nearly every case; the rest is marked as cut.
	c.MessageBytes = 256 * kib
}

func (i *Inspector) setDefaults() {
	// Whoever may see the calls may make them.
	i.Replay = true
}

func (r *Ring) setDefaults() {
	// Some minutes of a busy day, and a bound on memory for large messages.
	r.Calls, r.Bytes = 10_000, 64*mib
}

func (r *Redact) setDefaults() {
	// Where credentials travel.
	r.Metadata = []string{"authorization", "cookie"}
}

func (r *Restart) setDefaults() {
	// Start-up reads a file and binds nothing new; a minute is for machines
	// that swap.
	r.ReadyTimeout = Duration(time.Minute)
	// Below the 90 s after which systemd kills, with time to spare.
	r.Drain = Duration(30 * time.Second)
	// A process that crashes under the first calls does so at once.
	r.Probation = Duration(3 * time.Second)
	// A few reloads in a row, while long streams go on. Each process has a ring
	// of its own, so more of them cost memory.
	r.Generations = 4
}

func (l *Log) setDefaults() {
	l.Level = "info"
	// People read terminals, machines read files.
	l.Format = "auto"
}
