SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.NOTPARALLEL:

PROGRAMS := roost roostd roost-pg roost-wan
# Static: a program must run in a machine's image, where there is no Swift.
STATIC := --static-swift-stdlib

# Puts programs in a folder; each is at every moment the whole old or the whole new one, so a lab can go on.
define place
mkdir -p $(2)
for program in $(PROGRAMS); do \
    ln -f $(1)/$$program $(2)/.$$program.new 2>/dev/null || cp $(1)/$$program $(2)/.$$program.new; \
    mv -f $(2)/.$$program.new $(2)/$$program; \
done
endef

.PHONY: help
help:
	@echo "make demo    build everything, bring a planet up on this computer and break it"
	@echo "make setup   install what is missing (Debian packages), build, and build the Postgres image"
	@echo "make build   build the programs into bin/"
	@echo "make test    run all tests (make test FILTER=Edge: those whose names match)"
	@echo "make bench   measure Roost against others"
	@echo "make check   check format and house rules;  make fmt: format"
	@echo "make clean   remove what was built"

.PHONY: packages
packages:
	@scripts/setup.sh

.PHONY: build
build: packages
	swift build -c release $(STATIC)
	@$(call place,.build/release,bin)

.PHONY: setup
setup: build
	@bin/roost image build postgres

.PHONY: demo
demo: setup
	@bin/roost lab demo

.PHONY: bench
bench: setup
	@bin/roost lab bench

# Debug programs for the lab that the tests build; statically linked, because they run in machines too.
.PHONY: lab-programs
lab-programs: packages
	@for program in $(PROGRAMS); do swift build $(STATIC) --product $$program; done
	@$(call place,.build/debug,.build/lab/bin)
	@.build/lab/bin/roost image build postgres

.PHONY: test
test: lab-programs
	@scripts/test.sh $(FILTER)

.PHONY: check
check:
	@scripts/check.sh

.PHONY: fmt
fmt:
	swift format -i -r Sources Tests Package.swift

.PHONY: clean
clean:
	rm -rf .build bin
