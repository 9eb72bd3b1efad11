package route

// maxIdentity bounds the length in bytes of an identity that a rule can name or
// match: the SPIFFE standard allows no more. It also bounds the work of a glob.
const maxIdentity = 2048

// isCaller reports whether an identity is one that pattern stands for. A caller
// that nobody knows is none.
func isCaller(pattern, identity string) bool {
	if identity == "" || len(identity) > maxIdentity {
		return false
	}
	return globBy(pattern, identity, func(c byte) byte { return c })
}
