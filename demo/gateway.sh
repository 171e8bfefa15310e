#!/bin/sh
# What is merged, held at every call: an agent through the gateway. Run it with: make demo
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/demo/words.sh"
watch='' traffic=''

# One session that stays open: calls go in by a pipe, and what the model is told comes out.
open_session() {
    prompt "$*    # and it stays open"
    mkfifo "$scratch/pipe"
    python3 "$here/examples/session.py" "$@" < "$scratch/pipe" > "$scratch/session" 2> "$scratch/session.err" &
    traffic=$!
    exec 3> "$scratch/pipe"
    told=0
    hear
}
hear() {
    told=$((told + 1))
    for _ in $(seq 200); do
        [ "$(wc -l < "$scratch/session")" -lt "$told" ] || break
        sleep 0.05
    done
    sed -n "${told}p" "$scratch/session" | fold -s -w 110 | sed 's/^/  /'
    [ "$(wc -l < "$scratch/session")" -ge "$told" ] || { cat "$scratch/session.err"; exit 1; }
}
call() {
    printf '%scall %s%s\n' "$cyan" "$*" "$plain"
    echo "$*" >&3
    hear
}

step "A fleet that is live: its payment server runs on this host, and Ada may agree to refunds"
run git init -q --bare fleet.git
ensign init --repo fleet.git > "$scratch/said"
run git clone -q fleet.git work
run cp -r "$here/fleet" "$here/environments" "$here/.gitattributes" work/
cp "$here/examples/payments.py" payments.py
run "sed -i 's|{mcp: {url: .*|{mcp: {command: [payments.py, calls]}}|' work/environments/prod/tools/payments.yaml"
run "sed -i '/^  rollout:/,/^  [a-z]/{/^    /d;/^  rollout:/d}' work/environments/prod/environment.yaml"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$scratch/ada"
run "echo \"ada@example.com namespaces=\\\"ensign-approval\\\" \$(cut -d' ' -f1,2 $scratch/ada.pub)\" >> work/fleet/trust/allowed_signers"
run cd work
ensign init --client > "$scratch/said"
run git add -A
run git commit -q -m "'The fleet'"
excerpt '/ada@example.com/p;/prod: converged/p' git push -q -u origin main
run cd ..

step "The operator's file: where the fleet is live, whose routes count, which servers there are"
mkdir calls
ensign keys --repo fleet.git --env prod > prod.keys
printf '#!/bin/sh\necho a-secret-of-the-vault\n' > vault-read
chmod 700 vault-read
cat > gateway.yaml << EOF
apiVersion: ensign.dev/v1
kind: Gateway
spec:
  live: $scratch/fleet.git/ensign/live/prod
  keys: $scratch/prod.keys
  state: $scratch/state
  upstreams:
    payments:
      command: [$scratch/payments.py, calls]
      directory: $scratch
      references: ["vault:prod/payments-refunds"]
      env: {PAYMENTS_TOKEN: "{credentials}", PATH: /usr/local/bin:/usr/bin:/bin}
  credentials:
    vault: {command: [$scratch/vault-read]}
EOF
run cat gateway.yaml
prompt "ensign-gateway check --config gateway.yaml    # payments answers; what has no server here is off"
ensign-gateway check --config gateway.yaml > said 2>&1 || true
sed -n '1p;/^payments/,/^tickets/p' said | sed '/^tickets/d'

step "An agent through the gateway: it reads, and what its grant does not allow comes back in words for its model"
open_session ensign-gateway stdio --config gateway.yaml --agent support/refund-triage --run ticket-4711
call payments__lookup '{"payment":"pay_9f3k2m8q1x"}'
call payments__refund '{"payment":"pay_9f3k2m8q1x","amount":2500,"reason":"damaged","ticket":"T-4711"}'
call payments__delete-all '{}'

step "40.00 is within its grant, and needs a person. Ada reads what would be done, and signs exactly that with ssh-keygen"
call payments__refund '{"payment":"pay_9f3k2m8q1x","amount":40,"reason":"damaged","ticket":"T-4711"}'
run ensign-gateway approvals list --config gateway.yaml
id=$(ensign-gateway approvals list --config gateway.yaml --output json | sed -n 's/.*"id": "\(.*\)",*/\1/p')
run "ensign-gateway approvals show $id --config gateway.yaml > $id.json"
run cat "$id.json"
run "ssh-keygen -q -Y sign -n ensign-approval -f ada $id.json"
run "ensign-gateway approvals submit $id.json.sig --config gateway.yaml"
call payments__refund '{"payment":"pay_9f3k2m8q1x","amount":40,"reason":"damaged","ticket":"T-4711"}'
echo "It was good once:"
call payments__refund '{"payment":"pay_9f3k2m8q1x","amount":40,"reason":"damaged","ticket":"T-4711"}'

step "A halt in the middle of the session holds at its next call"
run "ensign halt support/refund-triage --repo fleet.git --env prod --reason 'refunds look wrong' > /dev/null"
call payments__lookup '{"payment":"pay_9f3k2m8q1x"}'
run "ensign resume support/refund-triage --repo fleet.git --env prod --reason 'a false alarm' > /dev/null"
call payments__lookup '{"payment":"pay_9f3k2m8q1x"}'
exec 3>&-
wait "$traffic"
traffic=''

step "What the server got, and what was recorded: each line follows from the one before, and its verdict from the bundle"
run "jq -c '[.name, .arguments.amount]' calls/calls.jsonl 2> /dev/null || cat calls/calls.jsonl"
run ensign-gateway log --config gateway.yaml
run ensign-gateway verify --config gateway.yaml
cat > arguments.jsonl << EOF
{"payment":"pay_9f3k2m8q1x"}
{"payment":"pay_9f3k2m8q1x","amount":2500,"reason":"damaged","ticket":"T-4711"}
{"payment":"pay_9f3k2m8q1x","amount":40,"reason":"damaged","ticket":"T-4711"}
EOF
run ensign-gateway replay --config gateway.yaml --arguments arguments.jsonl
echo "Somebody makes an allowance of a refusal:"
run "sed -i '4s/\"refused\"/\"allowed\"/' state/log/*.jsonl"
refused ensign-gateway verify --config gateway.yaml

step "Done. docs/gateway.md says the rest."
[ -z "${KEEP:-}" ] || echo "Everything is in $scratch."
