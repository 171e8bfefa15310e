# Included by the Makefile: `make bench` builds the shipped binary and measures it. See bench/README.md.
#
#     make bench                                     every row, fleets of 1,000, 10,000 and 100,000 agents
#     make bench BENCH="--agents 1000,10000 --only change"
#     make bench-judge BENCH_JUDGE="--only fall"     the judge's errors and samples alone
#     make bench-killswitch                          how long an agent that breaks a rule goes on
#     make bench-gateway                             what the gateway adds to a call, its rate and its memory
#     make bench-month                               a month of watching, in some minutes

BENCH ?=
BENCH_GATEWAY ?=
BENCH_JUDGE ?=
BENCH_KILLSWITCH ?=
BENCH_MONTH ?=
JUDGE_PYTHON := .build/bench/judge-venv/bin/python

.PHONY: bench bench-gateway bench-judge bench-killswitch bench-month
bench: build bench-judge bench-killswitch ## Measure against stock git, libyaml, check-jsonschema and other judges
	python3 bench/bench.py $(BENCH)

bench-judge: build $(JUDGE_PYTHON)
	$(JUDGE_PYTHON) bench/judge.py $(BENCH_JUDGE)

bench-gateway: build
	python3 bench/gateway.py --ensign .build/release/ensign $(BENCH_GATEWAY)

bench-killswitch: build
	python3 bench/killswitch.py --ensign .build/release/ensign $(BENCH_KILLSWITCH)

bench-month: PACKAGES += faketime
bench-month: build
	python3 bench/month.py --ensign .build/release/ensign $(BENCH_MONTH)

$(JUDGE_PYTHON):
	mkdir -p .build/bench
	python3 -m venv .build/bench/judge-venv
	.build/bench/judge-venv/bin/pip install --quiet --disable-pip-version-check numpy scipy || { rm -rf .build/bench/judge-venv; exit 1; }
