package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"
)

// FieldError says what is wrong at one place of a body.
type FieldError struct {
	Path    string `json:"path"` // such as /messages/0/order/id
	Message string `json:"message"`
}

// statusError is an error with its HTTP status.
type statusError struct {
	status  int
	message string
	fields  []FieldError
}

func (f *statusError) Error() string { return f.message }

func failed(status int, format string, args ...any) error {
	return &statusError{status: status, message: fmt.Sprintf(format, args...)}
}

// answerError writes an error as JSON. It is the only place that does.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	var f *statusError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &f):
	case errors.As(err, &large):
		f = &statusError{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the body is larger than %d bytes", large.Limit)}
	case r.Context().Err() != nil:
		return // nobody is there to read it
	case errors.Is(err, context.DeadlineExceeded):
		f = &statusError{status: http.StatusGatewayTimeout, message: err.Error()}
	default:
		f = &statusError{status: http.StatusInternalServerError, message: err.Error()}
		s.opts.Log.Warn("inspector could not answer", zap.String("path", r.URL.Path), zap.Error(err))
	}
	answerJSON(w, f.status, struct {
		Error  string       `json:"error"`
		Fields []FieldError `json:"fields,omitempty"`
	}{f.message, f.fields})
}

// answerJSON writes what is plain data of ours, which always encodes.
func answerJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	answerBytes(w, status, data)
}

func answerBytes(w http.ResponseWriter, status int, data []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data) //nolint:gosec // JSON under nosniff, which no browser renders; the reader may be gone
}

func answer(w http.ResponseWriter, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer as JSON: %w", err)
	}
	answerBytes(w, http.StatusOK, data)
	return nil
}
