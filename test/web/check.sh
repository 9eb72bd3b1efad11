#!/bin/sh
# Checks the inspector's page: its types, and what a linter finds. Needs what
# test/deps.sh installs.
set -eu
cd "$(dirname "$0")"

npm run --silent types
npm run --silent lint
