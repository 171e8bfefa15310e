"""Puts the gateway between real clients and real servers, by the lines of docs/gateway.md, and looks at both ends.

    python3 Tests/Ecosystem/gateway.py ENSIGN [CLIENT ...] [--packages DIR] [--keep DIR]

ENSIGN is the built program; ensign-gateway is beside it. Each client has a fleet and a gateway of its own, before four
servers: with `mcp` 1.x and 2.x, each as a process and over HTTP. It comes twice, by HTTP and by a process of its own. No model
is called: what a model would read is compared here, and so is each call that a server saw. Exits 1 if anything is not as it
was granted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Gateway")]

import world as gateway
from clients import Serving
from gateway_clients import CLIENTS, Client
from run import environment
from world import World, free_port

AGENT = "support/refund-triage"
WAYS = ("remote", "local")
TOOLS = ("classic-http", "classic-process", "modern-http", "modern-process")
# It ends the stream of a long call before the answer.
POLLED = "classic-http"
PACKAGES = {"classic": "langgraph", "modern": "openai-agents"}
GRANTED = ("look_up", "refund", "export", "wire", "close")
TOKEN = "the-token-of-a-test"
DEPLOYMENT = f"environments/prod/agents/{AGENT}.yaml"

MIRRORED = """{
        type: object, required: [payment], additionalProperties: false,
        properties: {payment: {type: string, x-mcp-header: Payment}}}"""
PAYMENT = "{type: object, required: [payment], additionalProperties: false, properties: {payment: {type: string}}}"
TOOL = f"""
apiVersion: ensign.dev/v1
kind: Tool
spec:
  owner: support
  server: {{mcp: SERVER}}
  operations:
    look_up:
      description: Reads a payment.
      access: read
      risk: low
      idempotent: true
      input: {MIRRORED}
      output: {{type: object, required: [payment, state], properties: {{payment: {{type: string}}, state: {{type: string}}}}}}
    refund:
      description: Sends money back.
      access: execute
      risk: high
      input:
        type: object
        required: [payment, amount]
        additionalProperties: false
        properties: {{payment: {{type: string}}, amount: {{type: number, maximum: 500}}}}
    export: {{description: Writes a long report., access: execute, risk: low, timeout: 60s, input: {PAYMENT}}}
    wire: {{description: Sends money elsewhere., access: execute, risk: high, input: {PAYMENT}}}
    close: {{description: Closes a payment., access: execute, risk: low, input: {PAYMENT}}}
    wipe: {{description: Deletes all payments., access: execute, risk: high, input: {PAYMENT}}}
"""
DESCRIPTIONS = {
    "look_up": "Reads a payment.",
    "refund": "Sends money back.",
    "export": "Writes a long report.",
    "wire": "Sends money elsewhere.",
    "close": "Closes a payment.",
}


def fleet(servers: dict[str, Any]) -> dict[str, str]:
    """The repository: one agent, and a tool for each server."""
    names = ", ".join(GRANTED)
    needs = "\n".join(f"      - {{tool: {tool}, version: 1.0.0, operations: [{names}]}}" for tool in TOOLS)
    grants = "\n".join(
        f"    - {{tool: {tool}, operations: [look_up, export]}}\n"
        f"    - {{tool: {tool}, operations: [close]}}\n"
        f"    - {{tool: {tool}, operations: [refund], arguments: {{properties: {{amount: {{maximum: 100}}}}}}}}\n"
        f"    - {{tool: {tool}, operations: [wire], approval: manager}}"
        for tool in TOOLS
    )
    header = "apiVersion: ensign.dev/v1\nkind: "
    return {
        "fleet/teams/support.yaml": f"{header}Team\nspec: {{members: [ada@example.com, bo@example.com]}}\n",
        **{f"fleet/tools/{tool}/1.0.0.yaml": TOOL.replace("SERVER", json.dumps(servers[tool])) for tool in TOOLS},
        f"fleet/agents/{AGENT}/1.0.0/agent.yaml": f"""{header}Agent
spec:
  description: Decides refund requests.
  model: {{provider: anthropic, name: claude-haiku-4-5}}
  instructions: prompt.md
  needs:
    tools:
{needs}
  limits: {{steps: 500, seconds: 3600}}
""",
        f"fleet/agents/{AGENT}/1.0.0/prompt.md": "Decide.\n",
        "environments/prod/environment.yaml": f"{header}Environment\nspec: {{trustDomain: agents.example.com}}\n",
        DEPLOYMENT: f"{header}Deployment\nspec:\n  version: 1.0.0\n  autonomy: full\n  grants:\n{grants}\n",
    }


def wait_for(port: int) -> None:
    """Waits until a server listens."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Stand:
    """The fleet, the servers and the gateway of one client."""

    def __init__(self, folder: Path, pythons: dict[str, Path]) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            self.start(pythons)
        except BaseException:
            self.end_servers()
            raise

    def start(self, pythons: dict[str, Path]) -> None:
        folder = self.folder
        source = (HERE / "gateway_server.py").read_text()
        servers: dict[str, Any] = {}
        upstreams: dict[str, Any] = {}
        ports = []
        for tool in TOOLS:
            sdk, way = tool.split("-")
            program = folder / f"{tool}.py"
            program.write_text(f"#!{pythons[PACKAGES[sdk]]}\n{source}")
            program.chmod(0o755)
            words = [str(program), str(self.log(tool))]
            if way == "process":
                upstreams[tool] = {"command": words}
                servers[tool] = {"command": [program.name, *words[1:]]}
            else:
                port = free_port()
                ports.append(port)
                upstreams[tool] = servers[tool] = {"url": f"http://127.0.0.1:{port}/mcp"}
                out = (folder / f"{tool}.out").open("wb")
                self.processes.append(subprocess.Popen([*words, str(port)], stdout=out, stderr=subprocess.STDOUT))
                out.close()
        self.world = World(
            fleet=fleet(servers),
            listen={"http": f"127.0.0.1:{free_port()}", "socket": str(folder / "gateway.sock")},
            agents=[
                {"agent": AGENT, "uid": os.getuid()},
                {"agent": AGENT, "tokenSHA256": hashlib.sha256(TOKEN.encode()).hexdigest()},
            ],
            upstreams=upstreams,
        )
        self.key = self.world.trust("ada@example.com")
        (folder / "control.sh").write_text(self.control())
        self.job = folder / "job.json"
        job = {
            "url": f"http://{self.world.spec['listen']['http']}/mcp",
            "config": str(self.world.config),
            "token": TOKEN,
            "tools": TOOLS,
            "granted": GRANTED,
            "control": str(folder / "control.sh"),
        }
        self.job.write_text(json.dumps(job, indent=1))
        for port in ports:
            wait_for(port)
        self.serving = Serving(self.world)

    def log(self, tool: str) -> Path:
        return self.folder / f"{tool}.calls"

    def control(self) -> str:
        """How the client under test changes the fleet: a script, so that it needs nothing of this file."""
        ensign, own, config = shlex.quote(gateway.ENSIGN), shlex.quote(gateway.GATEWAY), shlex.quote(str(self.world.config))
        pick = f"print(*[r['id'] for r in json.load(sys.stdin)['requests'] if r['operation'] == '{TOOLS[0]}.wire'])"
        variables = "\n".join(f"export {name}={shlex.quote(text)}" for name, text in self.world.environment.items())
        return f"""set -eu
{variables}
cd {shlex.quote(str(self.world.repository))}
case $1 in
approve)
    id=$({own} approvals list -o json --config {config} | {shlex.quote(sys.executable)} -c "import json, sys; {pick}")
    {own} approvals approve "$id" --key {shlex.quote(str(self.key))} --config {config} ;;
revoke)
    sed -i -e '/operations: .close./d' -e 's/maximum: 100/maximum: 50/' {DEPLOYMENT}
    git commit -q -a -m 'Nothing is closed any more, and less is sent back'
    {ensign} reconcile --env prod ;;
halt)
    {ensign} halt {AGENT} --env prod --reason test ;;
again)
    git revert --no-edit HEAD
    {ensign} resume {AGENT} --env prod --reason test
    {ensign} reconcile --env prod ;;
esac
"""

    def change(self, what: str) -> None:
        self.world.run(["sh", str(self.folder / "control.sh"), what])

    def calls(self, tool: str) -> Counter[str]:
        """What a server saw, as `tool {arguments}`."""
        if not self.log(tool).exists():
            return Counter()
        seen = [json.loads(line) for line in self.log(tool).read_text().splitlines()]
        return Counter(f"{call['tool']} {json.dumps(call['arguments'], sort_keys=True)}" for call in seen)

    def end_servers(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)

    def end(self) -> None:
        self.serving.end()
        self.end_servers()
        shutil.copy(self.serving.output, self.folder)
        shutil.copytree(self.world.state / "log", self.folder / "log")
        self.world.end()


# -------------------------------------------------------------------------------------------------------------- judging


def listing(listed: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a list of tools."""
    wanted = sorted(f"{tool}__{operation}" for tool in TOOLS for operation in GRANTED)
    names = sorted(tool["name"] for tool in listed)
    problems = [] if names == wanted else [f"  listed: {names}"]
    for tool in listed:
        operation = tool["name"].partition("__")[2]
        if DESCRIPTIONS.get(operation, "?") not in tool["description"] or "IGNORE" in tool["description"]:
            problems.append(f"  description of {tool['name']}: {tool['description']}")
        if tool["schema"] is not None and operation == "refund":
            if tool["schema"]["properties"]["amount"] != {"type": "number", "maximum": 100}:
                problems.append(f"  schema of {tool['name']}: {tool['schema']}")
    return problems


WORDS = {
    "look_up": "settled",
    "refund": "refunded 40",
    "close": "closed",
    "above": "at most 100",
    "unknown": "there is no tool",
    "revoked": "there is no tool",
    "narrowed": "at most 50",
    "halted": "this agent has been stopped",
}


def answers(way: str, calls: list[dict[str, Any]], client: type[Client]) -> list[str]:
    """What is wrong with what the model read."""
    problems = []
    direct = client.direct
    exported = {call["tool"]: call for call in calls if call["step"] == "slow"}
    for call in calls:
        step, (tool, _, operation) = call["step"], call["tool"].partition("__")
        told = f"  {step} {call['tool']}: {call['raised'] or call['text']!r} after {call['seconds']} s"
        if step == "slow":
            if call is exported[call["tool"]] and f"exported {way}-slow" not in call["text"]:
                problems.append(told)
        elif step == "above" and client.own_check in (call["raised"] or ""):
            continue
        elif call["raised"]:
            problems.append(told)
        elif step == "asked":
            again = tool == TOOLS[0] and call is [each for each in calls if each["tool"] == call["tool"]][-1]
            if ("wired" if again else "exactly these arguments") not in call["text"] or call["seconds"] > 4:
                problems.append(told)
        elif WORDS[operation if step == "allowed" else step] not in call["text"]:
            problems.append(told)
    steps = Counter(call["step"] for call in calls)
    wanted = {"allowed": 12, "above": 4, "asked": 5, "revoked": 4, "narrowed": 4, "halted": 4, **({"unknown": 4} if direct else {})}
    problems += [f"  {steps[step]} calls of {step}" for step, count in wanted.items() if steps[step] != count]
    return problems


def seen(stand: Stand, ways: list[str]) -> list[str]:
    """What a server saw and should not have, or the other way round."""
    problems = []
    for tool in TOOLS:
        wanted: Counter[str] = Counter()
        for way in ways:
            calls: list[tuple[str, dict[str, Any]]] = [
                ("look_up", {"payment": f"{way}-allowed"}),
                ("refund", {"amount": 40, "payment": f"{way}-allowed"}),
                ("close", {"payment": f"{way}-allowed"}),
                ("export", {"payment": f"{way}-slow"}),
            ]
            if tool == TOOLS[0]:
                calls.append(("wire", {"payment": f"{way}-asked"}))
            wanted.update(f"{name} {json.dumps(arguments, sort_keys=True)}" for name, arguments in calls)
        saw = Counter({call.replace(".0,", ","): count for call, count in stand.calls(tool).items()})
        problems += [f"  {tool} saw {count} of {call} too many" for call, count in (saw - wanted).items()]
        problems += [f"  {tool} saw {count} of {call} too few" for call, count in (wanted - saw).items()]
        if tool == POLLED and not Path(f"{stand.log(tool)}.polls").exists():
            problems.append(f"  {tool} was not asked for the rest of a stream")
    return problems


# ------------------------------------------------------------------------------------------------------------- playing


def play(name: str, python: Path, stand: Stand, way: str) -> tuple[dict[str, Any], list[str]]:
    """Plays a client; returns what it found, and what went wrong."""
    place = stand.folder / way
    (place / "home").mkdir(parents=True)
    variables = {
        "PATH": f"{Path(gateway.GATEWAY).parent}:{os.environ['PATH']}",
        "HOME": str(place / "home"),
        "TMPDIR": tempfile.gettempdir(),
        "LANG": "C.UTF-8",
        "OTEL_SDK_DISABLED": "true",
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "NO_PROXY": "127.0.0.1",
    }
    out = place / "found.json"
    command = [str(word) for word in (python, HERE / "gateway_play.py", name, way, stand.job, out)]
    try:
        run = subprocess.run(command, env=variables, capture_output=True, encoding="utf-8", timeout=300)
        failed, said = run.returncode != 0, run.stdout + run.stderr
    except subprocess.TimeoutExpired as problem:
        failed, said = True, f"not done after 300 s\n{problem.output or b''!r}"
    (place / "output.txt").write_text(said, encoding="utf-8")
    if failed:
        return {}, [said[-3_000:]]
    found = json.loads(out.read_text())
    return found, listing(found["listed"]) + answers(way, found["calls"], CLIENTS[name].client)


def matrix(name: str, pythons: dict[str, Path], folder: Path) -> tuple[str, list[str]]:
    """Plays both ways of a client; returns its versions, and what went wrong."""
    started = time.monotonic()
    stand = Stand(folder / name, pythons)
    versions, problems, played = name, [], []
    try:
        for way in WAYS:
            found, wrong = play(name, pythons[CLIENTS[name].packages], stand, way)
            versions = found.get("versions", versions)
            problems += [f"  {way}:", *wrong] if wrong else []
            played.append(way)
            if not found:
                break
            if way != WAYS[-1]:
                stand.change("again")
        problems += seen(stand, played)
        stand.world.gateway("verify")
    finally:
        stand.end()
    print(f"played {name} in {time.monotonic() - started:.0f} s", flush=True)
    return versions, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("ensign", metavar="ENSIGN", help="the built program")
    parser.add_argument("clients", metavar="CLIENT", nargs="*", help="play these alone")
    parser.add_argument(
        "--packages", type=Path, default=HERE.parents[1] / ".build" / "ecosystem", help="where environments are kept"
    )
    parser.add_argument("--keep", type=Path, help="leave what was said and seen in this folder")
    options = parser.parse_args()
    names = options.clients or list(CLIENTS)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="ensign-gateways-"))
    if options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    gateway.ENSIGN = os.path.abspath(options.ensign)
    gateway.GATEWAY = str(Path(gateway.ENSIGN).parent / "ensign-gateway")
    packages = options.packages.resolve()
    packages.mkdir(parents=True, exist_ok=True)
    needed = list(dict.fromkeys([*PACKAGES.values(), *(CLIENTS[name].packages for name in names)]))
    with ThreadPoolExecutor(2) as pool:
        pythons = dict(zip(needed, pool.map(lambda name: environment(name, packages), needed)))
    # Most of a client's time is spent on waiting for its slow call.
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        results = dict(zip(names, pool.map(lambda name: matrix(name, pythons, folder), names)))
    for name, (versions, problems) in results.items():
        print("\n".join([f"{name} ({versions}): {'holds' if not problems else 'WRONG'}", *problems]))
    failed = sum(bool(problems) for _, problems in results.values())
    print(f"{len(names) - failed} clients passed, {failed} failed, {len(TOOLS)} servers each, {len(WAYS)} ways")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
