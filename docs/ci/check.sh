#!/bin/sh
# What a forge's CI asks of a pull request. The work tree is the pull request's commit, with the full history.
#   sh check.sh BASE        BASE is the commit or branch that it would be merged into
# Writes ensign.sarif and plan.md. Its status is that of the check: 0, or 3 or 4 when a push to a host would be refused.
set -u
base=$1
status=0
ensign validate || status=$?
ensign validate --quiet --output sarif > ensign.sarif
# What is live, if the host pushes its ledger to this forge; without it the plan compares with the branch.
git fetch -q origin '+refs/ensign/ledger/*:refs/ensign/ledger/*' 2> /dev/null || true
ensign -c ensign.remote=origin plan --output markdown HEAD > plan.md || true
cat plan.md
# Everything that `validate` finds, and released versions that change: what a host with this branch would say to the push.
host=$(mktemp -d)
trap 'rm -rf "$host"' EXIT
old=$(git rev-parse "$base^{commit}") new=$(git rev-parse HEAD)
git clone -q --bare --shared . "$host/fleet.git"
# A clone leaves the ledgers behind; without them no soak is looked at, and the hook compares with the branch. A client takes
# them as they were fetched: only who writes a ledger must have its key.
git -C "$host/fleet.git" fetch -q origin '+refs/ensign/ledger/*:refs/ensign/ledger/*' || status=$?
git -C "$host/fleet.git" config ensign.client true
git -C "$host/fleet.git" update-ref refs/heads/main "$old"
(cd "$host/fleet.git" && echo "$old $new refs/heads/main" | ensign hook pre-receive) || status=$?
exit "$status"
