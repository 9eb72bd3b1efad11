package backend

import "time"

// MinBackoff and MaxBackoff return the shortest and the longest wait after a
// failure, when there were that many before.
func MinBackoff(failures int) time.Duration { return jittered(failures, -1) }

func MaxBackoff(failures int) time.Duration { return jittered(failures, 1) }

// ReresolveEvery is how often names are asked for again while there are calls.
const ReresolveEvery = reresolveEvery
