#!/usr/bin/env bash
# Prints the folder with the definitions of OpenReports, as the project ships them in its Go module. Only the folder goes
# to stdout; Go keeps it in its module cache, and checks it by go.sum.
set -euo pipefail
module=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
label=openreports
. "$module/../go-tools.sh"

command -v go >/dev/null || { say "go is needed to get the definitions, and is not on PATH"; exit 1; }
found=$(cd "$module" && GOFLAGS=-mod=readonly go mod download -json github.com/openreports/reports-api)
folder=$(awk -F'"' '$2 == "Dir" {print $4}' <<<"$found")/config/crd
[ -d "$folder" ] || { say "the module has no folder config/crd"; exit 1; }
echo "$folder"
