#!/usr/bin/env bash
# Prints the folder that holds promtool, and puts it there first if need be. Only the
# folder goes to stdout. Any promtool 3 on PATH will do; else it is taken from the
# cache, or built from the Go module beside this file.
set -euo pipefail
module=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
label=promtool
# Rules and metrics are checked without it, and one of its modules is nowhere to be had.
tags=remove_all_sd
. "$module/../go-tools.sh"

# Prometheus v3.16.0 is the module's v0.316.0.
version=$(required github.com/prometheus/prometheus)
[[ $version =~ ^v0\.3([0-9]+)\.([0-9]+)$ ]] || { say "$version is no version of Prometheus 3"; exit 1; }
release=3.$((10#${BASH_REMATCH[1]})).${BASH_REMATCH[2]}
will_do() { [ -x "$1/promtool" ] && "$1/promtool" --version 2>&1 | grep -q '^promtool, version 3\.'; }

if found=$(command -v promtool) && will_do "$(dirname "$found")"; then
  dirname "$found"; exit
fi
built "$version" "-s -w -X github.com/prometheus/common/version.Version=$release" \
  promtool=github.com/prometheus/prometheus/cmd/promtool
