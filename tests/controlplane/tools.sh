#!/usr/bin/env bash
# Prints the folder that holds etcd, kube-apiserver, kube-controller-manager and
# kubectl, and puts them there first if need be. Only the folder goes to stdout.
#
# Looked at in this order: KUBEBUILDER_ASSETS, PATH, the cache, and where none of
# them will do they are built from the Go module beside this file.
set -euo pipefail
module=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
label=controlplane
. "$module/../go-tools.sh"

version=$(required k8s.io/kubernetes)
minor=${version%.*}

# Other tools will do when they are of the same minor release: what the tests
# rely on (CEL library, aggregated discovery, bookmarks) is fixed by that.
will_do() {
  local dir=$1 tool
  for tool in etcd kube-apiserver kube-controller-manager kubectl; do [ -x "$dir/$tool" ] || return 1; done
  "$dir/kube-apiserver" --version 2>/dev/null | grep -q "^Kubernetes $minor\." || return 1
  "$dir/kubectl" version --client 2>/dev/null | grep -q "^Client Version: $minor\." || return 1
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  if will_do "$KUBEBUILDER_ASSETS"; then echo "$KUBEBUILDER_ASSETS"; exit; fi
  say "the tools in KUBEBUILDER_ASSETS are not all of $minor, they are not used"
fi
if found=$(command -v kube-apiserver) && will_do "$(dirname "$found")"; then
  dirname "$found"; exit
fi

IFS=. read -r major minor_number _ <<<"${version#v}"
stamp="-X k8s.io/component-base/version.gitVersion=$version"
stamp+=" -X k8s.io/component-base/version.gitMajor=$major"
stamp+=" -X k8s.io/component-base/version.gitMinor=$minor_number"
built "$version" "-s -w $stamp" etcd=go.etcd.io/etcd/server/v3 \
  kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver \
  kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager \
  kubectl=k8s.io/kubernetes/cmd/kubectl
