package config

import (
	"fmt"
	"io"
	"os"
	"reflect"
)

// Load reads the file at path. env looks up environment variables, as
// os.LookupEnv does. A file with mistakes gives no Config and an error of type
// [Errors]; a file that cannot be read gives an error that wraps the one of
// the system. A file of more than 1 MiB is refused without being parsed.
func Load(path string, env func(string) (string, bool)) (*Config, Warnings, error) {
	return LoadWith(path, env, nil)
}

// Finding is something about a key that does not show in the file alone.
type Finding struct {
	// Path is that of the key, such as listeners[0].tls.cert_file.
	Path      string
	Msg, Hint string
	// Doubt makes it a warning instead of a mistake.
	Doubt bool
}

// Look examines what a configuration refers to, such as files. It is asked
// only about one without mistakes; nil: nobody looks.
type Look func(*Config) []Finding

// LoadWith is Load for who has somebody look further.
func LoadWith(path string, env func(string) (string, bool), look Look) (*Config, Warnings, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the operator's to choose
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	src, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	return ParseWith(path, src, env, look)
}

// Parse reads src as Load reads a file; name stands for it in errors.
func Parse(name string, src []byte, env func(string) (string, bool)) (*Config, Warnings, error) {
	return ParseWith(name, src, env, nil)
}

// ParseWith is Parse for who has somebody look further.
func ParseWith(name string, src []byte, env func(string) (string, bool), look Look) (*Config, Warnings, error) {
	doc, mistakes := parseDocument(name, src)
	if doc.root == nil {
		return nil, nil, Errors(mistakes.sorted())
	}
	d := newDecoder(mistakes, env)
	cfg := &Config{}
	d.decode(doc.root, cfg)
	warnings := &problems{doc: doc}
	if d.budget >= 0 {
		v := &validator{cfg: cfg, source: &fileSource{marks: d.marks, errors: mistakes, warnings: warnings}}
		v.validate()
		if len(mistakes.list) == 0 && look != nil {
			v.found(look(cfg))
		}
	}
	if len(mistakes.list) > 0 {
		// What looks doubtful may just follow from a mistake.
		return nil, nil, Errors(mistakes.sorted())
	}
	return cfg, Warnings(warnings.sorted()), nil
}

// Default returns the settings of a file that gives none, without listeners,
// backends and routes.
func Default() *Config {
	cfg := &Config{}
	setDefaults(reflect.ValueOf(cfg).Elem())
	return cfg
}
