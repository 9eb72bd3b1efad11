package export

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/descriptorpb"

	loomv1 "loom/api/loom/v1"
)

// version is that of the .loom format: lines of JSON, compressed with gzip.
// The first is a head; then come the calls, then the descriptors of each
// backend, then an end, by which a reader knows that nothing is missing.
const version = 1

// Extension is how names of saved captures end.
const Extension = ".loom"

// line is any line of a .loom file: one of its groups is set.
type line struct {
	Loom  int       `json:"loom,omitempty"` // version
	Saved time.Time `json:"saved,omitzero"`

	Call json.RawMessage `json:"call,omitempty"` // a Call as protojson

	Backend     string `json:"backend,omitempty"`
	Descriptors []byte `json:"descriptors,omitempty"` // a FileDescriptorSet

	End *end `json:"end,omitempty"`
}

type end struct {
	Calls int `json:"calls"`
}

// Saved is a capture that was read from a file.
type Saved struct {
	At          time.Time // when it was written
	Calls       []*loomv1.Call
	Descriptors map[string]*descriptorpb.FileDescriptorSet // by backend
	// Warnings say in a sentence each what of the file could not be used.
	Warnings []string
}

// Limits bounds what is read of a .loom file.
type Limits struct {
	// LineBytes is how long a line may be: 128 MiB. A call takes the ring of
	// 64 MiB at the most, and a third more in base64. A longer line is
	// skipped.
	LineBytes int
	// TotalBytes is how much the file may be without compression, and what is
	// made of it in memory: 1 GiB. What comes after is not read.
	TotalBytes int64
	// Calls is how many calls are read: 100,000, ten times the ring.
	Calls int
	// Backends is how many backends have descriptors: 1,000.
	Backends int
}

// DefaultLimits returns the limits for a file that a person opens.
func DefaultLimits() Limits {
	return Limits{LineBytes: 128 << 20, TotalBytes: 1 << 30, Calls: 100_000, Backends: 1000}
}
