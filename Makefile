SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.NOTPARALLEL:

PROGRAMS := roost roostd roost-edge roost-pg roost-wan
# Static: a program must run in a machine's image, where there is no Swift.
STATIC := --static-swift-stdlib

# Without what only a debugger reads; that stays in .build/release. At every moment the file is the whole old or the
# whole new program, so a lab can go on while it changes.
place = [ bin/$(1) -nt .build/release/$(1) ] || { strip --strip-all -o bin/.$(1).new .build/release/$(1) \
    && mv -f bin/.$(1).new bin/$(1); }

.PHONY: help
help:
	@echo "make demo    build everything, bring a planet up on this computer and break it"
	@echo "make setup   install what is missing (Debian packages), build, and build the Postgres image"
	@echo "make build   build the programs into bin/"
	@echo "make test    run all tests (make test FILTER=Edge: those whose names match)"
	@echo "make mutations  break the program in one place after the other and see that a test turns red (an hour)"
	@echo "make bench   measure Roost against others (bin/roost lab bench --help: parts of it, JSON)"
	@echo "make check   check format and house rules;  make fmt: format"
	@echo "make clean   remove what was built"

.PHONY: packages
packages:
	@scripts/setup.sh

.PHONY: build
build: packages
	swift build -c release $(STATIC)
	@mkdir -p bin
	@for program in $(PROGRAMS); do $(call place,$$program); done

# What a machine of Postgres needs.
.PHONY: bin/roost-pg
bin/roost-pg:
	swift build -c release $(STATIC) --product roost-pg
	@mkdir -p bin
	@$(call place,roost-pg)

.PHONY: setup
setup: build
	@bin/roost image build postgres

.PHONY: demo
demo: setup
	@bin/roost lab demo

.PHONY: bench
bench: setup
	@bin/roost lab bench

# One build for the tests: the programs as users have them, except that tests may look inside, and the tests. Its
# programs are linked to Swift's libraries, as tests must be; static and dynamic builds cannot share a folder.
.PHONY: test
test: packages
	@scripts/test.sh $(FILTER)

# Not part of the tests: each place needs a build of its own. ONE=fsync for those whose description has the word.
.PHONY: mutations
mutations: packages bin/roost-pg
	@scripts/mutate.py $(ONE)

.PHONY: check
check: packages
	@scripts/check.sh

.PHONY: fmt
fmt:
	swift format -i -r Sources Tests Package.swift

.PHONY: clean
clean:
	rm -rf .build bin
