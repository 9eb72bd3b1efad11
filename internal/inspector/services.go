package inspector

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
)

const (
	servicesTime = 10 * time.Second // for a backend to say what it offers
	maxServices  = 500              // that are shown of a backend
)

type serviceView struct {
	Name    string       `json:"name"`
	Source  string       `json:"source"`
	Error   string       `json:"error,omitempty"` // why its methods are not known
	Methods []methodView `json:"methods"`
}

type methodView struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	Kind   string `json:"kind"` // as in StreamKind
	Input  string `json:"input"`
	Output string `json:"output"`
}

// services answers with what a backend offers. A backend without reflection
// is no failure: the error says so beside what is known all the same.
func (s *Server) services(w http.ResponseWriter, r *http.Request) error {
	backend := r.PathValue("name")
	ctx, stop := context.WithTimeout(r.Context(), servicesTime)
	defer stop()
	view := struct {
		Services []serviceView `json:"services"`
		Problems []string      `json:"problems"`
		Error    string        `json:"error"`
	}{Services: []serviceView{}}
	names, err := s.opts.Schemas.Services(ctx, backend)
	if err != nil {
		view.Error = err.Error()
	}
	for _, name := range names[:min(len(names), maxServices)] {
		view.Services = append(view.Services, s.service(ctx, backend, name))
	}
	view.Problems = orEmpty(s.opts.Schemas.Problems(backend))
	return answer(w, view)
}

func (s *Server) service(ctx context.Context, backend, name string) serviceView {
	view := serviceView{Name: name, Source: decode.Schemaless.String(), Methods: []methodView{}}
	desc, source, err := s.opts.Schemas.Service(ctx, backend, name)
	if err != nil {
		view.Error = err.Error()
		return view
	}
	view.Source = source.String()
	for i := range desc.Methods().Len() {
		m := desc.Methods().Get(i)
		view.Methods = append(view.Methods, methodView{
			Name: string(m.Name()), Path: "/" + name + "/" + string(m.Name()), Kind: kindOf(m).String(),
			Input: string(m.Input().FullName()), Output: string(m.Output().FullName()),
		})
	}
	return view
}

func kindOf(m protoreflect.MethodDescriptor) loomv1.StreamKind {
	switch {
	case m.IsStreamingClient() && m.IsStreamingServer():
		return loomv1.StreamKind_STREAM_KIND_BIDI_STREAM
	case m.IsStreamingClient():
		return loomv1.StreamKind_STREAM_KIND_CLIENT_STREAM
	case m.IsStreamingServer():
		return loomv1.StreamKind_STREAM_KIND_SERVER_STREAM
	}
	return loomv1.StreamKind_STREAM_KIND_UNARY
}

// message answers with the fields of a message and an example of it. The
// services of the backend have to be known already, by asking for them.
func (s *Server) message(w http.ResponseWriter, r *http.Request) error {
	name := protoreflect.FullName(strings.TrimPrefix(r.PathValue("type"), "."))
	if !name.IsValid() {
		return failed(http.StatusBadRequest, "this is not the name of a message")
	}
	types := s.opts.Schemas.Types(r.PathValue("name"))
	if types == nil {
		return failed(http.StatusNotFound, "nothing is known of this backend's messages")
	}
	t, err := types.FindMessageByName(name)
	if err != nil {
		return failed(http.StatusNotFound, "message %s is not known", name)
	}
	return answer(w, struct {
		Shape    decode.MessageShape `json:"shape"`
		Template json.RawMessage     `json:"template"`
	}{decode.Shape(t.Descriptor()), decode.Template(t.Descriptor())})
}
