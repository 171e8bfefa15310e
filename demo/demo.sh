#!/bin/sh
# The main job, step by step, on real repositories in a scratch directory. Run it with: make demo
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/demo/words.sh"

echo "Everything happens in $scratch, which is $([ -n "${KEEP:-}" ] && echo kept || echo 'removed at the end; KEEP=1 keeps it')."

step "A repository to push to, with keys, hooks and settings"
run git init -q --bare fleet.git
run ensign init --repo fleet.git

step "A fleet to start from: this project's own fleet/ and environments/"
run git clone -q fleet.git work
run cp -r "$here/fleet" "$here/environments" "$here/.gitattributes" work/
echo "Canaries of prod take two hours and a day's traffic. Here they take seconds; the analysis stays as it is:"
run "sed -i 's/ steps: .*/ steps: [{weight: 25, hold: 2s}, {weight: 50, hold: 2s}]/' work/environments/prod/environment.yaml"
run cd work
run ensign init --client
run git add -A
run git commit -q -m "'The fleet'"

step "One push: checked, planned, applied, recorded before it returns"
excerpt '1,3p;/converged/p' git push -q -u origin main
run cd ../fleet.git
run ensign status
run ls ensign/live/prod ensign/live/prod/agents/support
run ensign log --env prod

step "An agent reads it"
agent="python3 $here/examples/agent.py $scratch/fleet.git/ensign/live/prod support/refund-triage --key ticket-4711"
run "$agent"

step "May it pay back 140? And which line says so?"
arguments='{"payment":"pay_9f3k2m8q1x","amount":140,"reason":"damaged","ticket":"T-20417"}'
refused "ensign check support/refund-triage payments.refund --env prod --arguments '$arguments'"
run ensign who-can payments.refund --env prod

step "Somebody edits a live file by hand: found, repaired, recorded"
run "sed -i 's/\"weight\":100/\"weight\":99/' ensign/live/prod/agents/support/refund-triage.json"
run ensign drift --env prod
run ensign reconcile --env prod

step "A broken manifest does not get in"
run cd ../work
run "sed -i 's/maximum: 100/maximun: 100/' environments/prod/agents/support/refund-triage.yaml"
run git commit -q --no-verify -am "'A typing error'"
refused git push -q
run git reset -q --hard HEAD~1

step "Change a prompt in next, release it, take it to staging and to prod by branch and merge"
run git fetch -q
run "sed -i 's/^You decide one refund request at a time/Greet the customer by name. You decide one refund request at a time/' fleet/agents/support/refund-triage/next/prompt.md"
run ensign release support/refund-triage 1.6.0
run git commit -q -am "'Release support/refund-triage 1.6.0'"
run ensign promote support/refund-triage --to staging --version 1.6.0 --quiet
run git merge -q --no-ff -m "'Merge: 1.6.0 to staging'" ensign/promote/staging/support/refund-triage-1.6.0
excerpt '/staging: support/p;/staging: converged/p' git push -q
run git fetch -q
run ensign promote support/refund-triage --to prod
run git merge -q --no-ff -m "'Merge: 1.6.0 to prod'" ensign/promote/prod/support/refund-triage-1.6.0
merge=$(git rev-parse HEAD)
excerpt '/prod: support/p;/prod: converged/p;/canary waiting/p' git push -q

step "A canary: a few sessions first, judged on the telemetry that the agents write. It needs a watcher"
live="$scratch/fleet.git/ensign/live/prod"
run cd ../fleet.git
run git config ensign.prod.telemetry "$scratch/telemetry"
prompt "ensign watch --env prod &"
ensign watch --env prod > "$scratch/watch.log" 2>&1 &
watch=$!
prompt "python3 $here/examples/traffic.py $live $scratch/telemetry support/refund-triage --rate 90 --seconds 90 &"
python3 "$here/examples/traffic.py" "$live" "$scratch/telemetry" support/refund-triage --rate 90 --seconds 90 \
    > "$scratch/traffic.log" 2>&1 &
traffic=$!
echo "A run counts 15 seconds after its span was read: until then there is no data."
follow
end $traffic
traffic=''
excerpt '/promoted/p' cat "$scratch/watch.log"

step "The agent's next session has it"
excerpt 1,12p "$agent"

step "A bad version: somebody makes the answers warmer, and now and then the JSON is missing"
run cd ../work
run git fetch -q
run "sed -i \"s/^Reply with the contract's JSON only/Reply warmly and in person/\" fleet/agents/support/refund-triage/next/prompt.md"
run ensign release support/refund-triage 1.7.0
run git commit -q -am "'Release support/refund-triage 1.7.0'"
run ensign promote support/refund-triage --to prod --version 1.7.0 --quiet
run git merge -q --no-ff -m "'Merge: 1.7.0 to prod'" ensign/promote/prod/support/refund-triage-1.7.0
excerpt '/prod:/p' git push -q
run cd ../fleet.git
prompt "python3 $here/examples/traffic.py $live $scratch/telemetry support/refund-triage --rate 20 --seconds 90 &"
python3 "$here/examples/traffic.py" "$live" "$scratch/telemetry" support/refund-triage --rate 20 --seconds 90 \
    > "$scratch/traffic.log" 2>&1 &
traffic=$!
follow
end $traffic
traffic=''
run ensign rollout status support/refund-triage --env prod
run ensign status --env prod

step "It went back by itself. A commit makes git agree; merging it does not change anything live"
run cd ../work
run git fetch -q origin ensign/rollback/prod/support/refund-triage
run "ensign keys --repo ../fleet.git > ../allowed_signers"
run "git -c gpg.ssh.allowedSignersFile=$scratch/allowed_signers log -1 --show-signature -p FETCH_HEAD"
run git merge -q --no-edit FETCH_HEAD
run "sha256sum $live/agents/support/refund-triage.json"
excerpt '/prod: /p' git push -q
run "sha256sum $live/agents/support/refund-triage.json"

step "An agent runs away: it asks the CRM again and again. A rule of prod's kill switch stops it"
run cd ../fleet.git
run "git show main:environments/prod/environment.yaml | grep repeatedCall"
refused "python3 $here/examples/traffic.py $live $scratch/telemetry sales/crm-hygiene"
refused "python3 $here/examples/agent.py $live sales/crm-hygiene"
recorded halt sales/crm-hygiene
run ensign log --env prod sales/crm-hygiene
run ensign status --env prod
run "ensign resume sales/crm-hygiene --env prod --reason 'the CRM can page now'"
excerpt 1p "python3 $here/examples/agent.py $live sales/crm-hygiene"
end $watch
watch=''

step "Go back by a revert: the same digest, and the ledger says rollback"
run cd ../work
run git fetch -q
run git revert -m 1 --no-edit "$(git rev-parse --short "$merge")" '> /dev/null'
excerpt '/prod: support/p;/prod: converged/p' git push -q
run cd ../fleet.git
run ensign log --env prod support/refund-triage

step "Another tool: what its MCP server offers becomes a manifest, and what nobody could know is listed"
run cd ../work
server=${MCP_SERVER:-"python3 $here/examples/payments.py"}
echo "MCP_SERVER='uvx mcp-server-git' make demo takes a real one."
run "ensign import mcp desk --command '$server' --team finance"
run "sed -n 1,14p fleet/tools/desk/*.yaml"
run ensign validate --quiet
run "ensign import mcp desk --command '$server' --check    # in CI: does it still offer what was reviewed?"
run cd ../fleet.git

step "Proof, with Ensign and with stock git"
run ensign verify
excerpt 1,12p "git -c gpg.ssh.allowedSignersFile=$scratch/allowed_signers log --first-parent --show-signature --format='%h %s' refs/ensign/ledger/prod"
run "sha256sum ensign/live/prod/bundles/*/*"

step "Done. docs/tutorial.md is this by hand; try it on your own fleet next."
[ -z "${KEEP:-}" ] || echo "The repositories are in $scratch."
