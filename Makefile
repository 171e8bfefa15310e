# Every target installs what it needs on a fresh Debian machine that has a Swift toolchain.

PREFIX ?= /usr/local
VERSION := $(shell sed -n 's/.*static let version = "\(.*\)"/\1/p' Sources/EnsignCommandLine/Product.swift)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := libgit2-dev libyaml-dev libsodium-dev nettle-dev libvalijson-dev nlohmann-json3-dev libpcre2-dev zlib1g-dev \
	libcurl4-openssl-dev libmicrohttpd-dev libgnutls28-dev libmbedtls-dev libhttp-parser-dev git openssh-client python3 python3-venv make g++ pkg-config
# Only the tests need these: pushing over ssh, completion for zsh, the client for JavaScript (Node comes with it), queries to
# Prometheus, which is unpacked below .build and not installed: its package starts a service.
TEST_PACKAGES := openssh-server zsh curl node-typescript
PROMETHEUS := .build/prometheus/usr/bin/prometheus
OTEL := .build/otel/bin/python
# The reference implementation of JSON Schema, which judges random schemas beside ours.
JSONSCHEMA := .build/jsonschema/bin/python
JSONSCHEMA_PACKAGES := jsonschema==4.26.0
OTEL_PACKAGES := opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-json-file==0.66b1 opentelemetry-proto==1.45.2
# The linker takes the first libstdc++ that it finds: a folder with the archive alone puts it into the binary. What of the
# shared one the toolchain asks for besides is then not needed. Types are found by their addresses, not by their names: looking
# those up took an eighth of a run that has nothing to do.
STATIC := $(CURDIR)/.build/static
RELEASE := mkdir -p $(STATIC) && ln -sf $$(gcc -print-file-name=libstdc++.a) $$(gcc -print-file-name=libgcc_eh.a) $(STATIC) && \
	for product in ensign ensign-gateway; do swift build -c release --static-swift-stdlib --product $$product \
	-Xswiftc -Xfrontend -Xswiftc -disable-concrete-type-metadata-mangled-name-accessors \
	-Xswiftc -no-toolchain-stdlib-rpath -Xlinker -L$(STATIC) -Xlinker -lgcc_eh -Xlinker --as-needed || exit 1; done
BINARY := .build/release/ensign

.PHONY: build demo test test-ecosystem prove fuzz lint format check-python check-javascript install bench setup clean

build: setup ## Build the two release binaries
	$(RELEASE)

setup: ## Install the Debian packages that are missing
	@SUDO="$(SUDO)" sh Tests/install.sh $(PACKAGES)

demo: build ## Show the main job, the gateway, and a real server with a real framework
	@ENSIGN=$(CURDIR)/$(BINARY) sh demo/demo.sh
	@ENSIGN=$(CURDIR)/$(BINARY) sh demo/gateway.sh
	@ENSIGN=$(CURDIR)/$(BINARY) sh demo/framework.sh

# In a folder that apt's own user may write to; nothing of the package runs here.
$(PROMETHEUS):
	@echo "Unpacking: prometheus"
	@folder=$$(mktemp -d) && chmod 755 $$folder && (cd $$folder && { apt-get download -qq prometheus 2>/dev/null || \
		{ $(SUDO) apt-get update -qq && apt-get download -qq prometheus; }; }) && \
		mkdir -p .build/prometheus && dpkg -x $$folder/prometheus_*.deb .build/prometheus && rm -rf $$folder

$(OTEL): | setup
	@echo "Installing: $(OTEL_PACKAGES)"
	@rm -rf .build/otel && python3 -m venv .build/otel && .build/otel/bin/pip install -q $(OTEL_PACKAGES)

$(JSONSCHEMA): | setup
	@echo "Installing: $(JSONSCHEMA_PACKAGES)"
	@rm -rf .build/jsonschema && python3 -m venv .build/jsonschema && .build/jsonschema/bin/pip install -q $(JSONSCHEMA_PACKAGES)

# The tests start the program some ten thousand times: the one that is shipped takes a quarter of the time, and is what
# counts. One process runs as many tests at a time as there are cores, and most of them wait: so several run side by side.
BUNDLE := ENSIGN=$(CURDIR)/$(BINARY) .build/debug/ensignPackageTests.xctest --testing-library swift-testing --parallel
PYTHON_TESTS := ENSIGN=$(CURDIR)/$(BINARY) python3 -m unittest discover
TOGETHER := python3 Tests/together.py
test: PACKAGES += $(TEST_PACKAGES)
test: setup $(PROMETHEUS) $(OTEL) $(JSONSCHEMA) ## Run everything that must hold
	$(TOGETHER) 'lint=$(MAKE) lint' 'python=$(MAKE) check-python' 'javascript=$(MAKE) check-javascript'
	$(RELEASE)
	swift build --build-tests
	$(TOGETHER) 'modules-a=$(BUNDLE) --filter "^Ensign[A-L]"' 'modules-m=$(BUNDLE) --filter "^Ensign[M-Z]"' \
		'integration-a=$(BUNDLE) --filter "^IntegrationTests\.[A-G]"' \
		'integration-h=$(BUNDLE) --filter "^IntegrationTests\.[H-K]"' 'integration-l=$(BUNDLE) --filter "^IntegrationTests\.[L-Z]"' \
		'gateway=$(PYTHON_TESTS) -s Tests/Gateway' 'ci=$(PYTHON_TESTS) -s Tests/CI' 'shipped=sh Tests/release.sh $(CURDIR)/$(BINARY)'

# Real frameworks by the lines of docs/runtimes.md and docs/gateway.md: some 2 GB of packages, kept in ECOSYSTEM between runs.
ECOSYSTEM ?= .build/ecosystem
test-ecosystem: build ## Count the runs of real agent frameworks, and import real servers, and lead the frameworks through the gateway (Tests/Ecosystem); PAIRS, SERVERS, CLIENTS choose some
	python3 Tests/Ecosystem/run.py $(CURDIR)/$(BINARY) --packages $(ECOSYSTEM) $(PAIRS)
	python3 Tests/Ecosystem/servers.py $(CURDIR)/$(BINARY) --packages $(ECOSYSTEM) $(SERVERS)
	python3 Tests/Ecosystem/gateway.py $(CURDIR)/$(BINARY) --packages $(ECOSYSTEM) $(CLIENTS)
	ENSIGN=$(CURDIR)/$(BINARY) PACKAGES=$(abspath $(ECOSYSTEM))/demo sh demo/framework.sh

# docs/assurance.md has the figures. What no package carries of the suites is left out.
KILLS ?= 1000
FAULTS ?= 1000
prove: build $(JSONSCHEMA) ## Compare with the official test suites, kill the program KILLS times, make FAULTS calls fail, and fuzz each parser
	python3 Tests/suites.py .build/suites
	swift build --build-tests
	$(BUNDLE) --filter 'OfficialSuiteTests|OfficialYAMLTests|DialectTests|PatternTests|ExporterTests'
	ENSIGN=$(CURDIR)/$(BINARY) python3 Tests/Prove/prove.py kills --count $(KILLS)
	ENSIGN=$(CURDIR)/$(BINARY) python3 Tests/Prove/prove.py faults --count $(FAULTS)
	$(MAKE) fuzz

# With the sanitizers of the toolchain, into a folder of its own. Both are named once more together: of two the compiler takes the
# last, and the package manager's order is chance. What was found to be worth trying is kept below .build/fuzzed.
FUZZ_SECONDS ?= 60
FUZZ_JOBS ?= 1
fuzz: build ## Fuzz each parser for FUZZ_SECONDS (3600: an hour), FUZZ_JOBS at a time; PARSERS chooses some
	ENSIGN_FUZZ=1 swift build -c release --scratch-path .build/fuzz --product ensign-fuzz \
		--sanitize address --sanitize fuzzer -Xswiftc -sanitize=address,fuzzer \
		-Xswiftc -enable-testing -Xswiftc -use-ld=lld
	ENSIGN=$(CURDIR)/$(BINARY) python3 Tests/Fuzz/fuzz.py --seconds $(FUZZ_SECONDS) --jobs $(FUZZ_JOBS) $(PARSERS)

# The client for JavaScript: its tests, its types, and that it says what the client for Python says.
TSC := tsc --noEmit --strict --noUncheckedIndexedAccess --target es2022 --module nodenext --moduleResolution nodenext
check-javascript:
	node --test clients/javascript/ensign.test.mjs clients/javascript/proofs.test.mjs
	$(TSC) clients/javascript/usage.mts
	python3 clients/javascript/agreement.py

lint:
	swift format lint --strict --recursive --parallel Package.swift Sources Tests
	python3 Tests/lint.py

format: ## Format the sources
	swift format --in-place --recursive --parallel Package.swift Sources Tests

# Twice: nothing else is installed where the client must work, and its spans want OpenTelemetry.
check-python: $(OTEL)
	python3 -m unittest discover -s clients/python
	$(OTEL) -m unittest discover -s clients/python -p test_telemetry.py

install: build ## Install both binaries and their completions below PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions
	for name in ensign ensign-gateway; do \
		install -s -m 755 .build/release/$$name $(DESTDIR)$(PREFIX)/bin/$$name && \
		.build/release/$$name completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$name && \
		.build/release/$$name completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_$$name || exit 1; \
	done

include packaging/packaging.mk

-include bench/bench.mk

clean:
	rm -rf .build .venv
