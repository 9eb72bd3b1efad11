// Package config reads loom.yaml into validated plain data, compares two of
// them, and describes the file to editors as a JSON Schema.
//
// The structs are the one description of the file: their tags say how a key is
// called, what may stand there and what it means, and the reader, the
// comparison and the schema all follow the tags. A [Config] that [Load], [Parse]
// or [ForBackend] returned is complete and right in itself: defaults are filled
// in, every reference leads somewhere, every text that has a form (addresses,
// targets, regular expressions, codes) has it. A file with mistakes gives no
// Config at all, but all of its mistakes at once, each with its place.
//
// Values, but not keys, may hold ${env:NAME}, which becomes the value of the
// environment variable, and ${env:NAME:-text}, which becomes text if the
// variable is unset or empty. The text ends at the first closing brace. What is
// put in is never read as YAML. $${ stands for a literal ${; every other $
// stands for itself. Any other ${ is a mistake.
//
// Anchors, aliases and merge keys (<<) work. A key that the file gives beats
// a merged one.
//
// Pitfalls: a Config holds secrets that came from the environment, so do not
// print it; [Diff] hides them. An unquoted number or true is not text: write
// it in quotes where text is wanted.
package config
