package reflectcache

import "time"

// Bounds of what backends and callers can make the cache hold or do. A path is
// the caller's word and a descriptor the backend's, so each has one.
const (
	maxBackends       = 256      // more than a configuration names; each may hold a shelf
	maxServices       = 512      // known ones of one backend; large APIs have a few dozen
	maxMemory         = 64 << 20 // bytes of descriptors as on the wire, all backends
	maxFetchBytes     = 16 << 20 // bytes of descriptors of one service; large APIs have 3 MiB
	maxFetchFiles     = 4096     // files of one service; large APIs have a few hundred
	maxFetches        = 32       // fetches at once: each may hold maxFetchBytes
	maxBackendFetches = 4        // fetches at once from one backend: it may hang and must not take all
	maxWaiting        = 1024     // askers that wait for fetches at once; a person is one or two
	maxWishes         = 128      // fetches of one backend that run or wait on behalf of Lookup
	maxGuesses        = 64       // fetches of one backend in a NegativeTTL for names that it does not list
	maxMisses         = 1024     // places for names of which nothing is known, 8 KiB
	maxCompared       = 1 << 16  // pairs of messages compared for a change; large APIs have some thousand
	maxChanges        = 256      // changes remembered; more than a person reads
	maxProblems       = 32       // problems remembered of one service, and listed of one backend
	maxNames          = 4096     // names that one answer to ListServices may hold
	maxNameBytes      = 512      // of a service's name; protoc allows more, nobody uses it
	maxSourceBytes    = 4 << 20  // of one .proto file
	maxSourceRoots    = 16       // folders above a .proto file that may be the root of its imports
	maxDiskFiles      = 1024     // descriptor sets on disk
	maxDiskBytes      = 64 << 20 // of all descriptor sets on disk
	maxIndexBytes     = 4 << 20  // of the index on disk: its entries are about 300 bytes
	maxIndexEntries   = 8192     // services in the index on disk

	defaultTimeout     = 10 * time.Second // a reflection call that takes longer does not answer at all
	defaultTTL         = 5 * time.Minute  // how long a deployment that kept its endpoints stays unseen
	defaultNegativeTTL = 10 * time.Second // a backend that just started gets its schema soon
)
