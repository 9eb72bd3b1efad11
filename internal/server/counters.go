package server

import (
	"sync/atomic"

	"go.uber.org/zap"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/relay"
)

// Counters counts how often each limit was hit.
type Counters struct {
	H2                 h2.Counters
	Relay              relay.Counters
	Backend            backend.Counters
	ConnectionsRefused atomic.Uint64 // beyond limits.connections of a listener
}

// limit is a bound and how often it was hit.
type limit struct {
	name string
	n    *atomic.Uint64
}

// limits lists what is counted.
func (c *Counters) limits() []limit {
	h := &c.H2
	return []limit{
		{"connections_refused", &c.ConnectionsRefused},
		{"preface_timeouts", &h.PrefaceTimeouts},
		{"streams_refused", &h.StreamsRefused},
		{"header_lists_too_large", &h.HeaderLists},
		{"header_floods", &h.HeaderFloods},
		{"continuation_floods", &h.Continuations},
		{"early_reset_floods", &h.EarlyResets},
		{"own_reset_floods", &h.OwnResets},
		{"empty_frame_floods", &h.Noise},
		{"control_reply_floods", &h.ControlReplies},
		{"connection_credit_held", &h.ConnCreditHeld},
		{"buffer_refusals", &h.BudgetRefusals},
		{"buffer_resets", &h.BudgetResets},
		{"stream_stalls", &h.Stalls},
		{"calls_that_waited", &c.Backend.CallsWaited},
		{"pending_refused", &c.Backend.PendingRefused},
		{"connect_timeouts", &c.Backend.ConnectTimeouts},
		{"requests_not_kept", &c.Relay.KeptRequests},
		{"keepalives_lost", &h.KeepaliveLost},
		{"protocol_errors", &h.ProtocolErrors},
		{"stream_errors", &h.StreamErrors},
	}
}

// LogTotals writes what the server has done, and each limit that was hit.
func (s *Server) LogTotals() {
	fields := []zap.Field{zap.Uint64("calls", s.relay.Calls())}
	for _, l := range s.counters.limits() {
		if n := l.n.Load(); n > 0 {
			fields = append(fields, zap.Uint64(l.name, n))
		}
	}
	s.log.Info("stopped", fields...)
}
