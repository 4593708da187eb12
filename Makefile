# What there is to do with tidefs. `make` alone lists it.

# Parts of `make test` that a machine may lack; `no` leaves their tests out, and the output says so.
export GUEST ?= yes
export MINIO ?= yes
# How long `make fuzz` runs each target.
export FUZZ_SECONDS ?= 600
# Built with `make deny-tool` if cargo-deny is not installed.
CARGO_DENY_VERSION := 0.20.2

.DEFAULT_GOAL := help
.PHONY: help run build test check deny-tool flip bench bench-sustained bench-scale fuzz crash clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  make fuzz FUZZ_SECONDS=10 FUZZ_TARGETS="journal index"'
	@echo '  make test GUEST=no MINIO=no   leaves out the tests with a real Linux client, with a real MinIO'

run: ## Build, and serve a file system on 127.0.0.1:2049 (no root needed)
	cargo run --release --locked --package tidefs-gateway --bin tidefs -- serve

build: ## Build the server and all tests, for development
	cargo build --workspace --bins --tests --locked

test: ## Set up what the tests need, run all of them, and count them
	tests/setup/test

check: deny-tool ## Format, lints, documentation, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked
	cargo deny --all-features check bans licenses sources
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo deny --manifest-path fuzz/Cargo.toml --config deny.toml check bans licenses sources

deny-tool:
	@command -v cargo-deny > /dev/null || cargo install --locked cargo-deny@$(CARGO_DENY_VERSION)

flip: ## Flip each byte of a small file system, one at a time; each flip is found or harmless (make test flips a sample)
	TIDEFS_FLIP_STEP=1 cargo test --release --locked --package tidefs-engine --lib -- \
		verify::tests::flips metadata::tests::rot --nocapture

bench: ## Measure the engine, and the server through its gateway
	cargo build --release --locked --workspace --bins
	target/release/tidefs-bench
	cargo bench --locked --package tidefs-engine --bench beside
	cargo bench --locked --package tidefs-engine --bench engine

bench-sustained: ## Create files for five minutes without a break
	cargo bench --locked --package tidefs-engine --bench beside -- --only sustained --sustained 300

bench-scale: ## Measure file systems of 10 thousand, 1 million and 10 million files (10 GB, 10 minutes)
	cargo bench --locked --package tidefs-engine --bench scale -- --files 10000 --files 1000000 --files 10000000

fuzz: ## Run each fuzz target for FUZZ_SECONDS (600: an hour in all; 10 is a quick look), two at a time
	fuzz/run

crash: ## Crash the engine 10,000 times in a simulated world, and the real server 225 times under load
	tests/crash/run

clean: ## Remove what was built
	cargo clean
