package reflectcache

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"loom/internal/decode"
)

// types resolves names in one service's files and then in all of its backend:
// an Any may hold what only another service declares. Two that resolve the same
// are equal, so that others can keep what they derive by it.
type types struct {
	cache   *Cache
	backend string
	own     *dynamicpb.Types // nil: none
}

// Types resolves message and extension names in all that is known of a backend
// at the time of each call. It never waits.
func (c *Cache) Types(backend string) decode.Resolver { return types{cache: c, backend: backend} }

func search[T any](t types, find func(*dynamicpb.Types) (T, error)) (T, error) {
	if t.own != nil {
		if found, err := find(t.own); err == nil {
			return found, nil
		}
	}
	if s := t.cache.shelf(t.backend); s != nil {
		for _, e := range s.entries {
			if e.linked.types == t.own {
				continue
			}
			if found, err := find(e.linked.types); err == nil {
				return found, nil
			}
		}
		t.cache.unwrapSoon(t.backend) // for who looks again
	}
	var none T
	return none, protoregistry.NotFound
}

// FindMessageByName implements decode.Resolver.
func (t types) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	return search(t, func(d *dynamicpb.Types) (protoreflect.MessageType, error) { return d.FindMessageByName(name) })
}

// FindMessageByURL implements decode.Resolver.
func (t types) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return search(t, func(d *dynamicpb.Types) (protoreflect.MessageType, error) { return d.FindMessageByURL(url) })
}

// FindExtensionByName implements decode.Resolver.
func (t types) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return search(t, func(d *dynamicpb.Types) (protoreflect.ExtensionType, error) { return d.FindExtensionByName(name) })
}

// FindExtensionByNumber implements decode.Resolver.
func (t types) FindExtensionByNumber(of protoreflect.FullName, n protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return search(t, func(d *dynamicpb.Types) (protoreflect.ExtensionType, error) {
		return d.FindExtensionByNumber(of, n)
	})
}
