package inspector

import (
	"net/http"

	"loom/internal/capture"
)

// Info is what does not change while a loomd runs.
type Info struct {
	// Generation of the process, as in the ids of calls. It must differ from
	// that of every process before.
	Generation uint64
	Version    string
	Title      string // such as the name of an opened file; empty: none
	Listeners  []ListenerView
	Sample     string // a command that makes a first call
}

// ListenerView is a socket that takes calls.
type ListenerView struct {
	Name    string `json:"name"`
	Address string `json:"address"` // host:port, or unix:PATH
	TLS     bool   `json:"tls"`
	// Certificates are those that clients get to see.
	Certificates []CertificateView `json:"certificates,omitempty"`
	Problem      string            `json:"problem,omitempty"` // with the file of those who sign clients'
}

// CertificateView is a certificate of a listener.
type CertificateView struct {
	Name    string `json:"name"`            // whom it is for
	Expires string `json:"expires"`         // date and time, UTC
	Error   string `json:"error,omitempty"` // why newer files are not in force
}

type captureView struct {
	Mode string `json:"mode"`
}

// session tells the page what it talks to. A page without the cookie learns
// it here.
func (s *Server) session(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, struct {
		Generation uint64         `json:"generation"`
		Version    string         `json:"version"`
		ReadOnly   bool           `json:"readOnly"`
		Replay     bool           `json:"replay"`
		Listeners  []ListenerView `json:"listeners"`
		Capture    captureView    `json:"capture"`
		Sample     string         `json:"sample"`
		Title      string         `json:"title"`
	}{
		s.opts.Info.Generation, s.opts.Info.Version, s.opts.ReadOnly, s.canReplay(),
		orEmpty(s.opts.Info.Listeners), captureView{s.opts.Store.Mode().String()}, s.opts.Info.Sample, s.opts.Info.Title,
	})
}

// orEmpty makes [] of nil in JSON.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// setMode switches how much of calls is recorded.
func (s *Server) setMode(w http.ResponseWriter, r *http.Request) error {
	var body captureView
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	for _, m := range []capture.Mode{capture.Full, capture.Metadata, capture.Off} {
		if m.String() == body.Mode {
			s.opts.Store.SetMode(m)
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	return failed(http.StatusBadRequest, "the mode is full, metadata or off")
}

// clear forgets the calls that have ended.
func (s *Server) clear(w http.ResponseWriter, r *http.Request) error {
	if err := readBody(w, r, &struct{}{}); err != nil {
		return err
	}
	s.opts.Store.Clear()
	w.WriteHeader(http.StatusNoContent)
	return nil
}
