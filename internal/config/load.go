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
	file, err := os.Open(path) //nolint:gosec // the path is the operator's to choose
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	src, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, src, env)
}

// Parse reads src as Load reads a file; name stands for it in errors.
func Parse(name string, src []byte, env func(string) (string, bool)) (*Config, Warnings, error) {
	doc, mistakes := parseDocument(name, src)
	if doc.root == nil {
		return nil, nil, Errors(mistakes.sorted())
	}
	d := newDecoder(mistakes, env)
	cfg := &Config{}
	d.decode(doc.root, cfg)
	d.refuseUnsupported()
	warnings := &problems{doc: doc}
	if d.budget >= 0 {
		v := &validator{cfg: cfg, source: &fileSource{marks: d.marks, errors: mistakes, warnings: warnings}}
		v.validate()
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
