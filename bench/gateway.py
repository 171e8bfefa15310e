#!/usr/bin/env python3
"""What `ensign-gateway` adds to a call, how many calls a second it decides, how soon a halt holds, and how much memory it
takes. All in one run, side by side: the same server behind each way, calls by each way in turn.

    bench/gateway.py --ensign .build/release/ensign [--only stdio|http|rate|halt|memory] [--calls 5000] [--agents 10000]

The server (mcpserver.c), the client (mcpcalls.c) and the floors (passthrough.c, webpass.c) are C and cost next to nothing.
Beside them stands a proxy as people write it in Python: it reads each message, looks at the name, and passes it on.

What a call between processes costs is a machine's own: so what is added is also said in times what the floor adds.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import generate

HERE = Path(__file__).resolve().parent
SESSIONS = 8
BATCH = 20
# Microseconds that the gateway may add: at the median, at the 99th percentile.
AIMS = {"stdio": (100, 300), "http": (250, 1_000)}
# The same in times what a passthrough in C adds, by what that took where the aims were set: 9 and up to 39 µs over pipes, 33
# to 56 and up to 78 over HTTP.
RATIOS = {"stdio": (11, 8), "http": (5, 13)}
FLOORS = {"stdio": "passthrough in C", "http": "passthrough in C, over HTTP"}
RATE_AIM = 5_000
MEMORY_AIM = 100
WITHOUT_LIMITS = {"refusals": 1_000_000, "stepsPerMinute": 10_000_000, "runsPerHour": 1_000_000, "repeatedCalls": 1_000_000}
BLUEPRINT = {
    "fleet/teams/desk.yaml": """\
apiVersion: ensign.dev/v1
kind: Team
spec: {members: [ada@example.com], escalation: oncall@example.com}
""",
    "environments/prod/environment.yaml": """\
apiVersion: ensign.dev/v1
kind: Environment
spec: {trustDomain: agents.example.com}
""",
}
TOOL = """\
apiVersion: ensign.dev/v1
kind: Tool
spec:
  owner: desk
  description: Payments.
  server: {mcp: %s}
  operations:
    lookup:
      description: Reads a payment.
      access: read
      risk: low
      idempotent: true
      timeout: 5s
      input:
        type: object
        required: [payment]
        additionalProperties: false
        properties:
          payment: {type: string, pattern: '^pay_[a-z0-9]{8,32}$'}
          amount: {type: number, minimum: 0, maximum: 5000}
          currency: {type: string, enum: [EUR, GBP, USD]}
"""
AGENT = """\
apiVersion: ensign.dev/v1
kind: Agent
spec:
  description: Sorts tickets.
  model: {provider: anthropic, name: claude-haiku-4-5}
  instructions: prompt.md
  needs:
    tools:
      - {tool: lines, version: 1.0.0, operations: [lookup]}
      - {tool: web, version: 1.0.0, operations: [lookup]}
"""
DEPLOYMENT = """\
apiVersion: ensign.dev/v1
kind: Deployment
spec:
  version: 1.0.0
  autonomy: full
  grants:
    - {tool: lines, operations: [lookup], arguments: {properties: {amount: {maximum: 100}}}}
    - {tool: web, operations: [lookup], arguments: {properties: {amount: {maximum: 100}}}}
"""
# An argument that fits, for each kind of agent of a generated fleet.
SAMPLES = {
    "crm__lookup": {"customer": "cus_0123456789"}, "knowledge-base__search": {"query": "refund rules"},
    "orders__get": {"order": "ORD-12345"}, "invoices__get": {"invoice": "INV-12345"},
    "directory__find-person": {"query": "Ada"}, "incidents__get": {"incident": "INC-1234"},
    "warehouse__describe": {"table": "orders"}, "documents__read": {"document": "doc_012345"},
}


def token(agent: str) -> str:
    return f"bench-{agent}"


def at(samples: list[int], share: float) -> float:
    """A percentile of nanoseconds, in microseconds."""
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * share))] / 1e3


class Place:
    """A fleet that is live, an operator's file, and everything that was started; gone at the end."""

    def __init__(self, ensign: str, work: str | None) -> None:
        self.ensign_program = ensign
        self.gateway_program = str(Path(ensign).parent / "ensign-gateway")
        self.folder = Path(tempfile.mkdtemp(prefix="ensign-gateway-bench-", dir=work))
        self.folder.chmod(0o755)
        self.programs: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "NO_COLOR": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@ensign.invalid",
            "GIT_COMMITTER_NAME": "Bench", "GIT_COMMITTER_EMAIL": "bench@ensign.invalid",
        }
        os.environ.update(self.environment)  # for generate.py's git
        for name in ("passthrough", "mcpserver", "mcpcalls"):
            self.run(["cc", "-O2", "-o", str(self.folder / name), str(HERE / f"{name}.c")])
        libraries = ["-lmicrohttpd", "-lcurl"]
        self.run(["cc", "-O2", "-o", str(self.folder / "webpass"), str(HERE / "webpass.c"), *libraries])

    def run(self, words: list[str], at: Path | None = None) -> str:
        done = subprocess.run(words, cwd=at or self.folder, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words[:6])} ended with {done.returncode}:\n{done.stderr[-2_000:]}")
        return done.stdout

    def start(self, words: list[str], errors: str = "errors") -> subprocess.Popen[bytes]:
        with open(self.folder / errors, "ab") as log:
            program = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0, env=self.environment,
                cwd=self.folder)
        self.programs.append(program)
        return program

    def end(self) -> None:
        for program in reversed(self.programs):
            if program.stdin:
                program.stdin.close()
            program.terminate()
        for program in self.programs:
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # The fleet

    def server(self, *words: str) -> list[str]:
        return [str(self.folder / "mcpserver"), *words]

    def publish(self) -> None:
        """Eight agents with two servers each: one over pipes, one over HTTP."""
        web = self.start(self.server("--http", "lookup"))
        assert web.stdout is not None
        self.port = int(web.stdout.readline())
        files = {
            **BLUEPRINT,
            "fleet/tools/lines/1.0.0.yaml": TOOL % f"{{command: [{self.server()[0]}, lookup]}}",
            "fleet/tools/web/1.0.0.yaml": TOOL % f'{{url: "http://127.0.0.1:{self.port}/mcp"}}',
        }
        self.agents = [f"desk/a{index}" for index in range(SESSIONS)]
        for agent in self.agents:
            files[f"fleet/agents/{agent}/1.0.0/agent.yaml"] = AGENT
            files[f"fleet/agents/{agent}/1.0.0/prompt.md"] = "Sort.\n"
            files[f"environments/prod/agents/{agent}.yaml"] = DEPLOYMENT
        self.repository = self.folder / "fleet"
        self.run(["git", "init", "-q", "-b", "main", str(self.repository)])
        for name, text in files.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.run(["git", "add", "-A"], self.repository)
        self.run(["git", "commit", "-q", "-m", "The fleet"], self.repository)
        self.run([self.ensign_program, "init"], self.repository)
        self.reconcile(self.repository / ".git")
        self.upstreams: dict[str, Any] = {
            "lines": {"command": self.server("lookup")}, "web": {"url": f"http://127.0.0.1:{self.port}/mcp"},
        }

    def generate(self, agents: int) -> None:
        """A generated fleet; one server stands for all of its tools."""
        self.repository = self.folder / "large.git"
        generate.write_fleet(str(self.repository), agents)
        self.rebind()
        self.run([self.ensign_program, "init", "--quiet", "--repo", str(self.repository)])
        self.reconcile(self.repository)
        fleet = [generate.Agent(index) for index in range(agents)]
        self.agents = [f"{agent.team}/{agent.name}" for agent in fleet]
        operations = sorted({name for agent in fleet for names in agent.needs().values() for name in names})
        self.samples = {f"{agent.team}/{agent.name}": self.sample(agent) for agent in fleet}
        self.upstreams = {tool: {"command": [str(self.wrapper(tool, operations))]} for tool in generate.TOOLS}

    def rebind(self) -> None:
        """One more commit: the environment's tools are programs of this host."""
        def git(*words: str, given: str | None = None) -> str:
            return subprocess.run(
                ["git", *words], cwd=self.repository, input=given, check=True, text=True, capture_output=True,
                env={**self.environment, "GIT_INDEX_FILE": str(self.folder / "index")}).stdout.strip()

        git("read-tree", "main")
        for tool in generate.TOOLS:
            binding = "apiVersion: ensign.dev/v1\nkind: Binding\nspec: {server: {mcp: {command: [%s-mcp]}}}\n" % tool
            blob = git("hash-object", "-w", "--stdin", given=binding)
            git("update-index", "--cacheinfo", f"100644,{blob},environments/prod/tools/{tool}.yaml")
        git("update-ref", "refs/heads/main", git("commit-tree", git("write-tree"), "-p", "main", "-m", "Servers"))

    def wrapper(self, tool: str, operations: list[str]) -> Path:
        path = self.folder / f"{tool}-mcp"
        path.write_text(f"#!/bin/sh\nexec {' '.join(self.server(*operations))}\n")
        path.chmod(0o755)
        return path

    @staticmethod
    def sample(agent: generate.Agent) -> tuple[str, dict[str, Any]]:
        for tool, operations in agent.needs().items():
            for operation in operations:
                if (name := f"{tool}__{operation}") in SAMPLES:
                    return name, SAMPLES[name]
        raise SystemExit(f"there is no sample call for {agent.name}")

    def reconcile(self, repository: Path) -> None:
        self.run([self.ensign_program, "reconcile", "--quiet", "--env", "prod", "--repo", str(repository)])
        ready = self.run([self.ensign_program, "keys", "--env", "prod", "--repo", str(repository)])
        (self.folder / "prod.keys").write_text(ready)
        self.live = repository / "ensign/live/prod"

    # The gateway

    def configure(self, name: str, **more: Any) -> Path:
        """Writes an operator's file with a state of its own."""
        spec = {
            "live": str(self.live), "keys": str(self.folder / "prod.keys"), "state": str(self.folder / f"state-{name}"),
            "upstreams": self.upstreams, "limits": WITHOUT_LIMITS, **more,
        }
        path = self.folder / f"{name}.yaml"
        # JSON is YAML.
        path.write_text(json.dumps({"apiVersion": "ensign.dev/v1", "kind": "Gateway", "spec": spec}))
        return path

    def serve(self, **more: Any) -> tuple[Path, int, subprocess.Popen[bytes]]:
        """A gateway for all agents, by HTTP with a token each and over a socket."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        agents = [
            {"agent": agent, "tokenSHA256": hashlib.sha256(token(agent).encode()).hexdigest()} for agent in self.agents
        ]
        agents += [{"agent": agent, "uid": os.getuid()} for agent in self.agents[:SESSIONS]]
        listen = {"http": f"127.0.0.1:{port}", "socket": str(self.folder / "gateway.sock")}
        config = self.configure("serve", agents=agents, listen=listen, **more)
        program = self.start([self.gateway_program, "serve", "--config", str(config)], "serve.errors")
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return config, port, program
            except OSError:
                if program.poll() is not None:
                    break
                time.sleep(0.1)
        raise SystemExit(f"the gateway does not serve:\n{(self.folder / 'serve.errors').read_text()[-2_000:]}")


# Ways to a server


class Lines:
    """A program that speaks MCP over its standard streams, greeted and warm."""

    def __init__(self, place: Place, name: str, words: list[str]) -> None:
        program = place.start(words)
        assert program.stdin is not None and program.stdout is not None
        self.descriptors = (program.stdout.fileno(), program.stdin.fileno())
        self.path = f"lines:{program.stdout.fileno()}:{program.stdin.fileno()}:{name}"
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        for message in (
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
        ):
            program.stdin.write(json.dumps(message).encode() + b"\n")
        answer = program.stdout.readline()
        if b'"result"' not in answer:
            raise SystemExit(f"{words[0]} says {answer!r}\n{(place.folder / 'errors').read_text()[-2_000:]}")


class Web:
    """A connection that is kept."""

    def __init__(self, port: int, name: str, agent: str = "", run: str = "bench") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.descriptors = (self.socket.fileno(),)
        self.path = f"web:{self.socket.fileno()}:127.0.0.1%{port}:{token(agent)}:{run}:{name}"


def calls(place: Place, mode: list[str], ways: list[Any]) -> list[list[int]]:
    """Makes calls; nanoseconds of each, by way."""
    descriptors = [descriptor for way in ways for descriptor in way.descriptors]
    done = subprocess.run(
        [str(place.folder / "mcpcalls"), *mode, *(way.path for way in ways)],
        pass_fds=descriptors, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"calls fail: {done.stderr}")
    times: list[list[int]] = [[] for _ in ways]
    for row in done.stdout.splitlines():
        way, took = row.split()
        times[int(way)].append(int(took))
    return times


def compare(title: str, place: Place, ways: dict[str, Any], count: int, judged: str, kind: str) -> dict[str, Any]:
    """Calls by each way in turn, and what each adds to the first; what `judged` adds, held against aims and the floor."""
    calls(place, ["turns", "10", str(BATCH)], list(ways.values()))  # servers start at the first call
    times = calls(place, ["turns", str(max(1, count // BATCH)), str(BATCH)], list(ways.values()))
    print(f"\n{title:32}  median     99 %   added: median     99 %")
    figures = {}
    direct = (at(times[0], 0.5), at(times[0], 0.99))
    for name, samples in zip(ways, times):
        median, most = at(samples, 0.5), at(samples, 0.99)
        added = (median - direct[0], most - direct[1])
        aim = ""
        if name == judged:
            aim = held(added, AIMS[kind], "µs")
        print(f"{name:32} {median:7.1f} {most:8.1f} µs  {added[0]:12.1f} {added[1]:8.1f} µs{aim}")
        figures[name] = {"median": median, "p99": most, "addedMedian": added[0], "addedP99": added[1]}
    floor, ours = figures[FLOORS[kind]], figures[judged]
    times = (ours["addedMedian"] / floor["addedMedian"], ours["addedP99"] / floor["addedP99"])
    ours.update({"timesFloorMedian": times[0], "timesFloorP99": times[1]})
    print(f"{f'in times {FLOORS[kind]}':59} {times[0]:12.1f} {times[1]:8.1f}     {held(times, RATIOS[kind], 'times')}")
    return figures


def held(values: tuple[float, float], aims: tuple[int, int], unit: str) -> str:
    missed = any(value > limit for value, limit in zip(values, aims))
    return f"  {'MISS' if missed else 'ok'} (aim {aims[0]} and {aims[1]} {unit})"


# Rows


def measure_stdio(place: Place, count: int) -> dict[str, Any]:
    config = place.configure("stdio")
    served, _, _ = place.serve()
    server = place.server("lookup")
    gateway = [place.gateway_program, "stdio", "--run", "bench", "--config"]
    ways = {
        "direct": Lines(place, "lookup", server),
        "passthrough in C": Lines(place, "lookup", [str(place.folder / "passthrough"), *server]),
        "proxy in Python": Lines(place, "lookup", [sys.executable, str(HERE / "gateway.py"), "proxy", *server]),
        "ensign-gateway stdio": Lines(place, "lines__lookup", [*gateway, str(config), "--agent", place.agents[0]]),
        "stdio to a gateway that serves": Lines(place, "lines__lookup", [*gateway, str(served), "--agent", place.agents[1]]),
    }
    return compare("stdio", place, ways, count, "ensign-gateway stdio", "stdio")


def measure_http(place: Place, count: int) -> dict[str, Any]:
    _, port, _ = place.serve()
    passing = place.start([str(place.folder / "webpass"), str(place.port)])
    assert passing.stdout is not None
    ways = {
        "direct": Web(place.port, "lookup"),
        FLOORS["http"]: Web(int(passing.stdout.readline()), "lookup"),
        "gateway, server over HTTP": Web(port, "web__lookup", place.agents[2]),
        "gateway, server over pipes": Web(port, "lines__lookup", place.agents[3]),
    }
    return compare("HTTP on loopback, keep-alive", place, ways, count, "gateway, server over HTTP", "http")


def measure_rate(place: Place, seconds: float) -> dict[str, Any]:
    _, port, program = place.serve()
    plans = {
        "direct, HTTP": [Web(place.port, "lookup") for _ in place.agents],
        "gateway, server over pipes": [Web(port, "lines__lookup", agent, "rate") for agent in place.agents],
        "gateway, server over HTTP": [Web(port, "web__lookup", agent, "rate") for agent in place.agents],
    }
    print(f"\n{f'{SESSIONS} sessions at the same time':32} calls a second   median     99 %   gateway's µs of processor a call")
    figures = {}
    for name, ways in plans.items():
        calls(place, ["together", "0.5"], ways)
    for name, ways in plans.items():
        before, start = processor(program.pid), time.perf_counter()
        times = calls(place, ["together", str(seconds)], ways)
        took = time.perf_counter() - start
        every = [sample for samples in times for sample in samples]
        rate, used = len(every) / seconds, (processor(program.pid) - before) / len(every) * 1e6
        aim = "" if name.startswith("direct") else f"  {'ok' if rate >= RATE_AIM else 'MISS'} (aim {RATE_AIM:,})"
        shown = "" if name.startswith("direct") else f"{used:10.0f}"
        print(f"{name:32} {rate:14,.0f} {at(every, 0.5):8.0f} {at(every, 0.99):8.0f} µs {shown}{aim}")
        figures[name] = {"rate": rate, "median": at(every, 0.5), "p99": at(every, 0.99), "seconds": took, "processor": used}
    return figures


def processor(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """Calls one after another over a kept connection, and what came of each."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.number = 0

    def call(self, agent: str, name: str, arguments: dict[str, Any], run: str) -> Any:
        self.number += 1
        body = json.dumps({
            "jsonrpc": "2.0", "id": self.number, "method": "tools/call", "params": {"name": name, "arguments": arguments},
        })
        self.connection.request("POST", "/mcp", body, {
            "Authorization": f"Bearer {token(agent)}", "Ensign-Run": run, "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25",
        })
        return json.loads(self.connection.getresponse().read())["result"]


def measure_halt(place: Place, halts: int = 10) -> dict[str, Any]:
    """An agent that calls without a pause is halted by `ensign halt`, and goes on calling."""
    _, port, _ = place.serve()
    agent, client = place.agents[4], Client(port)
    route = place.live / "agents" / f"{agent}.json"
    commands, visible, late = [], [], 0
    number = 0

    def once() -> tuple[bool, float, bool]:
        """Whether the halt was there before the call was sent, when that was looked at, and whether it was refused."""
        nonlocal number
        number += 1
        looked = time.perf_counter()
        there = route.stat().st_ino != inode
        result = client.call(agent, "lines__lookup", {"payment": f"pay_{number:012}"}, "halt")
        return there, looked, bool(result.get("isError"))

    for _ in range(halts):
        inode = route.stat().st_ino
        if once()[2]:
            raise SystemExit("the agent is halted before it was")
        command = threading.Thread(target=lambda: place.run(
            [place.ensign_program, "halt", agent, "--env", "prod", "--reason", "bench", "--repo", str(place.repository)]))
        start, last = time.perf_counter(), time.perf_counter()
        command.start()
        while True:
            there, looked, refused = once()
            if refused:
                break
            late += there
            last = looked
        end = time.perf_counter()
        commands.append(end - start)
        # It became visible after the look before the last call that went through.
        visible.append(end - last)
        command.join()
        place.run([place.ensign_program, "resume", agent, "--env", "prod", "--reason", "bench", "--repo", str(place.repository)])
    print(f"\nhalt: {halts} times while the agent calls without a pause; calls that were sent after it and went through: {late}")
    print(f"from the route to the refusal at most {max(visible) * 1e3:.1f} ms (median {statistics.median(visible) * 1e3:.1f} ms); "
          f"from the start of 'ensign halt' {statistics.median(commands) * 1e3:.0f} ms")
    return {"late": late, "routeToRefusal": visible, "commandToRefusal": commands}


def memory(pid: int) -> tuple[float, float]:
    """Megabytes that are resident now, and at most so far."""
    status = dict(row.split(":", 1) for row in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def measure_memory(place: Place, agents: int, runs: int = 1_000) -> dict[str, Any]:
    print(f"\nmemory: writing a fleet of {agents:,} agents ...", file=sys.stderr)
    place.generate(agents)
    _, port, program = place.serve(output="warn")
    start = memory(program.pid)
    client, failed = Client(port), 0
    step = max(1, len(place.agents) // runs)
    for agent in place.agents[::step][:runs]:
        name, arguments = place.samples[agent]
        failed += bool(client.call(agent, name, arguments, f"run-{agent}").get("isError"))
    now, most = memory(program.pid)
    if failed:
        print((place.folder / "serve.errors").read_text()[-1_000:], file=sys.stderr)
        raise SystemExit(f"{failed} of {runs} calls were refused")
    print(f"memory: {agents:,} agents live, each with a token; at start {start[0]:.0f} MB; with {runs:,} open runs {now:.0f} MB, "
          f"at most {most:.0f} MB  {'ok' if most < MEMORY_AIM else 'MISS'} (aim {MEMORY_AIM} MB)")
    return {"start": start[0], "resident": now, "peak": most}


def proxy(words: list[str]) -> None:
    """The proxy in Python that the gateway is measured beside."""
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert server.stdin is not None and server.stdout is not None

    def back() -> None:
        for line in iter(server.stdout.readline, b""):  # type: ignore[union-attr]
            message = json.loads(line)
            sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
            sys.stdout.buffer.flush()

    threading.Thread(target=back, daemon=True).start()
    for line in iter(sys.stdin.buffer.readline, b""):
        message = json.loads(line)
        if message["method"] == "tools/call" and message["params"]["name"] not in {"lookup"}:
            continue
        server.stdin.write(json.dumps(message).encode() + b"\n")
    server.stdin.close()
    server.wait()


def main() -> int:
    if sys.argv[1:2] == ["proxy"]:
        proxy(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensign", default=".build/release/ensign", help="ensign-gateway is beside it")
    parser.add_argument("--only", choices=("stdio", "http", "rate", "halt", "memory"))
    parser.add_argument("--calls", type=int, default=5_000, help="by each way")
    parser.add_argument("--seconds", type=float, default=5, help="of calls at the same time")
    parser.add_argument("--agents", type=int, default=10_000, help="of the large fleet")
    parser.add_argument("--work", default=None, help="where to put everything; default a temporary folder")
    parser.add_argument("--json", default=None, help="write the figures there, too")
    options = parser.parse_args()
    rows = {
        "stdio": lambda place: measure_stdio(place, options.calls),
        "http": lambda place: measure_http(place, options.calls),
        "rate": lambda place: measure_rate(place, options.seconds),
        "halt": measure_halt,
        "memory": lambda place: measure_memory(place, options.agents),
    }
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    figures = {}
    for name, row in rows.items():
        if options.only not in (None, name):
            continue
        place = Place(str(Path(options.ensign).resolve()), options.work)
        try:
            if name != "memory":
                place.publish()
            figures[name] = row(place)
        finally:
            place.end()
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
