# Sourced by the tools.sh beside a go.mod: programs that are built from that Go module once, and kept in the cache, or
# files of a module that it requires, which Go keeps.
#
# The cache is keyed by all that a build depends on, so a changed pin is a new folder. A script that sources this
# sets `module` (the folder of go.mod) and `label` (its name in messages and in the cache), and defines `will_do
# FOLDER`, which says whether a folder has the programs in a version that will do; `tags`, where a build has any.
# shellcheck shell=bash
say() { printf '%s: %s\n' "$label" "$*" >&2; }

# The version of a module that go.mod requires.
required() {
  local version
  version=$(awk -v module="$1" '$1 == module && $2 ~ /^v/ {print $2; exit} $2 == module && $1 == "require" {print $3; exit}' "$module/go.mod")
  [ -n "$version" ] || { say "go.mod does not say which $1 it requires"; return 1; }
  echo "$version"
}

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
  local name=$1 package=$2 flags=$3 start=$SECONDS
  say "building $name (the first time takes minutes)"
  (cd "$module" && GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -v -trimpath ${tags:+-tags "$tags"} -ldflags "$flags" \
    -o "$cache/$name.part" "$package") 2>&1 | progress "$name"
  mv "$cache/$name.part" "$cache/$name"
  say "$name built in $((SECONDS - start)) s"
}

# built VERSION LDFLAGS NAME=PACKAGE...: prints the folder that holds these programs, and builds them there first
# if need be.
built() {
  local version=$1 flags=$2 key tool
  shift 2
  command -v go >/dev/null || { say "go is needed to build $version, and is not on PATH"; return 1; }
  key=$(cat "$module/go.mod" "$module/go.sum" <(echo "$flags" "$@" ${tags:+"-tags=$tags"}; go env GOVERSION GOOS GOARCH) | sha256sum | cut -c1-16)
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/watchpolicy/$label-$version-$key
  mkdir -p "$cache"
  if [ ! -e "$cache/complete" ]; then
    # Two builds side by side would only take each other's cores.
    exec 9>"$cache/lock"
    flock -n 9 || { say "another build is under way, waiting for it"; flock 9; }
  fi
  if [ ! -e "$cache/complete" ]; then
    for tool; do build "${tool%%=*}" "${tool#*=}" "$flags"; done
    will_do "$cache" || { say "what was built in $cache does not say that it is $version"; return 1; }
    touch "$cache/complete"
  fi
  echo "$cache"
}

# shipped MODULE FOLDER: prints where a folder is that a module ships, as Go has checked it by go.sum.
shipped() {
  local found folder
  command -v go >/dev/null || { say "go is needed to get $1, and is not on PATH"; return 1; }
  found=$(cd "$module" && GOFLAGS=-mod=readonly go mod download -json "$1")
  folder=$(awk -F'"' '$2 == "Dir" {print $4}' <<<"$found")/$2
  [ -d "$folder" ] || { say "the module $1 has no folder $2"; return 1; }
  echo "$folder"
}
