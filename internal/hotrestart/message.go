package hotrestart

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What the heads of frames hold, as JSON: a field that a process does not know
// is passed over, so that fields may be added within a version.

type hello struct {
	Min        int    `json:"min"`
	Max        int    `json:"max"`
	Build      string `json:"build"`
	Generation int    `json:"generation"`
	Nonce      string `json:"nonce"`
	PID        int    `json:"pid"`
}

type welcome struct {
	Version int `json:"version"`
}

type listeners struct {
	Keys []string `json:"keys"` // one for each descriptor
}

type links struct {
	Links []linkEnd `json:"links"` // one for each descriptor
}

// linkEnd says what is at the other end of a link that is passed on.
type linkEnd struct {
	Generation int `json:"generation"`
	PID        int `json:"pid"`
	Version    int `json:"version"` // of its frames
}

type state struct {
	Name    string        `json:"name"`
	Version uint32        `json:"version"`
	Age     time.Duration `json:"age"` // nanoseconds since it was saved, when sent
}

// complete counts what must not go missing unseen.
type complete struct {
	Sockets int `json:"sockets"`
}

type ack struct {
	Seq uint32 `json:"seq"`
}

type progress struct {
	What string `json:"what"`
}

type failed struct {
	Reason string `json:"reason"`
}

type message struct {
	Name    string `json:"name"`
	Version uint32 `json:"version"`
}

// Plan is what became of the listening sockets, by their keys.
type Plan struct {
	Reused  []string `json:"reused"`  // taken over
	Bound   []string `json:"bound"`   // new
	Dropped []string `json:"dropped"` // offered, and not wanted
}

// Lengths of names. They end up in logs and in frames of maxFrame bytes.
const (
	maxKey  = 400  // the key of a socket: 64 of them fit into a frame
	maxName = 200  // of a section or a message
	maxText = 4096 // a reason or a step, as far as it is passed on
)

// read decodes the head of a frame into one of the types above.
func read[T any](in *incoming) (T, error) {
	var head T
	if err := json.Unmarshal(in.head, &head); err != nil {
		return head, fmt.Errorf("read %s: %w", in.kind, err)
	}
	return head, nil
}

// readKeys is read for LISTENERS.
func readKeys(in *incoming) ([]string, error) {
	head, err := read[listeners](in)
	if err != nil {
		return nil, err
	}
	if len(head.Keys) != len(in.files) {
		return nil, fmt.Errorf("%s names %d sockets and brings %d", in.kind, len(head.Keys), len(in.files))
	}
	for _, key := range head.Keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
	}
	return head.Keys, nil
}

// readLinks is read for LINKS.
func readLinks(in *incoming) ([]linkEnd, error) {
	head, err := read[links](in)
	if err == nil && len(head.Links) != len(in.files) {
		err = fmt.Errorf("%s names %d links and brings %d", in.kind, len(head.Links), len(in.files))
	}
	return head.Links, err
}

// readState is read for STATE.
func readState(in *incoming) (state, error) {
	head, err := read[state](in)
	if err == nil {
		err = checkName(head.Name)
	}
	if err == nil && head.Age < 0 {
		err = fmt.Errorf("section %q was saved in %v", head.Name, -head.Age)
	}
	return head, err
}

// readPlan is read for PREPARED, which has a plan of any length as its body.
func readPlan(in *incoming) (Plan, error) {
	var plan Plan
	if in.damage != nil {
		return plan, in.damage
	}
	if err := json.Unmarshal(in.body, &plan); err != nil {
		return plan, fmt.Errorf("read %s: %w", in.kind, err)
	}
	return plan, nil
}

func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("the key of a socket has %d bytes; it needs 1 to %d", len(key), maxKey)
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("a section or a message has a name of %d bytes; it needs 1 to %d", len(name), maxName)
	}
	return nil
}

// shorten keeps a text that is passed on within maxText.
func shorten(text string) string {
	if len(text) > maxText {
		return text[:maxText] + "..."
	}
	return text
}

// choose returns the highest version that both sides speak.
func choose(theirs hello, own versions) (int, error) {
	if theirs.Min > theirs.Max || theirs.Max > maxVersion {
		return 0, fmt.Errorf("versions %d to %d make no sense", theirs.Min, theirs.Max)
	}
	chosen := min(theirs.Max, own.max)
	if chosen < max(theirs.Min, own.min) {
		return 0, fmt.Errorf("%w: the running process speaks %d to %d, the new binary %d to %d", errVersions, theirs.Min, theirs.Max, own.min, own.max)
	}
	return chosen, nil
}

var errVersions = errors.New("the two builds have no version of the hot restart in common; stop and start instead")

// versions are those of the protocol that a build speaks. The version is that
// of the conversation, not of the sections: these have their own.
type versions struct{ min, max int }

const (
	// oldest and newest are what this build speaks from then on.
	oldest, newest = 1, 1
	// maxVersion is the highest that a frame has room for.
	maxVersion = 255
)

func encodePlan(plan Plan) ([]byte, error) { return json.Marshal(plan) }
