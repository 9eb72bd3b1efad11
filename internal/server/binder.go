package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"loom/internal/config"
)

// Inheritance hands out listening sockets that others made for this process:
// the one before it, or the system's init.
type Inheritance interface {
	// Take returns the socket of that key, once; false if there is none. Keys
	// are made by SocketKey.
	Take(key string) (*os.File, bool)
}

// SocketKey names a listening socket by what it is bound to, so that another
// process finds it whatever the listener is called there: "tcp 127.0.0.1:9999",
// "tcp *:443", "unix /run/loomd/in.sock". Where the system chooses the port,
// nothing but the name tells two of them apart.
func SocketKey(network, address, name string) string {
	if network == "unix" {
		return "unix " + filepath.Clean(address)
	}
	a, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return network + " " + address // binding it will say what is wrong
	}
	host := "*" // 0.0.0.0 and :: are one socket for both families
	if len(a.IP) > 0 && !a.IP.IsUnspecified() {
		host = (&net.IPAddr{IP: a.IP, Zone: a.Zone}).String()
	}
	key := network + " " + net.JoinHostPort(host, strconv.Itoa(a.Port))
	if a.Port == 0 {
		key += " " + name
	}
	return key
}

// binder makes all listening sockets of a process, and knows them.
type binder struct {
	// Immutable.
	inherited Inheritance // nil: there is nothing to take over
	late      bool        // it is from an older process of this loomd

	mu sync.Mutex
	// Guarded by mu.
	sockets []*socket
	foreign []string // keys of sockets that were made for all our processes
}

func newBinder(from Inheritance, late bool) *binder { return &binder{inherited: from, late: late} }

// modes are those of the file of a Unix socket: when it is made, and once the
// socket is ready.
type modes struct{ born, ready config.FileMode }

// listen takes the socket over, if there is one, and binds it otherwise; the
// file of one that is taken over is ready. The error is a *ListenError.
func (b *binder) listen(name string, a config.Address, m modes) (*socket, error) {
	s, err := b.socket(SocketKey(a.Network, a.Text, name), a, m)
	if err != nil {
		return nil, &ListenError{Listener: name, Address: a.String(), Err: listenCause(err)}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.adopted && !b.late {
		b.foreign = append(b.foreign, s.key)
	}
	b.sockets = append(slices.DeleteFunc(b.sockets, (*socket).isClosed), s)
	return s, nil
}

func (b *binder) socket(key string, a config.Address, m modes) (*socket, error) {
	if s, err := b.adopt(key, a, m.ready); s != nil || err != nil {
		return s, err
	}
	if a.Network == "unix" {
		l, file, err := listenUnix(a.Text, m.born)
		if err != nil {
			return nil, err
		}
		s := newSocket(key, l)
		s.path, s.file = a.Text, file
		return s, nil
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), a.Network, a.Text)
	if err != nil {
		return nil, err
	}
	return bareSocket(key, l)
}

// adopt takes over the socket of that key; nil if there is none.
func (b *binder) adopt(key string, a config.Address, mode config.FileMode) (*socket, error) {
	if b.inherited == nil {
		return nil, nil
	}
	f, ok := b.inherited.Take(key)
	if !ok {
		return nil, nil
	}
	var file fs.FileInfo
	if a.Network == "unix" {
		var err error
		if file, err = os.Lstat(a.Text); err != nil || file.Mode().Type() != fs.ModeSocket {
			return nil, f.Close() // nobody can reach it any more
		}
		if owner, ok := file.Sys().(*syscall.Stat_t); ok && int(owner.Uid) == os.Geteuid() {
			if err := os.Chmod(a.Text, fs.FileMode(mode)); err != nil {
				return nil, errors.Join(fmt.Errorf("set mode: %w", err), f.Close())
			}
		}
	}
	l, err := net.FileListener(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("take over the socket: %w", err)
	}
	s, err := bareSocket(key, l)
	if err != nil {
		return nil, err
	}
	if file != nil {
		s.path, s.file = a.Text, file
	}
	s.adopted, s.shared = true, true
	return s, nil
}

func bareSocket(key string, l net.Listener) (*socket, error) {
	plain, ok := l.(bare)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is no socket of the system", l.Addr()), l.Close())
	}
	return newSocket(key, plain), nil
}

// all are the sockets that are open.
func (b *binder) all() []*socket {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sockets = slices.DeleteFunc(b.sockets, (*socket).isClosed)
	return slices.Clone(b.sockets)
}

// fresh are the keys of the sockets that were bound here.
func (b *binder) fresh() []string {
	var keys []string
	for _, s := range b.all() {
		if !s.adopted {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// own has the files of Unix sockets go with this process: no other one has
// them any more, unless it is who made them for all of us.
func (b *binder) own() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sockets {
		if !slices.Contains(b.foreign, s.key) {
			s.share(false)
		}
	}
}

// saveForeign returns the keys of the sockets that somebody else made for all
// processes of this loomd.
func (b *binder) saveForeign() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return json.Marshal(b.foreign)
}

// restoreForeign takes what saveForeign wrote.
func (b *binder) restoreForeign(data []byte) error {
	var keys []string
	if err := json.Unmarshal(data, &keys); err != nil {
		return fmt.Errorf("read the keys of sockets that are another's: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.foreign = keys
	return nil
}
