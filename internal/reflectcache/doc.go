// Package reflectcache knows the methods of backends: it asks Server Reflection
// once, keeps the answer in memory and on disk, and gives it to whoever decodes
// a call.
//
// The ladder for a service is: reflection (v1, then v1alpha), the protosets
// and .proto files configured for the backend, and what an earlier run left on
// disk. A fetch belongs to the cache and not to whoever asked first: it has a
// context and a timeout of its own, and all who ask for the same service
// meanwhile share it. What is known is served at once and renewed behind the
// back of the asker.
//
// Callers of loom choose the paths that Lookup is asked for, so a name that no
// backend has must cost little: it takes a place in a table of fixed size, and
// each backend is asked for so many in a while. Names that it lists go first.
//
// Invariant: Lookup takes no lock and allocates nothing for a service that the
// cache knows or has given up on for now. For others it takes locks that are
// held for a few steps. What can be reached from a view is immutable but for the
// atomics of an entry and the desk of a backend.
//
// Pitfall: a method may come from files of which some are missing. Its messages
// then hold placeholders, which tell no fields; Problems names the files.
package reflectcache
