#!/bin/sh
# The main job, step by step, on real repositories in a scratch directory. Run it with: make demo
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
ensign=${ENSIGN:-ensign}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PATH="$(dirname "$ensign"):$PATH"
export PATH HOME="$scratch" GIT_CONFIG_NOSYSTEM=1
git config --global user.name "Ada Example"
git config --global user.email ada@example.com
git config --global init.defaultBranch main
git config --global advice.detachedHead false
cd "$scratch"

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() {
    printf '\033[36m$ %s\033[0m\n' "$*"
    eval "$*"
}
# A command that must be refused: the demo fails when it is not.
refused() {
    printf '\033[36m$ %s\033[0m\n' "$*"
    if eval "$*"; then
        echo "the demo expected this to be refused" >&2
        exit 1
    fi
}

step "A repository to push to, with keys, hooks and settings"
run git init -q --bare fleet.git
run ensign init --repo fleet.git

step "A fleet to start from: this project's own fleet/ and environments/"
run git clone -q fleet.git work 2>&1 | grep -v 'empty repository' || true
cp -r "$here/fleet" "$here/environments" "$here/.gitattributes" work/
cd work
run ensign init --client
run git add -A
run git commit -q -m "'The fleet'"

step "One push: checked, planned, applied, recorded before it returns"
run git push -q -u origin main 2>&1 | sed -n '1,3p;/converged/p'
cd ../fleet.git
run ensign status
run ls ensign/live/prod ensign/live/prod/agents/support
run ensign log --env prod

step "An agent reads it"
agent="python3 $here/examples/agent.py $scratch/fleet.git/ensign/live/prod support/refund-triage --key ticket-4711"
run "$agent"

step "Change a prompt in next, release it, take it to staging and to prod by branch and merge"
cd ../work
run "sed -i 's/^You decide one refund request at a time/Greet the customer by name. You decide one refund request at a time/' fleet/agents/support/refund-triage/next/prompt.md"
run ensign release support/refund-triage 1.6.0
run git commit -q -am "'Release support/refund-triage 1.6.0'"
run ensign promote support/refund-triage --to staging --version 1.6.0 --quiet
run git merge -q --no-ff -m "'Merge: 1.6.0 to staging'" ensign/promote/staging/support/refund-triage-1.6.0
run git push -q 2>&1 | grep -E 'staging: (support|converged)'
run ensign promote support/refund-triage --to prod
run git merge -q --no-ff -m "'Merge: 1.6.0 to prod'" ensign/promote/prod/support/refund-triage-1.6.0
run git push -q 2>&1 | grep -E 'prod: (support|converged)'

step "The agent's next session has it"
run "$agent | head -12"

step "May it pay back 140? And which line says so?"
arguments='{"payment":"pay_9f3k2m8q1x","amount":140,"reason":"damaged","ticket":"T-20417"}'
refused "ensign check support/refund-triage payments.refund --env prod --arguments '$arguments'"
run ensign who-can payments.refund --env prod

step "Somebody edits a live file by hand: found, repaired, recorded"
cd ../fleet.git
run "sed -i 's/\"weight\":100/\"weight\":99/' ensign/live/prod/agents/support/refund-triage.json"
run ensign drift --env prod
run ensign reconcile --env prod

step "A broken manifest does not get in"
cd ../work
run "sed -i 's/maximum: 100/maximun: 100/' environments/prod/agents/support/refund-triage.yaml"
run git commit -q --no-verify -am "'A slip of the pen'"
refused git push -q
run git reset -q --hard HEAD~1

step "Back by revert: the same digest, and the ledger says rollback"
run git revert -m 1 --no-edit HEAD '> /dev/null'
run git push -q 2>&1 | grep -E 'prod: (support|converged)'
cd ../fleet.git
run ensign log --env prod support/refund-triage

step "Proof, with Ensign and with stock git"
run ensign verify
run "ensign keys > ../allowed_signers"
run "git -c gpg.ssh.allowedSignersFile=$scratch/allowed_signers log --first-parent --show-signature --format='%h %s' refs/ensign/ledger/prod"
digest=$(ls ensign/live/prod/bundles/*/* | head -1)
run "sha256sum $digest"

step "Done. What you saw is in README.md; try it on your own fleet next."
