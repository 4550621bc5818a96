#!/usr/bin/env bash
# Prints the folder with the definitions of OpenReports, as the project ships them in its Go module. Only the folder goes
# to stdout; Go keeps it in its module cache, and checks it by go.sum.
set -euo pipefail
module=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
label=openreports
. "$module/../go-tools.sh"

shipped github.com/openreports/reports-api config/crd
