package pki

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// rotateEvery is how long a key makes tickets. What a key that is stolen
	// opens is bounded by it.
	rotateEvery = 24 * time.Hour
	// keptKeys is how many keys open tickets: clients that come back within
	// two days are spared half of a handshake.
	keptKeys = 3
	// ticketKeyLen is what crypto/tls wants, in bytes.
	ticketKeyLen = 32
)

// Tickets are the keys of session tickets: with them, a client that comes back
// resumes its session, and so it does at a loomd that has taken over from this
// one. It is safe for concurrent use.
type Tickets struct {
	mu sync.Mutex
	// Guarded by mu.
	keys       []ticketKey // the newest first; it makes tickets
	generation int         // counts changes of keys, from 1
}

type ticketKey struct {
	secret [ticketKeyLen]byte
	made   time.Time
}

// NewTickets returns tickets with a key that nobody knows.
func NewTickets() *Tickets {
	t := &Tickets{}
	t.add(time.Now())
	return t
}

// add makes a new key the first.
func (t *Tickets) add(now time.Time) {
	k := ticketKey{made: now}
	_, _ = rand.Read(k.secret[:]) // it never fails
	t.keys = append([]ticketKey{k}, t.keys[:min(len(t.keys), keptKeys-1)]...)
	t.generation++
}

// keysFor returns the keys of one server, and a number that is another one when
// they are others. A ticket of one server is of no use at the next, whose
// clients may have to prove more.
func (t *Tickets) keysFor(server string, now time.Time) (keys [][ticketKeyLen]byte, generation int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.keys[0].made) >= rotateEvery {
		t.add(now)
	}
	for _, k := range t.keys {
		derived, err := hkdf.Key(sha256.New, k.secret[:], nil, "loom ticket key of "+server, ticketKeyLen)
		if err != nil {
			continue // only a key that is too long could fail
		}
		keys = append(keys, [ticketKeyLen]byte(derived))
	}
	return keys, t.generation
}

// ticketsVersion is the first byte of a snapshot. Each key follows with its age
// in seconds, big-endian in 8 bytes, and its secret.
const ticketsVersion = 1

const ticketRecordLen = 8 + ticketKeyLen

// Snapshot returns the keys for [Tickets.Restore] in another process. They are
// secret.
func (t *Tickets) Snapshot() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []byte{ticketsVersion}
	for _, k := range t.keys {
		age := max(time.Since(k.made), 0)
		out = binary.BigEndian.AppendUint64(out, uint64(age/time.Second))
		out = append(out, k.secret[:]...)
	}
	return out
}

// Restore takes over the keys of a snapshot in place of its own. On an error
// nothing changes.
func (t *Tickets) Restore(snapshot []byte) error {
	if len(snapshot) == 0 {
		return errors.New("restore session tickets: nothing is there")
	}
	if v := snapshot[0]; v != ticketsVersion {
		return fmt.Errorf("restore session tickets: version %d is not known", v)
	}
	rest := snapshot[1:]
	if n := len(rest) / ticketRecordLen; n == 0 || n > keptKeys || len(rest)%ticketRecordLen != 0 {
		return fmt.Errorf("restore session tickets: %d bytes are not 1 to %d keys", len(rest), keptKeys)
	}
	now := time.Now()
	var keys []ticketKey
	for ; len(rest) > 0; rest = rest[ticketRecordLen:] {
		// An age beyond any use is cut: it must not wrap.
		age := min(binary.BigEndian.Uint64(rest), uint64(10*keptKeys*rotateEvery/time.Second))
		keys = append(keys, ticketKey{
			made:   now.Add(-time.Duration(age) * time.Second),
			secret: [ticketKeyLen]byte(rest[8:ticketRecordLen]),
		})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = keys
	t.generation++
	return nil
}
