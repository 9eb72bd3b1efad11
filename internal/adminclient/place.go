package adminclient

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// SocketVariable is the environment variable that names the socket, for loomd
// as for loomctl.
const SocketVariable = "LOOM_SOCKET"

// socketName is the file in each of the folders.
const socketName = "admin.sock"

// systemSocket is that of a loomd of the machine, run by root.
const systemSocket = "/run/loomd/" + socketName

// Environment is what the usual places depend on.
type Environment struct {
	Lookup func(string) (string, bool) // os.LookupEnv
	UID    int                         // of the user
	Temp   string                      // folder for temporary files
}

// Here is the environment of this process.
func Here(lookup func(string) (string, bool)) Environment {
	return Environment{Lookup: lookup, UID: os.Getuid(), Temp: os.TempDir()}
}

// Named returns the socket that the environment names; empty if it names none.
func (e Environment) Named() string {
	name, _ := e.Lookup(SocketVariable)
	return name
}

// Default returns where a loomd has its socket that was told nothing: below the
// folder that systemd gave it, else /run/loomd if it is root, else the user's
// own folder for such things, else one below that for temporary files.
func (e Environment) Default() string {
	switch given, user := e.runtime(), e.user(); {
	case given != "":
		return given
	case e.UID == 0:
		return systemSocket
	case user != "":
		return user
	}
	return e.temporary()
}

// Places returns where a loomd may be found, in the order in which they are
// tried.
func (e Environment) Places() []string {
	var all []string
	for _, place := range []string{e.runtime(), systemSocket, e.user(), e.temporary()} {
		if place != "" {
			all = append(all, place)
		}
	}
	return all
}

// runtime is below the folder that systemd gives a service; of several, the
// first.
func (e Environment) runtime() string {
	given, _ := e.Lookup("RUNTIME_DIRECTORY")
	first, _, _ := strings.Cut(given, ":")
	return below(first)
}

func (e Environment) user() string {
	given, _ := e.Lookup("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(given) {
		return ""
	}
	return below(filepath.Join(given, "loomd"))
}

// temporary names the user, because everybody shares the folder above.
func (e Environment) temporary() string {
	return below(filepath.Join(e.Temp, fmt.Sprintf("loomd-%d", e.UID)))
}

func below(folder string) string {
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, socketName)
}

// Shared reports whether the socket lies in a folder whose name others could
// have taken before.
func (e Environment) Shared(socket string) bool { return socket == e.temporary() }
