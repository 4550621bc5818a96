#!/usr/bin/env bash
# Builds the binary of a commit twice, in two folders, and compares the bytes: docs/release.md.
#
#   tests/release/reproducible.sh [COMMIT]
#
# TARGET is another platform than that of the image, PROFILE another profile, FOLDER another place for the builds, which
# take some 2 GB and are removed. Both builds share cargo's registry, whose path the binary must not hold either.
set -eu -o pipefail

commit=$(git rev-parse --verify "${1:-HEAD}^{commit}")
target=${TARGET:-x86_64-unknown-linux-musl}
profile=${PROFILE:-release}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
folder=$(mktemp -d "${FOLDER:-${TMPDIR:-/tmp}}/watchpolicy-reproducible.XXXXXX")
trap 'rm -rf "$folder"' EXIT

# In folders whose names differ in length too: a path that gets in moves what stands behind it.
build() {
    local source="$folder/$1/src"
    mkdir -p "$source"
    git archive "$commit" | tar -x -C "$source"
    (
        cd "$source"
        unset CARGO_TARGET_DIR CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET_DIR
        export CARGO_INCREMENTAL=0 SOURCE_DATE_EPOCH=0 WATCHPOLICY_REVISION="$commit"
        export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$PWD=/src --remap-path-prefix=$cargo_home=/cargo"
        cargo build --locked --profile "$profile" --target "$target" --bin watchpolicy
    )
    find "$source/target/$target" -maxdepth 2 -type f -name watchpolicy -exec cp {} "$folder/$1.bin" \;
    rm -rf "$source/target"
}

build one
build the-other-one
sha256sum "$folder/one.bin" "$folder/the-other-one.bin"
if ! cmp "$folder/one.bin" "$folder/the-other-one.bin"; then
    echo "two builds of $commit differ" >&2
    exit 1
fi
for path in "$folder" "$cargo_home"; do
    if grep --quiet --text --fixed-strings "$path" "$folder/one.bin"; then
        echo "the binary holds the path $path" >&2
        exit 1
    fi
done
echo "two builds of $commit for $target are the same bytes, and hold no path of this machine"
