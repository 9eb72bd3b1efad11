package inspector

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

// maxBody bounds what a page may post: messages of a call to make, as JSON.
// gRPC itself takes 4 MiB a message unless told otherwise.
const maxBody = 16 << 20

// readBody decodes the JSON of a request. Keys that nobody knows are errors:
// a misspelt one would silently do something else.
func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return failed(http.StatusUnsupportedMediaType, "the body must be application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return err
		}
		return failed(http.StatusBadRequest, "the body is not what was expected: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return failed(http.StatusBadRequest, "more follows the body")
	}
	return nil
}
