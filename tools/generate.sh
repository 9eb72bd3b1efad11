#!/bin/sh
# Lints all protobuf files and regenerates the Go code made from them, with the
# versions pinned in tools/go.mod. Needs Go and nothing else; the first run
# builds buf, which takes some minutes. The outcome depends on nothing but the
# tree, so a clean `git diff` afterwards says that the committed code is right.
set -eu
cd "$(dirname "$0")/.."
export GOWORK=off GOFLAGS=
go tool -modfile=tools/go.mod buf lint
go tool -modfile=tools/go.mod buf format --diff --exit-code
go tool -modfile=tools/go.mod buf generate
