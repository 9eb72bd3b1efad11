package inspector

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
	"loom/internal/grpcurl"
	"loom/internal/replay"
)

// grpcurl answers with a command that makes the recorded call again.
func (s *Server) grpcurl(w http.ResponseWriter, r *http.Request) error {
	c, err := s.call(r.PathValue("id"))
	if err != nil {
		return err
	}
	command, notes := s.command(r, c)
	text, err := command.Shell()
	if err != nil {
		return failed(http.StatusConflict, "%v", err)
	}
	return answer(w, struct {
		Command string   `json:"command"`
		Omitted []string `json:"omitted"`
		Notes   []string `json:"notes"`
	}{text, orEmpty(command.Omitted()), orEmpty(notes)})
}

func (s *Server) command(r *http.Request, c *loomv1.Call) (grpcurl.Command, []string) {
	var notes []string
	command := grpcurl.Command{
		Plaintext: true, Path: c.GetPath(), Authority: c.GetAuthority(), Metadata: callersOwn(c.GetRequestHeaders()),
		Credentials: r.URL.Query().Get("credentials") == "1",
		Timeout:     c.GetTimeout().AsDuration().Round(time.Millisecond),
	}
	if listeners := s.opts.Info.Listeners; len(listeners) > 0 {
		command.Address, command.Unix = strings.CutPrefix(listeners[0].Address, "unix:")
		command.Plaintext = !listeners[0].TLS
	} else {
		command.Address = c.GetAuthority()
		notes = append(notes, "No listener is known here, so the address is the authority of the call.")
	}
	if problem := replayProblem(c); problem != "" {
		notes = append(notes, "The messages are not those that were sent: "+problem+".")
	}
	d := s.decoding(r.Context(), c, true)
	if d.known.method == nil {
		notes = append(notes, "grpcurl needs the method's types: give it -protoset or -proto ("+d.known.problem+").")
	}
	if d.known.method != nil && d.known.method.Source != decode.FromReflection {
		command.Protoset = "backend.protoset"
		notes = append(notes, fmt.Sprintf("The types came from %s and not by reflection: save the backend's protoset as backend.protoset.", d.known.method.Source))
	}
	for i, m := range c.GetMessages() {
		if m.GetDirection() != loomv1.Direction_DIRECTION_REQUEST {
			continue
		}
		js := d.at(i).JSON
		if len(js) == 0 || d.known.method == nil {
			js = json.RawMessage("{}")
			notes = append(notes, fmt.Sprintf("Message %d cannot be shown as JSON; {} stands in its place.", m.GetSequence()))
		}
		if len(command.Messages) < maxSent {
			command.Messages = append(command.Messages, js)
		}
	}
	return command, notes
}

// callersOwn leaves out what the inspector itself added to a replay.
func callersOwn(fields []*loomv1.Metadata) []*loomv1.Metadata {
	var out []*loomv1.Metadata
	for _, m := range fields {
		if m.GetName() != mark && m.GetName() != replay.Link {
			out = append(out, m)
		}
	}
	return out
}
