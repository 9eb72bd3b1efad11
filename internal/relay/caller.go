package relay

import (
	"loom/internal/h2"
)

// Caller is what a listener knows of a connection that calls come in on. The
// zero value knows nothing but the connection itself.
type Caller struct {
	// H2 is how the connection is treated; nil: as Options.H2 says.
	H2 *h2.Options
	// Peer is the address of the caller; empty: that of the connection.
	Peer string
	// Identity is who calls, by a certificate that was verified; empty if it
	// is not known.
	Identity string
	// IdentityMetadata is the name under which backends are told the identity.
	// What callers send under it is removed; empty: backends are not told.
	IdentityMetadata string
}

// introduce replaces what the caller says of itself by what is known of it, in
// memory of its own.
func (c *Caller) introduce(fields []h2.Field) []h2.Field {
	fields = c.silence(fields)
	if c.Identity != "" {
		fields = append(fields, h2.Field{Name: c.IdentityMetadata, Value: c.Identity})
	}
	return fields
}

// silence takes out what the caller says of itself, in memory of its own.
func (c *Caller) silence(fields []h2.Field) []h2.Field {
	out := make([]h2.Field, 0, len(fields)+1)
	for _, f := range fields {
		if f.Name != c.IdentityMetadata {
			out = append(out, f)
		}
	}
	return out
}
