package pki

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/internal/loomtest"
)

// lookAgain makes the next use of a pair look at its files.
func lookAgain(p *Pair) { p.files.nextLook.Store(0) }

func wantNames(t *testing.T, p *Pair, want ...string) {
	t.Helper()
	lookAgain(p)
	if got := p.Certificate().Leaf.DNSNames; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the certificate is for %v, want %v", got, want)
	}
}

func TestPairFollowsItsFiles(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	for name, replace := range map[string]func(t *testing.T, folder string){
		"written in place": func(t *testing.T, folder string) {
			t.Helper()
			a.WritePair(folder, "tls", loomtest.Named("new.test"))
		},
		"renamed": func(t *testing.T, folder string) {
			t.Helper()
			a.WritePair(folder, "fresh", loomtest.Named("new.test"))
			for _, end := range []string{".crt", ".key"} {
				if err := os.Rename(filepath.Join(folder, "fresh"+end), filepath.Join(folder, "tls"+end)); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			certFile, keyFile := a.WritePair(folder, "tls", loomtest.Named("old.test"))
			var told reports
			p, err := LoadPair(certFile, keyFile, told.add)
			if err != nil {
				t.Fatal(err)
			}
			wantNames(t, p, "old.test")
			replace(t, folder)
			wantNames(t, p, "new.test")
			if told.count() > 0 {
				t.Errorf("it complains: %v", told.all)
			}
		})
	}
}

// Kubernetes swaps the symlink of a folder.
func TestPairFollowsASymlink(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	folder := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(folder, version), 0o700); err != nil {
			t.Fatal(err)
		}
		a.WritePair(filepath.Join(folder, version), "tls", loomtest.Named(version+".test"))
	}
	link := func(to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(folder, "swap")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, "swap"), filepath.Join(folder, "data")); err != nil {
			t.Fatal(err)
		}
	}
	link("v1")
	p, err := LoadPair(filepath.Join(folder, "data", "tls.crt"), filepath.Join(folder, "data", "tls.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, p, "v1.test")
	link("v2")
	wantNames(t, p, "v2.test")
}

// A new pair that is of no use leaves the old one in force. It is told once,
// shown as long as it lasts, and forgotten when it is mended.
func TestBrokenPairChangesNothing(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	folder := t.TempDir()
	certFile, keyFile := a.WritePair(folder, "tls", loomtest.Named("old.test"))
	var told reports
	p, err := LoadPair(certFile, keyFile, told.add)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := a.Issue(loomtest.Named("new.test"))
	loomtest.Write(t, folder, "tls.crt", cert) // and the key still is the old one
	for range 3 {
		wantNames(t, p, "old.test")
	}
	if told.count() != 1 || !strings.Contains(told.all[0], "does not belong to the certificate") {
		t.Errorf("it told %q, want one line that the key does not fit", told.all)
	}
	if got := p.Status(); !strings.Contains(got.Problem, keyFile) || got.Names[0] != "old.test" {
		t.Errorf("it shows %+v", got)
	}
	loomtest.Write(t, folder, "tls.key", key)
	wantNames(t, p, "new.test")
	if got := p.Status(); got.Problem != "" {
		t.Errorf("after it is mended it shows %q", got.Problem)
	}
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wantNames(t, p, "new.test")
	}
	if told.count() != 2 {
		t.Errorf("it told %q, want a second line that a file is gone", told.all)
	}
}

// Nobody looks at the disk for every handshake.
func TestFilesAreLookedAtNowAndThen(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	folder := t.TempDir()
	certFile, keyFile := a.WritePair(folder, "tls", loomtest.Named("old.test"))
	p, err := LoadPair(certFile, keyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.WritePair(folder, "tls", loomtest.Named("new.test"))
	if got := p.Certificate().Leaf.DNSNames[0]; got != "old.test" {
		t.Errorf("it looked at once: %s", got)
	}
}

func TestLoadPairSaysWhatIsWrong(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	folder := t.TempDir()
	cert, key := a.WritePair(folder, "tls", loomtest.Named("a.test"))
	_, otherKey := a.WritePair(folder, "other", loomtest.Named("b.test"))
	empty := loomtest.Write(t, folder, "empty", nil)
	garbage := loomtest.Write(t, folder, "garbage.crt", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	encrypted := loomtest.Write(t, folder, "enc.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	large := loomtest.Write(t, folder, "large", make([]byte, maxFile+1))
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ cert, key, want string }{
		{folder + "/none", key, "open " + folder + "/none: no such file or directory"},
		{empty, key, empty + ` has no PEM block "CERTIFICATE"`},
		{key, key, key + ` has a PEM block "PRIVATE KEY" where a "CERTIFICATE" belongs`},
		{cert, cert, cert + ` has a PEM block "CERTIFICATE" where a "PRIVATE KEY" belongs`},
		{cert, otherKey, "the key in " + otherKey + " does not belong to the certificate in " + cert},
		{cert, encrypted, "is encrypted"},
		{garbage, key, garbage + ": "},
		{large, key, "is it the right file?"},
		{folder, key, "is a directory"},
		{pipe, key, "open " + pipe + ": not a regular file"},
	} {
		if _, err := LoadPair(tt.cert, tt.key, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	if _, err := LoadAuthorities(key, nil); err == nil || !strings.Contains(err.Error(), "has no PEM block") {
		t.Errorf("a key as authorities: %v", err)
	}
	if _, err := LoadAuthorities(garbage, nil); err == nil || !strings.Contains(err.Error(), garbage) {
		t.Errorf("garbage as authorities: %v", err)
	}
}

func TestLifetime(t *testing.T) {
	c := &x509.Certificate{NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	for month, want := range map[time.Month]string{2: "", 4: "expired on 2026-03-01 00:00:00", 0: "not valid before 2026-01-01 00:00:00"} {
		err := Lifetime(c, time.Date(2026, month, 2, 0, 0, 0, 0, time.UTC))
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("in month %d: %v, want %q", month, err, want)
		}
	}
}
