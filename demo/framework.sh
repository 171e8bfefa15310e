#!/bin/sh
# A server that others wrote, and an agent of a framework that others wrote, both of PyPI. Run it with: make demo
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
packages=${PACKAGES:-$here/.build/demo}
install() {
    [ -e "$packages/$1/complete" ] && return
    rm -rf "$packages/$1"
    python3 -m venv "$packages/$1" &&
        "$packages/$1/bin/pip" install -q --disable-pip-version-check --no-deps --no-compile -r "$here/Tests/Ecosystem/requirements/$1.txt" &&
        touch "$packages/$1/complete"
}
echo "Installing from PyPI: mcp-server-time, pydantic-ai"
if ! { install servers && install pydantic-ai; }; then
    echo "They cannot be installed here: this part of the demo is left out."
    exit 0
fi
. "$here/demo/words.sh"
server=$packages/servers/bin/mcp-server-time
python=$packages/pydantic-ai/bin/python

step "A server that runs becomes a manifest: its names, schemas and pins"
run git init -q --bare fleet.git
ensign init --repo fleet.git > "$scratch/said"
run git clone -q fleet.git work
run cd work
run ensign new team support
run "ensign import mcp time --command '$server --local-timezone UTC' --team support"
version=$(basename fleet/tools/time/*.yaml .yaml)
excerpt 1,12p cat "fleet/tools/time/$version.yaml"

step "An agent that needs what only reads, and prod, which grants a part: one tool, for two places"
mkdir -p fleet/agents/support/clerk/1.0.0 environments/prod/agents/support
cat > fleet/agents/support/clerk/1.0.0/agent.yaml << EOF
apiVersion: ensign.dev/v1
kind: Agent
spec:
  description: Says what time it is.
  model: {provider: anthropic, name: claude-haiku-4-5}
  instructions: prompt.md
  needs:
    tools:
      - {tool: time, version: $version, operations: [{access: read}]}
EOF
echo "Say what time it is." > fleet/agents/support/clerk/1.0.0/prompt.md
cat > environments/prod/environment.yaml << EOF
apiVersion: ensign.dev/v1
kind: Environment
spec: {trustDomain: agents.example.com}
EOF
cat > environments/prod/agents/support/clerk.yaml << EOF
apiVersion: ensign.dev/v1
kind: Deployment
spec:
  version: 1.0.0
  autonomy: full
  grants:
    - {tool: time, operations: [get_current_time], arguments: {properties: {timezone: {enum: [Europe/Zurich, Asia/Tokyo]}}}}
EOF
run cat environments/prod/agents/support/clerk.yaml
run git add -A
run git commit -q -m "'A clerk who says what time it is'"
excerpt '/prod: converged/p' git push -q -u origin main
run cd ..

step "The agent, with its model played by a script, has the gateway for its only server"
ensign keys --repo fleet.git --env prod > prod.keys
cat > gateway.yaml << EOF
apiVersion: ensign.dev/v1
kind: Gateway
spec:
  live: $scratch/fleet.git/ensign/live/prod
  keys: $scratch/prod.keys
  state: $scratch/state
  upstreams:
    time: {command: [$server, --local-timezone, UTC]}
EOF
run cat gateway.yaml
run "$python $here/examples/clerk.py gateway.yaml support/clerk time__get_current_time '{\"timezone\":\"Asia/Tokyo\"}' time__get_current_time '{\"timezone\":\"America/New_York\"}' > said 2> errors" ||
    { cat errors; exit 1; }
fold -s -w 110 said
grep -q "is told: refused" said
run ensign-gateway log --config gateway.yaml

step "Done. docs/import.md and docs/runtimes.md say the rest."
