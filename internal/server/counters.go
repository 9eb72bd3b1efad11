package server

import (
	"sync/atomic"

	"go.uber.org/zap"

	"loom/internal/admin"
	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/relay"
)

// Counters counts how often each limit was hit.
type Counters struct {
	H2                   h2.Counters
	Relay                relay.Counters
	Backend              backend.Counters
	Admin                admin.Counters
	ConnectionsRefused   atomic.Uint64 // beyond limits.connections of a listener
	TLSHandshakesRefused atomic.Uint64 // beyond limits.tls_handshakes
	TLSHandshakeTimeouts atomic.Uint64 // beyond limits.tls_handshake_timeout
	TLSHandshakesFailed  atomic.Uint64 // for any other reason
	ProxyHeadersRefused  atomic.Uint64 // malformed, or not there in time
	RetiredEarly         atomic.Uint64 // backends beyond those that may be out of use while calls know them
}

// limit is a bound and how often it was hit.
type limit struct {
	name string
	help string // a sentence for who reads the metrics
	n    *atomic.Uint64
}

// limits lists what is counted.
func (c *Counters) limits() []limit {
	h := &c.H2
	return []limit{
		{"connections_refused", "Connections beyond limits.connections of a listener.", &c.ConnectionsRefused},
		{"tls_handshakes_refused", "Connections closed because too many TLS handshakes went on.", &c.TLSHandshakesRefused},
		{"tls_handshake_timeouts", "Connections closed because the client did not finish its TLS handshake in time.", &c.TLSHandshakeTimeouts},
		{"tls_handshakes_failed", "Connections closed because client and listener found no common ground in the TLS handshake.", &c.TLSHandshakesFailed},
		{"proxy_headers_refused", "Connections closed because their PROXY header was malformed or did not come in time.", &c.ProxyHeadersRefused},
		{"retired_early", "Backends out of use that calls got no further attempts from, because too many others were.", &c.RetiredEarly},
		{"preface_timeouts", "Connections closed because the peer did not finish its preface and SETTINGS in time.", &h.PrefaceTimeouts},
		{"streams_refused", "Streams beyond those that a peer may have open at once.", &h.StreamsRefused},
		{"header_lists_too_large", "Header lists too large or of too many fields.", &h.HeaderLists},
		{"header_floods", "Connections closed for a header list of four times the limit.", &h.HeaderFloods},
		{"continuation_floods", "Connections closed for too many CONTINUATION frames in a block.", &h.Continuations},
		{"early_reset_floods", "Connections closed because the peer reset too many streams soon after it opened them.", &h.EarlyResets},
		{"own_reset_floods", "Connections closed because the peer's mistakes made loom reset too many streams.", &h.OwnResets},
		{"empty_frame_floods", "Connections closed for too many frames that carry nothing.", &h.Noise},
		{"control_reply_floods", "Connections closed because the peer did not read the replies that it asked for.", &h.ControlReplies},
		{"connection_credit_held", "Times that a connection's credit was held back because it had too much buffered.", &h.ConnCreditHeld},
		{"buffer_refusals", "Times that there was no room in the process for bytes of a request.", &h.BudgetRefusals},
		{"buffer_resets", "Streams reset because the process had too much buffered.", &h.BudgetResets},
		{"stream_stalls", "Streams reset because they took nothing for too long while bytes waited.", &h.Stalls},
		{"calls_that_waited", "Calls that waited for a connection to a backend, or for room on one.", &c.Backend.CallsWaited},
		{"pending_refused", "Calls refused because too many waited for their backend.", &c.Backend.PendingRefused},
		{"concurrent_refused", "Calls refused because too many were open at their backend.", &c.Backend.ConcurrentRefused},
		{"ejections_denied", "Endpoints that stayed although calls to them failed, because of max_ejected_percent.", &c.Backend.EjectionsDenied},
		{"connect_timeouts", "Connections to backends given up because they took too long.", &c.Backend.ConnectTimeouts},
		{"endpoints_left_out", "Addresses of backends that were not used because there were too many, each time that a name was resolved.", &c.Backend.EndpointsLeftOut},
		{"endpoint_events_dropped", "Changes of endpoints that were not logged, because too many came at once.", &c.Backend.EventsDropped},
		{"requests_not_kept", "Requests too large to be kept for a second try.", &c.Relay.KeptRequests},
		{"breaker_rejections", "Calls refused because the breaker of their backend did not let them pass.", &c.Relay.BreakerRejections},
		{"overall_timeouts", "Calls ended by the timeout.overall of their route.", &c.Relay.OverallTimeouts},
		{"per_try_timeouts", "Tries given up after the timeout.per_try of their route.", &c.Relay.PerTryTimeouts},
		{"idle_timeouts", "Calls ended by the timeout.idle of their route.", &c.Relay.IdleTimeouts},
		{"retries", "Tries that the retry of a route asked for.", &c.Relay.Retries},
		{"retries_over_budget", "Tries that the retry.budget_percent of a route refused.", &c.Relay.RetriesOverBudget},
		{"mirrored", "Copies of calls that went to the backend of a mirror.", &c.Relay.Mirrored},
		{"mirrors_dropped", "Copies of calls that found no room, or were given up before they were through.", &c.Relay.MirrorsDropped},
		{"keepalives_lost", "Connections closed because the peer gave no sign of life.", &h.KeepaliveLost},
		{"protocol_errors", "Connections closed for any other fault of the peer.", &h.ProtocolErrors},
		{"admin_denied", "Calls on the admin socket by people who may not make them.", &c.Admin.Denied},
		{"admin_connections_refused", "Connections to the admin socket beyond those that may be open.", &c.Admin.Connections},
		{"admin_calls_refused", "Calls on the admin socket beyond those that may run at once.", &c.Admin.Calls},
		{"admin_streams_refused", "Streams on the admin socket beyond those that may be open at once.", &c.Admin.Streams},
		{"stream_errors", "Streams reset for a fault of the peer.", &h.StreamErrors},
	}
}

// LogTotals writes what the server and those before it have done, and each limit
// that was hit.
func (s *Server) LogTotals() {
	fields := []zap.Field{zap.Uint64("calls", s.calls.load())}
	for _, l := range s.counters.limits() {
		if n := l.n.Load(); n > 0 {
			fields = append(fields, zap.Uint64(l.name, n))
		}
	}
	s.log.Info("stopped", fields...)
}
