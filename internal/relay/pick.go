package relay

import (
	"loom/internal/backend"
	"loom/internal/h2"
)

// pickOf is what a request asks of the choice of its endpoint: the same one
// for the same value of the metadata of that name, if there is such a name.
func pickOf(name string, fields []h2.Field) backend.Pick {
	if name == "" {
		return backend.Pick{}
	}
	for i := range fields {
		if f := &fields[i]; f.Name == name {
			return backend.Pick{Hash: backend.Hash(f.Value), Hashed: true}
		}
	}
	return backend.Pick{}
}
