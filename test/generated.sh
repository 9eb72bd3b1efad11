#!/bin/sh
# Generates all code again and fails when that changed a file: then somebody
# edited generated code, or changed its source without generating.
set -eu
cd "$(dirname "$0")/.."

sums() {
	find . -name .git -prune -o -name node_modules -prune -o -name .tmp -prune -o -name '*.go' -type f -print0 |
		xargs -0 grep -lZ '^// Code generated .* DO NOT EDIT\.$' | sort -z | xargs -0 -r sha256sum
}
mkdir -p .tmp
sums >.tmp/generated-before
tools/generate.sh
sums >.tmp/generated-after
if ! diff .tmp/generated-before .tmp/generated-after; then
	echo "generated code was out of date; it is new now: commit it" >&2
	exit 1
fi
