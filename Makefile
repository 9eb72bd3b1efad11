# Everything that a person or CI does with this repository. All of it goes
# through Go and the scripts named here; "make help" lists the targets.
.DEFAULT_GOAL := help
.SUFFIXES:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# The modules with Go code of ours: loom itself, and those that keep heavy
# dependencies out of its go.mod.
MODULES := . test bench

# How long a fuzz target runs; how much the soak does.
FUZZTIME  ?= 10m
SOAK      ?= -mixed=60s -calls=1000000 -connects=10000
SOAK_RELOADS ?= -reloads=100 -probation=3s -quiet=10s -factor=3
GOLANGCI  := .tmp/bin/golangci-lint

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Install what the tests need (as root), or name what is missing
	test/deps.sh

.PHONY: build
build: ## Build the commands into bin/
	go build -trimpath -o bin/ ./cmd/...

.PHONY: test
test: deps format vet lint web generated portable unit scenarios ## Run everything that CI runs
	@echo "all tests passed"

.PHONY: format
format: # Every file is as gofmt writes it
	@files=$$(find . \( -name node_modules -o -name .tmp \) -prune -o -name '*.go' -print | xargs gofmt -l); \
	if [ -n "$$files" ]; then echo "not formatted; run gofmt -w on:"; echo "$$files"; exit 1; fi

.PHONY: vet
vet: # The findings of go vet, in every module
	@set -e; for module in $(MODULES); do echo "go vet in $$module"; (cd $$module && go vet ./...); done

.PHONY: lint
lint: $(GOLANGCI) ## Run golangci-lint in every module
	@set -e; for module in $(MODULES); do echo "golangci-lint in $$module"; \
		(cd $$module && $(CURDIR)/$(GOLANGCI) run --config $(CURDIR)/.golangci.yml ./...); done

$(GOLANGCI): test/lint/go.mod test/lint/go.sum
	cd test/lint && go build -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: web
web: # The types of the page, and what a linter finds in it
	test/web/check.sh

.PHONY: generate
generate: ## Generate code from the protobuf files
	tools/generate.sh

.PHONY: generated
generated: # The generated code is what the generator makes
	test/generated.sh

.PHONY: portable
portable: # Parts that need Linux stand behind build tags
	GOOS=darwin go build ./...

.PHONY: unit
unit: # The tests of the packages, with the race detector
	go test -race ./...
	@# A build that a test can end at any point of a hot restart.
	go test -race -tags loomfault -run TestFaults -parallel 20 ./internal/hotrestart
	cd bench && go test -race ./...

.PHONY: scenarios
scenarios: # The tests with real processes, one package at a time
	@# Anew each time: go does not see that loomd, which they run, has changed.
	cd test && go test -count=1 -race -p 1 -timeout 20m ./...

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (10m)
	@set -e; grep -rlE --include='*_test.go' '^func Fuzz' internal cmd | sort | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "fuzz $$target in $$(dirname $$file) for $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x ./$$(dirname $$file) </dev/null; \
		done; \
	done

.PHONY: soak
soak: deps fuzz ## Run what takes longer: fuzzing, a million calls, mixed traffic, 100 reloads
	cd test && go test -count=1 -v -timeout 2h ./integrity $(SOAK)
	cd test && go test -count=1 -v -timeout 30m -run "TestStorm|TestNothingThatIsCountedFalls|TestOpenBreaker" ./restart $(SOAK_RELOADS)

.PHONY: bench
bench: ## Measure loomd beside its peers; writes bench/RESULTS.md
	bench/run.sh

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin .tmp test/relay/js/node_modules test/web/node_modules test/browser/node_modules
