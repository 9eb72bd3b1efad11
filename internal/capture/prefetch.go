package capture

import "unsafe"

// cacheLine is how much of memory the processors that matter fetch at once.
const cacheLine = 64

// warmLines is what a small call needs of its record.
const warmLines = int(unsafe.Offsetof(record{}.inline)+inlineBytes/2) / cacheLine

// warm has the processor fetch the record in the background, for writing: from
// main memory, or from the caches of another processor, which carried the call
// until now. Without it each line that is needed would be waited for in turn,
// which is a third of what it costs to record a small call. r may be nil.
func (r *record) warm() {
	if r != nil {
		prefetch(unsafe.Pointer(r), warmLines) //nolint:gosec // a hint to the processor: nothing is read or written
	}
}
