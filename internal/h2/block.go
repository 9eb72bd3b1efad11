package h2

// headerBlock is a decoded header block. It never changes, so that its
// fields may be kept, and shared by all the calls whose blocks are the same
// to the byte.
type headerBlock struct {
	fields   []Field
	oversize bool // the list is larger than we take; fields are those before
	flood    bool // so large that the connection must end

	// The verdict of the last check; blocks that come again are of one kind.
	checked bool
	kind    checkKind
	interim bool
	length  int64
	fault   string
}

type checkKind uint8

const (
	checkedRequest checkKind = iota
	checkedResponse
	checkedTrailers
)

// check validates the fields for what they are taken for, once.
func (h *headerBlock) check(kind checkKind) {
	if h.checked && h.kind == kind {
		return
	}
	h.checked, h.kind = true, kind
	switch kind {
	case checkedRequest:
		h.length, h.fault = checkRequest(h.fields)
	case checkedResponse:
		h.interim, h.length, h.fault = checkResponse(h.fields)
	case checkedTrailers:
		h.fault = checkTrailers(h.fields)
	}
}

// tableNeutral reports whether an encoded block leaves the dynamic table as
// it is: then the same bytes mean the same fields as long as no other block
// changes the table (RFC 7541, section 6).
func tableNeutral(p []byte) bool {
	for len(p) > 0 {
		first := p[0]
		var ok bool
		switch {
		case first&0x80 != 0: // indexed
			p, _, ok = skipInt(p, 7)
		case first&0xe0 != 0: // literal with indexing, or a size update
			return false
		default: // literal without indexing, or never indexed
			var index uint64
			p, index, ok = skipInt(p, 4)
			if ok && index == 0 {
				p, ok = skipString(p)
			}
			if ok {
				p, ok = skipString(p)
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// wholeFields returns how many bytes of p, which begins with a field, hold
// fields that are complete.
func wholeFields(p []byte) int {
	rest := p
	for len(rest) > 0 {
		next, ok := skipField(rest)
		if !ok {
			break
		}
		rest = next
	}
	return len(p) - len(rest)
}

// skipField takes a field or a size update off p.
func skipField(p []byte) (rest []byte, ok bool) {
	bits := uint(4) // literal without indexing, or never indexed
	switch first := p[0]; {
	case first&0x80 != 0: // indexed
		p, _, ok = skipInt(p, 7)
		return p, ok
	case first&0xc0 == 0x40: // literal with indexing
		bits = 6
	case first&0xe0 == 0x20: // size update
		p, _, ok = skipInt(p, 5)
		return p, ok
	}
	p, index, ok := skipInt(p, bits)
	if ok && index == 0 {
		p, ok = skipString(p)
	}
	if ok {
		p, ok = skipString(p)
	}
	return p, ok
}

// skipInt takes an integer with a prefix of n bits off p (RFC 7541, section 5.1).
func skipInt(p []byte, n uint) (rest []byte, v uint64, ok bool) {
	if len(p) == 0 {
		return nil, 0, false
	}
	mask := uint64(1)<<n - 1
	if v = uint64(p[0]) & mask; v < mask {
		return p[1:], v, true
	}
	for i := 1; i < len(p) && i < 10; i++ { // as far as the library goes
		v += uint64(p[i]&0x7f) << (7 * (i - 1))
		if p[i]&0x80 == 0 {
			return p[i+1:], v, true
		}
	}
	return nil, 0, false
}

// skipString takes a string literal off p (RFC 7541, section 5.2).
func skipString(p []byte) (rest []byte, ok bool) {
	p, n, ok := skipInt(p, 7)
	if !ok || uint64(len(p)) < n {
		return nil, false
	}
	return p[n:], true
}
