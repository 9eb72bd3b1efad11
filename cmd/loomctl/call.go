package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"

	loomv1 "loom/api/loom/v1"
)

// callFacts are the facts of a call without its messages.
func callFacts(a *loomv1.GetCallResponse) table {
	k := a.GetCall()
	t := facts()
	t.add("id", k.GetId())
	t.add("method", k.GetPath())
	t.add("how it ended", a.GetVerdict())
	t.add("began", time.UnixMicro(k.GetStart().AsTime().UnixMicro()).Format("2006-01-02 "+clock))
	if k.GetState() == loomv1.CallState_CALL_STATE_ENDED {
		t.add("took", length(k.GetTimings().GetEnd().AsDuration()))
	}
	if st := k.GetStatus(); st != nil {
		t.add("status", statusName(st.GetCode()))
		if st.GetMessage() != "" {
			t.add("message", st.GetMessage())
		}
	}
	t.add("caller", k.GetPeer())
	t.add("route", orElse(k.GetRoute(), nothing))
	t.add("backend", orElse(k.GetBackend(), nothing))
	t.add("endpoint", orElse(k.GetEndpoint(), nothing))
	if n := len(k.GetAttempts()); n > 1 {
		t.add("attempts", count(n))
	}
	if k.GetReplayOf() != "" {
		t.add("replay of", k.GetReplayOf())
	}
	t.add("request", traffic(k.GetRequest()))
	t.add("response", traffic(k.GetResponse()))
	t.add("decoded by", a.GetSource())
	return t
}

func traffic(t *loomv1.Traffic) string {
	return counted(t.GetMessages(), "message") + ", " + size(t.GetBytes())
}

// writeCall writes a call for a person.
func writeCall(w io.Writer, p painter, a *loomv1.GetCallResponse) {
	t := callFacts(a)
	fmt.Fprint(w, t.text(true, p))
	writeMetadata(w, p, "Request metadata", a.GetCall().GetRequestHeaders())
	writeMetadata(w, p, "Response metadata", a.GetCall().GetResponseHeaders())
	writeMetadata(w, p, "Trailers", a.GetCall().GetTrailers())
	if a.GetStatusDetails() != "" {
		fmt.Fprintf(w, "\n%s\n%s\n", p.paint("Status details", bold), printable(indented(a.GetStatusDetails())))
	}
	for _, m := range a.GetMessages() {
		fmt.Fprintf(w, "\n%s\n", p.paint(messageTitle(m), bold))
		if m.GetJson() != "" {
			fmt.Fprintln(w, printable(indented(m.GetJson())))
		}
		if m.GetProblem() != "" {
			fmt.Fprintln(w, p.paint("("+printable(m.GetProblem())+")", doubt))
		}
	}
	if left := len(a.GetCall().GetMessages()) - len(a.GetMessages()); left > 0 {
		fmt.Fprintf(w, "\n%d more messages are recorded; the inspector shows them.\n", left)
	}
}

func messageTitle(m *loomv1.DecodedMessage) string {
	way := "↑ request"
	if m.GetDirection() == loomv1.Direction_DIRECTION_RESPONSE {
		way = "↓ response"
	}
	return printable(fmt.Sprintf("%s %d  +%s  %s  %s", way, m.GetSequence(), length(m.GetAt().AsDuration().Truncate(time.Microsecond)), size(m.GetSize()), m.GetType()))
}

func writeMetadata(w io.Writer, p painter, title string, fields []*loomv1.Metadata) {
	if len(fields) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", p.paint(title, bold))
	for _, f := range fields {
		fmt.Fprintf(w, "%s: %s\n", p.paint(printable(f.GetName()), dim), printable(metadataText(f)))
	}
}

func metadataText(f *loomv1.Metadata) string {
	switch {
	case f.GetRedacted():
		return "(redacted)"
	case f.GetBinary() != nil:
		return base64.StdEncoding.EncodeToString(f.GetBinary())
	}
	return f.GetText()
}

// indented is JSON as a person reads it.
func indented(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}
