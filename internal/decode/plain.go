package decode

import (
	"errors"
	"fmt"

	loomv1 "loom/api/loom/v1"
)

// Plain returns the bytes of a recorded message as they were before
// compression, at most Limits.Decoded, for sending them again. encoding is
// that of the message's direction. It refuses what is not there as a whole,
// and says which message that is and why.
func (d *Decoder) Plain(encoding string, msg *loomv1.Message) ([]byte, error) {
	way := "response"
	if msg.GetDirection() == loomv1.Direction_DIRECTION_REQUEST {
		way = "request"
	}
	which := fmt.Sprintf("message %d of the %s", msg.GetSequence(), way)
	data := msg.GetData()
	switch {
	case msg.GetWithheld() != "":
		return nil, fmt.Errorf("%s was not recorded: %s", which, msg.GetWithheld())
	case msg.GetRedacted():
		return nil, fmt.Errorf("fields were taken out of %s before it was recorded", which)
	case msg.GetTruncated() || msg.GetSize() != uint64(len(data)):
		return nil, fmt.Errorf("only %d of the %d bytes of %s were recorded", len(data), msg.GetSize(), which)
	case !msg.GetCompressed() || len(data) == 0:
		return data, nil
	}
	out, whole, err := d.inflater.inflate(encoding, data, d.limits.Decoded)
	if err == nil && !whole {
		err = errors.New("it ends early")
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", which, err)
	}
	return out, nil
}
