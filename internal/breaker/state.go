package breaker

// State is what a breaker does with calls.
type State uint8

// The states. The last two hold until an operator says otherwise.
const (
	Closed     State = iota // calls pass, and their failures are counted
	Open                    // calls are refused
	HalfOpen                // a few calls pass as probes, the others are refused
	ForcedOpen              // an operator has calls refused
	Disabled                // an operator has calls pass, whatever comes of them
)

// States returns all of them, in the order of their values.
func States() []State { return []State{Closed, Open, HalfOpen, ForcedOpen, Disabled} }

// String names the state as people and metrics see it.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	case ForcedOpen:
		return "forced-open"
	case Disabled:
		return "disabled"
	default:
		return "unknown"
	}
}

// passes reports whether every call is allowed.
func (s State) passes() bool { return s == Closed || s == Disabled }

// Verdict is what the end of an attempt says about the backend.
type Verdict uint8

// The verdicts.
const (
	Excluded Verdict = iota // nothing
	Success                 // it answers
	Failure                 // it does not do its work
)
