# `make demo` shows Portero at work; `make test` proves it. `make help` lists the rest.

CARGO ?= cargo

# The pinned compiler may be there under another name, such as `stable`: then nothing has to be downloaded.
RUST_PINNED := $(shell sed -n 's/^channel = "\(.*\)"$$/\1/p' rust-toolchain.toml)
RUST_HERE := $(shell cd / && rustc --version 2>/dev/null | cut -d ' ' -f 2)
ifeq ($(RUST_PINNED),$(RUST_HERE))
export RUSTUP_TOOLCHAIN := $(shell cd / && rustup show active-toolchain 2>/dev/null | cut -d ' ' -f 1)
endif

# Where cargo puts what it builds.
BUILT := $(or $(CARGO_TARGET_DIR),target)

# How long `make fuzz` runs each target.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS = token jwks opaque contract

# Arguments of the demo and of the comparison: make demo ARGS='--dir /tmp/demo', make compare ARGS='--only hot'
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help build demo test bench compare gateways fuzz rotation kills upgrades postgres format lint docs licences tests loom instructions budget msrv check
# The steps of a test run share one target folder: side by side they would only wait for each other.
.NOTPARALLEL:

help: ## Say what there is to make
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: ## Build the release binary, target/release/portero
	@deploy/tools cargo cc cmake
	$(CARGO) build --release --locked

demo: build ## Build and run the demo: every contract, example accounts, an upstream that echoes
	@exec $(BUILT)/release/portero demo $(ARGS)

test: format msrv lint docs licences tests loom check instructions ## Run everything that proves the project
	@echo "make test: everything passed"

bench: ## Run the benchmarks
	@deploy/tools cargo cc cmake
	$(CARGO) bench --locked

compare: ## Measure beside nginx, HAProxy, Envoy and bare hyper: benches/RESULTS.md
	@deploy/tools cargo cc cmake h2load haproxy nginx openssl python3 python3-venv wrk
	@exec benches/compare/run $(ARGS)

gateways: build ## Measure several gateways on one PostgreSQL, for docs/scaling.md
	@deploy/tools haproxy nginx postgres python3 wrk
	@exec benches/gateways/run $(ARGS)

flood: build ## Measure checked traffic beside a flood of logins, for docs/performance.md
	@deploy/tools h2load nginx python3 wrk
	@exec benches/flood/run $(ARGS)

refusals: build ## Measure how long refused logins take, for docs/security.md
	@deploy/tools python3
	@exec benches/refusals/run $(ARGS)

# Code that is fast enough in a third of the time that it takes to build; overflows and broken invariants are findings.
FUZZ_PROFILE = CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=2 CARGO_PROFILE_RELEASE_DEBUG=line-tables-only \
	CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true

# Without a sanitizer, which a nightly compiler alone has and which would look for what `unsafe` code does: ours has none.
# What runs is what ships, so no library is told that it is being fuzzed. Findings lie in tests/fuzz/artifacts.
fuzz: ## Fuzz what reads tokens and keys, each target for FUZZ_SECONDS (60)
	@deploy/tools cargo cc cmake cargo-fuzz
	@set -e; cd tests/fuzz; for target in $(FUZZ_TARGETS); do \
		echo "fuzzing $$target for $(FUZZ_SECONDS) s"; mkdir -p corpus/$$target; \
		$(FUZZ_PROFILE) $(CARGO) fuzz run --fuzz-dir . --features fuzzer --sanitizer none --no-cfg-fuzzing --codegen-units 16 $$target \
			corpus/$$target seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 \
			-verbosity=0 -print_funcs=0 -print_final_stats=1; \
	done

rotation: ## Rotate keys under load for 60 s: no answer may be wrong
	@deploy/tools cargo cc cmake cargo-nextest
	PORTERO_ROTATION_SECONDS=60 $(CARGO) nextest run --locked --test it no_answer_is_wrong_while_keys_rotate_under_load

kills: ## Kill a gateway on each store 100 times: nothing acknowledged may be lost
	@deploy/tools cargo cc cmake cargo-nextest postgres
	PORTERO_KILLS=100 $(CARGO) nextest run --locked --no-capture --test it survives_kills

upgrades: ## Upgrade 20 times under load: no request may be refused or broken
	@deploy/tools cargo cc cmake cargo-nextest
	PORTERO_UPGRADES=20 $(CARGO) nextest run --locked --no-capture --test it upgrades_under_load_refuse_nothing_and_break_nothing

takeover: ## Take 5,000 users over from an old system under traffic, and flood it: figures for docs/migration.md
	@deploy/tools cargo cc cmake cargo-nextest
	PORTERO_USERS=5000 PORTERO_STRANGERS=10000 $(CARGO) nextest run --locked --no-capture --test it -E \
		'test(nobody_notices_the_way) + test(strangers_reach_the_old_system)'

# PostgreSQL as Debian has it is a part of `tests`.
postgres: ## Run the tests of PostgreSQL as a store against its versions 16, 17 and 18
	@deploy/tools cargo cc cmake npm cargo-nextest
	$(LINTED) deploy/postgres $(CARGO) nextest run --locked --test it --no-fail-fast -E 'test(postgres) + test(stores::) + test(gateways::)'

format: ## Check the format
	@deploy/tools cargo
	$(CARGO) fmt --all --check
	cd tests/loom && $(CARGO) fmt --check

# The pinned compiler is the oldest that is promised, so whatever builds with it needs no newer one. That holds as long
# as the two agree, and as the compiler that builds is the pinned one.
msrv: ## Check that the compiler is the oldest one that Cargo.toml promises
	@for manifest in Cargo.toml tests/fuzz/Cargo.toml tests/loom/Cargo.toml; do \
		promised=$$(sed -n 's/^rust-version = "\(.*\)"$$/\1/p' $$manifest); \
		case "$(RUST_PINNED)." in "$$promised".*) ;; *) \
			echo "$$manifest promises rust-version $${promised:-(none)}, rust-toolchain.toml pins $(RUST_PINNED): change both" >&2; \
			exit 1 ;; \
		esac; \
	done
	@case "$$(rustc --version)" in "rustc $(RUST_PINNED) "*) ;; *) \
		echo "this is $$(rustc --version), rust-toolchain.toml pins $(RUST_PINNED): unset RUSTUP_TOOLCHAIN" >&2; exit 1 ;; \
	esac

# Lints, documentation and tests share one build: `cargo clippy` and `cargo doc` would compile every dependency once more.
# clippy-driver is rustc with the lints; what it makes is good for tests, and nothing that is measured is made by it.
LINTED = RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-Dwarnings
# All but the fuzz targets, which need the fuzzer; their seeds are tests.
TESTED = --locked --workspace --tests --examples

lint: ## Check the lints
	@deploy/tools cargo cc cmake
	$(LINTED) $(CARGO) build $(TESTED) --benches --bins

# The library only: the binary of the same name has nothing to document.
docs: ## Check the API documentation
	$(LINTED) RUSTDOC='$(CURDIR)/deploy/rustdoc' $(CARGO) test --locked --doc --quiet

# Advisories need a database from the network; deny.toml says how to check them.
licences: ## Check what is in the dependency tree
	@deploy/tools cargo-deny
	$(CARGO) deny --locked check bans licenses sources
	$(CARGO) deny --locked --manifest-path tests/loom/Cargo.toml --config deny.toml check bans licenses sources

# Tests wait for processes that they start, so that three times as many as there are cores keep the cores busy.
TEST_THREADS = $$(( $$(nproc) * 3 ))

# Benches run once as tests, in the dev profile: the release profile would build everything again. Each is one process:
# nextest would start one, with all that it makes first, for each of its measures.
tests: ## Run every test, and every benchmark once
	@deploy/tools bwrap cargo cc cmake curl faketime h2load haproxy nginx nginx-stream openssl pgbouncer postgres python3 python3-venv cargo-nextest
	$(LINTED) $(CARGO) nextest run $(TESTED) --no-fail-fast --test-threads $(TEST_THREADS)
	$(LINTED) $(CARGO) test --locked --benches --quiet
	$(LINTED) $(CARGO) test --locked --doc --quiet
	tests/deploy/run
	cd benches/compare && python3 -B -m unittest discover --quiet --top-level-directory . --start-directory tests

# A workspace and a folder of its own: tests/loom/Cargo.toml has dependencies with features that ours must not have.
loom: ## Try every interleaving of what reads and changes revocations
	@deploy/tools cargo cc cargo-nextest
	$(LINTED) $(CARGO) nextest run --locked --manifest-path tests/loom/Cargo.toml --target-dir target/loom

# The folder is that of `tests`, so that only this crate is built once more, optimised and by rustc itself:
# tests/instructions/profile.toml.
INSTRUCTIONS = nextest run --locked --no-capture --config tests/instructions/profile.toml --test instructions

instructions: ## Hold the instructions of a decision and of a request to their budget
	@deploy/tools cargo cc cmake cargo-nextest postgres valgrind
	$(CARGO) $(INSTRUCTIONS)

budget: ## Write the instructions that are counted now as their budget
	@deploy/tools cargo cc cmake cargo-nextest postgres valgrind
	PORTERO_BUDGET=write $(CARGO) $(INSTRUCTIONS)

# By the program that `lint` builds: `cargo run` would build for minutes, because dependencies have other features where
# those of the tests are left out.
check: lint ## Check that the gateway.toml that ships is good
	$(BUILT)/debug/portero check --file-only --config gateway.toml
