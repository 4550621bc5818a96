#!/usr/bin/env bash
# Prints the folder that holds helm, and puts it there first if need be. Only the
# folder goes to stdout. Any Helm 4 on PATH will do; else it is taken from the
# cache, or built from the Go module beside this file.
set -euo pipefail
module=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
label=helm
. "$module/../go-tools.sh"

version=$(required helm.sh/helm/v4)
will_do() { [ -x "$1/helm" ] && "$1/helm" version --short 2>/dev/null | grep -q '^v4\.'; }

if found=$(command -v helm) && will_do "$(dirname "$found")"; then
  dirname "$found"; exit
fi
built "$version" "-s -w -X helm.sh/helm/v4/internal/version.version=$version" helm=helm.sh/helm/v4/cmd/helm
