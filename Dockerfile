# The operator's image: one static binary, and nothing else.
#
#   docker build --build-arg WATCHPOLICY_REVISION=$(git rev-parse HEAD) --tag watchpolicy:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg WATCHPOLICY_REVISION=$(git rev-parse HEAD) \
#     --tag registry.example.com/watchpolicy:0.1.0 --push .
#
# The base is pinned by version. A digest pins it harder, and is given as a build argument, as
# `docker buildx imagetools inspect` shows it for the index of all platforms:
#
#   --build-arg RUST_IMAGE=docker.io/library/rust:1.95.0-alpine3.22@sha256:...
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-alpine3.22

# Runs on the platform that is built for, emulated where that is not the machine's own: ring and mimalloc are partly
# C, and its own musl compiler needs no cross tools.
FROM ${RUST_IMAGE} AS build
# Set by BuildKit from --platform; amd64 or arm64.
ARG TARGETARCH
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# The same sources give the same bytes: no paths of the machine, no incremental state, locked dependencies;
# the one time that would get in, by __DATE__ in the C code of mimalloc, is fixed.
ENV CARGO_INCREMENTAL=0
# What `watchpolicy version` names.
ARG WATCHPOLICY_REVISION=unknown
# What was fetched and compiled is kept between builds, so that a change of the sources compiles the crate alone; each
# platform has compiled code of its own.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,id=watchpolicy-target-${TARGETARCH},sharing=locked \
    set -eu; \
    case "${TARGETARCH:-$(uname -m)}" in \
      amd64|x86_64) target=x86_64-unknown-linux-musl ;; \
      arm64|aarch64) target=aarch64-unknown-linux-musl ;; \
      *) echo "no image is made for ${TARGETARCH}: amd64 and arm64 are" >&2; exit 1 ;; \
    esac; \
    export SOURCE_DATE_EPOCH=0; \
    export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$(pwd)=/src --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"; \
    cargo build --locked --release --target "$target" --bin watchpolicy; \
    mkdir -p out; \
    cp "target/$target/release/watchpolicy" out/watchpolicy

FROM scratch
COPY --from=build /src/out/watchpolicy /watchpolicy
# Numeric, so that a kubelet can see that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/watchpolicy"]
CMD ["run"]
