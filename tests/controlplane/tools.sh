#!/usr/bin/env bash
# Prints the folder that holds etcd, kube-apiserver, kube-controller-manager and
# kubectl, and puts them there first if need be. Only the folder goes to stdout.
#
# Looked at in this order: KUBEBUILDER_ASSETS, PATH, the cache, and where none of
# them will do they are built from the Go module beside this file. The cache is
# keyed by all that a build depends on, so a changed pin is a new folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=(etcd kube-apiserver kube-controller-manager kubectl)
say() { printf 'controlplane: %s\n' "$*" >&2; }

version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)\( .*\)*$/\1/p' "$here/go.mod")
[ -n "$version" ] || { say "go.mod does not say which k8s.io/kubernetes it requires"; exit 1; }
minor=${version%.*}

# Other tools will do when they are of the same minor release: what the tests
# rely on (CEL library, aggregated discovery, bookmarks) is fixed by that.
will_do() {
  local dir=$1 tool
  for tool in "${tools[@]}"; do [ -x "$dir/$tool" ] || return 1; done
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

command -v go >/dev/null || { say "go is needed to build $version, and is not on PATH"; exit 1; }
key=$(cat "$here/go.mod" "$here/go.sum" "${BASH_SOURCE[0]}" <(go env GOVERSION GOOS GOARCH) | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/watchpolicy/controlplane-$version-$key
if [ -e "$cache/complete" ]; then echo "$cache"; exit; fi

mkdir -p "$cache"
# Two builds side by side would only take each other's cores.
exec 9>"$cache/lock"
flock -n 9 || { say "another build is under way, waiting for it"; flock 9; }
if [ -e "$cache/complete" ]; then echo "$cache"; exit; fi

IFS=. read -r major minor_number _ <<<"${version#v}"
stamp="-X k8s.io/component-base/version.gitVersion=$version"
stamp+=" -X k8s.io/component-base/version.gitMajor=$major"
stamp+=" -X k8s.io/component-base/version.gitMinor=$minor_number"

# The compiler names each package and download on a line of its own: some of
# them are progress, all of them are noise; what else it says is passed on.
progress() {
  local name=$1 line packages=0 downloads=0
  while IFS= read -r line; do
    case $line in
      "go: downloading "*)
        if (((downloads += 1) % 50 == 0)); then say "$name: $downloads modules downloaded"; fi ;;
      *[\ :#]*) printf '%s\n' "$line" >&2 ;;
      *) if (((packages += 1) % 200 == 0)); then say "$name: $packages packages compiled"; fi ;;
    esac
  done
}

build() {
  local name=$1 package=$2 start=$SECONDS
  say "building $name ($3 of ${#tools[@]}; the first time takes minutes)"
  (cd "$here" && GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -v -trimpath -ldflags "-s -w $stamp" \
    -o "$cache/$name.part" "$package") 2>&1 | progress "$name"
  mv "$cache/$name.part" "$cache/$name"
  say "$name built in $((SECONDS - start)) s"
}
build etcd go.etcd.io/etcd/server/v3 1
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver 2
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager 3
build kubectl k8s.io/kubernetes/cmd/kubectl 4
will_do "$cache" || { say "the tools built in $cache do not say that they are of $minor"; exit 1; }
touch "$cache/complete"
echo "$cache"
