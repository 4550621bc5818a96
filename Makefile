# What a contributor needs. A fresh machine has Rust, Go, make and git; what else is needed is built into
# ~/.cache/watchpolicy, once.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/watchpolicy
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
# Tests against the control plane wait more than they work, but share its cores.
TEST_THREADS ?= 4
KEEP ?=
export KEEP

say = @printf '\n== %s\n' '$(1)'

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

.PHONY: build
build: ## Builds the binary and the demo
	$(call say,Build)
	cargo build --locked --bin watchpolicy --example devcluster

.PHONY: test
test: ## Everything that must hold: formatting, lints, dependencies, documentation, all tests
	$(call say,Formatting)
	cargo fmt --all --check
	@$(MAKE) --no-print-directory tools
	$(call say,Dependencies)
	$(CARGO_DENY) --locked check bans licenses sources
	$(call say,Lints)
	cargo clippy --locked --all-targets -- -D warnings
	$(call say,Documentation)
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	$(call say,Tests)
	cargo test --locked --no-fail-fast -- --test-threads=$(TEST_THREADS)

.PHONY: bench
bench: ## Times the hot path, and following many Pods, beside other implementations: docs/performance.md
	$(call say,Benchmarks)
	cargo bench --locked --bench judge --bench informer --bench queue

.PHONY: soak
soak: tools ## Long runs of what make test does a little of, and measures of a large cluster: docs/performance.md
	$(call say,Random edits)
	WATCHPOLICY_EDITS=10000 cargo test --locked --lib -- --nocapture observe::trials::edits
	$(call say,The model of all writes)
	MODEL_SEEDS=10000 cargo test --locked --release --test model -- --nocapture
	$(call say,A large cluster)
	cargo test --locked --release --test it -- --ignored --nocapture --test-threads=1

.PHONY: reproducible
reproducible: ## Builds the release twice, in two folders, and compares the bytes: docs/release.md
	$(call say,Two builds)
	tests/release/reproducible.sh

.PHONY: demo
demo: build controlplane helm ## Installs the chart on a real control plane and shows the main job; KEEP=1 leaves it running until Ctrl-C
	@cargo run --locked --quiet --example devcluster -- demo

.PHONY: cluster
cluster: build controlplane helm ## Runs a control plane to play with, until Ctrl-C
	@cargo run --locked --quiet --example devcluster -- up

.PHONY: tools
tools: controlplane helm promtool openreports prometheusoperator $(CARGO_DENY) ## Builds the tools of the tests, where they are missing

.PHONY: controlplane
controlplane: ## Builds etcd, kube-apiserver, kube-controller-manager and kubectl, where they are missing
	$(call say,Control plane)
	@tests/controlplane/tools.sh

.PHONY: helm
helm: ## Builds Helm 4, where it is missing
	$(call say,Helm)
	@tests/helm/tools.sh

.PHONY: promtool
promtool: ## Builds promtool, where it is missing
	$(call say,promtool)
	@tests/promtool/tools.sh

.PHONY: openreports
openreports: ## Gets the definitions of OpenReports, where they are missing
	$(call say,OpenReports)
	@tests/openreports/tools.sh

.PHONY: prometheusoperator
prometheusoperator: ## Gets the definitions of the Prometheus operator, where they are missing
	$(call say,Prometheus operator)
	@tests/prometheusoperator/tools.sh

.PHONY: crd
crd: ## Writes the CRD anew from its types: crds/watchpolicy.yaml and the copy in the chart
	cargo run --locked --quiet -- crd >crds/watchpolicy.yaml.part
	mv crds/watchpolicy.yaml.part crds/watchpolicy.yaml
	cp crds/watchpolicy.yaml charts/watchpolicy/files/watchpolicy.yaml

.PHONY: snapshots
snapshots: helm ## Writes tests/snapshots anew, which is what the chart renders; read the difference
	UPDATE_SNAPSHOTS=1 cargo test --locked --test it chart::each_file_of_values

$(CARGO_DENY):
	$(call say,cargo-deny $(CARGO_DENY_VERSION): takes minutes the first time)
	cargo install --locked --root $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION) --version $(CARGO_DENY_VERSION) cargo-deny
