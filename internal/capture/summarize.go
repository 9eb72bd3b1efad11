package capture

import (
	loomv1 "loom/api/loom/v1"
)

// Summarize makes the row of a call.
func Summarize(c *loomv1.Call) *loomv1.CallSummary {
	s := &loomv1.CallSummary{
		Id: c.GetId(), At: c.GetStart().AsTime().UnixMicro(), Path: c.GetPath(), Route: c.GetRoute(), Backend: c.GetBackend(),
		Endpoint: c.GetEndpoint(), Peer: c.GetPeer(), Kind: c.GetKind(), State: c.GetState(), By: c.GetEndedBy(), Reason: c.GetReason(),
		Took: c.GetTimings().GetEnd().AsDuration().Microseconds(), Timeout: c.GetTimeout().AsDuration().Microseconds(),
		Up: c.GetRequest().GetMessages(), Down: c.GetResponse().GetMessages(),
		UpBytes: c.GetRequest().GetBytes(), DownBytes: c.GetResponse().GetBytes(),
		Attempts: uint32(len(c.GetAttempts())), ReplayOf: c.GetReplayOf(), Revision: c.GetRevision(),
		Cut: c.GetOmission() != nil || c.GetRequest().GetUnrecorded()+c.GetResponse().GetUnrecorded() > 0,
	}
	if c.GetStatus() != nil {
		s.Code = new(c.GetStatus().GetCode())
	}
	for _, m := range c.GetMessages() {
		s.Cut = s.GetCut() || m.GetTruncated() || m.GetWithheld() != ""
	}
	for _, m := range c.GetRequestHeaders() {
		if m.GetName() == "traceparent" {
			s.Trace = traceID(m.GetText())
		}
	}
	return s
}
