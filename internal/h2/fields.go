package h2

// BlockKind says which header block of a stream it is.
type BlockKind uint8

// The kinds of header blocks, in the order in which they come.
const (
	BlockHeaders  BlockKind = iota // a request's, or the final ones of a response
	BlockInterim                   // of a response, with a status of 1xx
	BlockTrailers                  // after the data
	BlockOversize                  // a request's, too large: the fields before the limit
)

// pseudo-header fields, as bits of those that were seen.
const (
	pseudoMethod = 1 << iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoStatus
	pseudoProtocol
)

func pseudoBit(name string) int {
	switch name {
	case ":method":
		return pseudoMethod
	case ":scheme":
		return pseudoScheme
	case ":authority":
		return pseudoAuthority
	case ":path":
		return pseudoPath
	case ":status":
		return pseudoStatus
	default:
		return 0
	}
}

// checkRequest says what makes a request malformed (RFC 9113, section 8.3.1);
// the empty string if nothing does. length is the content-length, or -1.
func checkRequest(fields []Field) (length int64, fault string) {
	seen, length, fault := checkFields(fields, pseudoMethod|pseudoScheme|pseudoAuthority|pseudoPath)
	if fault != "" {
		return length, fault
	}
	if seen&pseudoMethod == 0 {
		return length, "no :method"
	}
	// CONNECT, which has neither, is not relayed.
	if seen&pseudoScheme == 0 || seen&pseudoPath == 0 {
		return length, "no :scheme or no :path"
	}
	return length, ""
}

// checkResponse is checkRequest for a response; interim is true for a 1xx.
func checkResponse(fields []Field) (interim bool, length int64, fault string) {
	seen, length, fault := checkFields(fields, pseudoStatus)
	if fault != "" {
		return false, length, fault
	}
	if seen&pseudoStatus == 0 {
		return false, length, "no :status"
	}
	status := fields[0].Value
	if len(status) != 3 || status[0] < '1' || status[0] > '9' || !digits(status) {
		return false, length, "a :status that is no number of three digits"
	}
	return status[0] == '1', length, ""
}

// checkTrailers is checkRequest for trailers, which have no pseudo-header fields.
func checkTrailers(fields []Field) (fault string) {
	_, _, fault = checkFields(fields, 0)
	return fault
}

func checkFields(fields []Field, allowed int) (seen int, length int64, fault string) {
	length = -1
	regular := false
	for i := range fields {
		f := &fields[i]
		if len(f.Name) > 0 && f.Name[0] == ':' {
			bit := pseudoBit(f.Name)
			switch {
			case bit&allowed == 0:
				return seen, length, "a pseudo-header field that does not belong here"
			case regular:
				return seen, length, "a pseudo-header field after a regular one"
			case seen&bit != 0:
				return seen, length, "a repeated pseudo-header field"
			case bit == pseudoPath && f.Value == "":
				return seen, length, "an empty :path"
			}
			seen |= bit
		} else {
			regular = true
			if !validName(f.Name) {
				return seen, length, "a field name that is empty or has characters not allowed"
			}
			if fault := checkRegular(f, &length); fault != "" {
				return seen, length, fault
			}
		}
		if !validValue(f.Value) {
			return seen, length, "a field value with characters not allowed"
		}
	}
	return seen, length, ""
}

// checkRegular refuses the fields that speak of an HTTP/1 connection
// (RFC 9113, section 8.2.2) and reads content-length.
func checkRegular(f *Field, length *int64) (fault string) {
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return "a connection-specific field"
	case "te":
		if f.Value != "trailers" {
			return "a te that is not trailers"
		}
	case "content-length":
		n, ok := parseLength(f.Value)
		if !ok || *length >= 0 && *length != n {
			return "a content-length that is no number, or two that differ"
		}
		*length = n
	}
	return ""
}

func parseLength(s string) (int64, bool) {
	if s == "" || len(s) > 18 || !digits(s) {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// validName: RFC 9113, section 8.2.1: no upper case, no control characters,
// no spaces, no colon, nothing beyond ASCII.
func validName(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= 0x20 || c >= 0x7f || c == ':' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// validValue: RFC 9113, section 8.2.1: no NUL, CR or LF, no white space at
// either end.
func validValue(s string) bool {
	if s == "" {
		return true
	}
	if blank(s[0]) || blank(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c == 0 || c == '\n' || c == '\r' {
			return false
		}
	}
	return true
}

func blank(c byte) bool { return c == ' ' || c == '\t' }
