package relay

import (
	"strings"
	"sync"
	"time"

	"loom/internal/h2"
)

// request is what the relay needs to know of a request's header fields.
type request struct {
	path      string
	authority string
	timeout   time.Duration // 0: no deadline
	grpc      bool          // it is a gRPC call
	head      bool          // its answer must have no body
}

func readRequest(fields []h2.Field) request {
	var r request
	var method, contentType string
	for i := range fields {
		f := &fields[i]
		switch f.Name {
		case ":path":
			r.path = f.Value
		case ":authority":
			r.authority = f.Value
		case ":method":
			method = f.Value
		case "host":
			if r.authority == "" {
				r.authority = f.Value
			}
		case "content-type":
			contentType = f.Value
		case "grpc-timeout":
			// A malformed one goes on as it is: the backend says so better.
			if d, ok := parseTimeout(f.Value); ok {
				r.timeout = max(d, 1)
			}
		}
	}
	r.grpc = method == "POST" && isGRPC(contentType)
	r.head = method == "HEAD"
	return r
}

// isGRPC reports whether a content-type is that of a gRPC call (gRPC over
// HTTP/2, "Requests"): application/grpc with any subtype or parameter.
func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// kept is the request of a call while it may have to be sent (again).
type kept struct {
	fields   []h2.Field
	body     []byte
	end      bool       // END_STREAM has come
	trailers []h2.Field // of the request, if it has any
	unsent   int        // bytes at the end of body that no attempt has taken
	reserved int        // bytes of body that count against the budget
}

// smallBody is how much of a request is kept without asking the budget.
const smallBody = 1 << 10

// keptPool is shared by all calls: most need one for well under a millisecond.
var keptPool = sync.Pool{New: func() any { return &kept{} }}

func newKept(fields []h2.Field) *kept {
	k := keptPool.Get().(*kept)
	k.fields = fields
	return k
}

// free gives the memory back. A body that grew is left to the collector.
func (k *kept) free(budget *h2.Budget) {
	budget.Release(k.reserved)
	body := k.body[:0]
	if cap(body) > smallBody {
		body = nil
	}
	*k = kept{body: body}
	keptPool.Put(k)
}

// hopeless reports whether p begins a message that is too large to be kept
// whole: it shows in the prefix, before anything is copied in vain.
func (k *kept) hopeless(p []byte, most int) bool {
	return len(k.body) == 0 && len(p) >= prefixLen && messageSize(p)+prefixLen > most
}

// add keeps p as well. It reports false when that is more than a call may
// keep, or than the process has room for.
func (k *kept) add(p []byte, most int, budget *h2.Budget) bool {
	n := len(k.body) + len(p)
	if n > most {
		return false
	}
	if n > smallBody {
		if !budget.Reserve(n - k.reserved) {
			return false
		}
		k.reserved = n
	}
	k.body = append(k.body, p...)
	return true
}
