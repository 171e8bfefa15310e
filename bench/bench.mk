# Included by the Makefile: `make bench` builds the shipped binary and measures it. See bench/README.md.
#
#     make bench                                     every row, fleets of 1,000, 10,000 and 100,000 agents
#     make bench BENCH="--agents 1000,10000 --only change"

BENCH ?=

.PHONY: bench
bench: build ## Measure against stock git, libyaml and check-jsonschema
	python3 bench/bench.py $(BENCH)
