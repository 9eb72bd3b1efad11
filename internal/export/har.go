package export

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"

	loomv1 "loom/api/loom/v1"
)

// harHead begins a HAR file. Version is that of HAR, and creator wants one too.
const (
	harHead = `{"log":{"version":"1.2","creator":{"name":"loom","version":"1"},"entries":[`
	harTail = "\n]}}\n"
)

// HAR writes the calls as an HTTP archive, version 1.2: a POST each, with the
// gRPC frames as bodies in base64. What HTTP has no word for stands in fields
// that begin with an underscore, as HAR wants it, and in comments.
func HAR(w io.Writer, calls iter.Seq[*loomv1.Call]) error {
	if _, err := io.WriteString(w, harHead); err != nil {
		return fmt.Errorf("begin the HTTP archive: %w", err)
	}
	separator := "\n"
	for c := range calls {
		entry, err := json.Marshal(newHAREntry(c))
		if err != nil {
			return fmt.Errorf("write call %s: %w", c.GetId(), err)
		}
		if _, err := fmt.Fprintf(w, "%s%s", separator, entry); err != nil {
			return fmt.Errorf("write call %s: %w", c.GetId(), err)
		}
		separator = ",\n"
	}
	if _, err := io.WriteString(w, harTail); err != nil {
		return fmt.Errorf("end the HTTP archive: %w", err)
	}
	return nil
}

// harEntry and what it holds have the names of the HAR 1.2 specification.
// Numbers of milliseconds may have fractions; -1 is unknown.
type harEntry struct {
	StartedDateTime string       `json:"startedDateTime"`
	Time            float64      `json:"time"`
	Request         harRequest   `json:"request"`
	Response        harResponse  `json:"response"`
	Cache           struct{}     `json:"cache"`
	Timings         harTimings   `json:"timings"`
	ServerIPAddress string       `json:"serverIPAddress,omitempty"`
	Comment         string       `json:"comment"`
	ID              string       `json:"_id"`
	Route           string       `json:"_route,omitempty"`
	Backend         string       `json:"_backend,omitempty"`
	Messages        []harMessage `json:"_messages"`
}

type harRequest struct {
	Method      string       `json:"method"`
	URL         string       `json:"url"`
	HTTPVersion string       `json:"httpVersion"`
	Cookies     []struct{}   `json:"cookies"`
	Headers     []harField   `json:"headers"`
	QueryString []struct{}   `json:"queryString"`
	PostData    *harPostData `json:"postData,omitempty"`
	HeadersSize int          `json:"headersSize"`
	BodySize    uint64       `json:"bodySize"`
}

type harResponse struct {
	Status      int        `json:"status"`
	StatusText  string     `json:"statusText"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []struct{} `json:"cookies"`
	Headers     []harField `json:"headers"`
	Content     harContent `json:"content"`
	RedirectURL string     `json:"redirectURL"`
	HeadersSize int        `json:"headersSize"`
	BodySize    uint64     `json:"bodySize"`
	Trailers    []harField `json:"_trailers"`
}

type harField struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Comment string `json:"comment,omitempty"`
}

type harPostData struct {
	MIMEType string `json:"mimeType"`
	Text     string `json:"text"`
	Encoding string `json:"_encoding"`
	Comment  string `json:"comment,omitempty"`
}

type harContent struct {
	Size     uint64 `json:"size"`
	MIMEType string `json:"mimeType"`
	Text     string `json:"text,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

type harTimings struct {
	Blocked float64 `json:"blocked"`
	DNS     float64 `json:"dns"`
	Connect float64 `json:"connect"`
	SSL     float64 `json:"ssl"`
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

// harMessage tells of one message when it came; its bytes are in the body.
type harMessage struct {
	Type       string  `json:"type"` // send or receive, as browsers say it of WebSockets
	Time       float64 `json:"time"` // milliseconds since the start of the call
	Sequence   uint64  `json:"sequence"`
	Size       uint64  `json:"size"`
	Compressed bool    `json:"compressed,omitempty"`
	Missing    string  `json:"missing,omitempty"` // why its bytes are not all in the body
}
