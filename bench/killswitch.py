#!/usr/bin/env python3
"""How long an agent that breaks a rule goes on: from its line of telemetry to its halted route being durable.

`ensign watch` runs on a fleet of 10,000 agents while 1,000 lines a second come in from all of them. Now and then one
line is a call of a tool that its agent was not granted, and the rule `unknownTool: 1` halts it. Timed is from the moment
before that line is written to the moment at which `ensign watch` says that the halt is durable. Each halt is also
recorded in the ledger meanwhile, which is load of its own.

    bench/killswitch.py --ensign .build/release/ensign [--agents 10000] [--rate 1000] [--halts 200]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import generate

RULES = """\
  killSwitch:
    - {spend: 25, within: 5m}
    - {repeatedCall: 20, within: 1m}
    - {deniedCalls: 5, within: 1m}
    - {steps: 50}
    - {unknownTool: 1}
"""
AIM = 0.250


def text(value: str) -> dict[str, str]:
    return {"stringValue": value}


def line(agent: generate.Agent, tool: str, draw: random.Random) -> bytes:
    """One call of a tool, about 1.1 KB as exporters write it."""
    now = time.time_ns()
    attributes = {
        "gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": f"{agent.team}/{agent.name}",
        "gen_ai.tool.name": tool, "gen_ai.tool.call.arguments": json.dumps({"id": draw.randrange(1 << 40)}),
        "gen_ai.tool.call.id": f"call_{draw.randrange(1 << 60):x}", "server.address": "crm.example.internal",
    }
    span = {
        "traceId": f"{draw.getrandbits(128) | 1:032x}", "spanId": f"{draw.getrandbits(64) | 1:016x}", "name": tool, "kind": 3,
        "startTimeUnixNano": str(now - 40_000_000), "endTimeUnixNano": str(now),
        "attributes": [{"key": key, "value": text(value)} for key, value in attributes.items()], "status": {},
    }
    resource = {"service.name": "agents", "service.instance.id": "b7e2", "host.name": "runtime-4"}
    record = {"resourceSpans": [{
        "resource": {"attributes": [{"key": key, "value": text(value)} for key, value in resource.items()]},
        "scopeSpans": [{"scope": {"name": "opentelemetry.instrumentation.langchain", "version": "0.47.3"},
                        "spans": [span]}],
    }]}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def declare(repository: Path, settings: str) -> None:
    """One more commit on main: the environment gets further settings."""
    environment = {**os.environ, "GIT_DIR": str(repository), "GIT_INDEX_FILE": str(repository / "index.bench")}

    def git(*arguments: str, given: str | None = None) -> str:
        return subprocess.run(["git", *arguments], env=environment, input=given, check=True, text=True,
                              capture_output=True).stdout.strip()

    path = "environments/prod/environment.yaml"
    git("read-tree", "main")
    blob = git("hash-object", "-w", "--stdin", given=git("show", f"main:{path}") + "\n" + settings)
    git("update-index", "--cacheinfo", f"100644,{blob},{path}")
    commit = git("commit-tree", git("write-tree"), "-p", "main", "-m", "Settings")
    git("update-ref", "refs/heads/main", commit)


class Watch:
    """`ensign watch`, and when it said which agent was halted."""

    def __init__(
        self, ensign: str, repository: Path, telemetry: Path, *, under: list[str] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.halted: dict[str, float] = {}
        self.log: list[str] = []
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            [*(under or []), ensign, "-c", f"ensign.prod.telemetry={telemetry}", "watch", "--env", "prod", "--repo", str(repository)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.ready.wait(60)

    def read(self) -> None:
        assert self.process.stderr is not None
        for row in self.process.stderr:
            now = time.perf_counter()
            self.log.append(row)
            if " watching " in row:
                self.ready.set()
            if match := re.search(r": halted (\S+/\S+) in ", row):
                self.halted.setdefault(match[1], now)

    def usage(self) -> tuple[float, int]:
        """Seconds of processor time and bytes of memory so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensign", default=".build/release/ensign")
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=1_000, help="lines a second")
    parser.add_argument("--halts", type=int, default=200)
    parser.add_argument("--work", default=None, help="where to put the fleet; default a temporary folder")
    options = parser.parse_args()
    ensign = str(Path(options.ensign).resolve())
    work = Path(tempfile.mkdtemp(prefix="ensign-killswitch-", dir=options.work))
    os.environ.update({"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "NO_COLOR": "1",
                       "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@ensign.invalid",
                       "GIT_COMMITTER_NAME": "Bench", "GIT_COMMITTER_EMAIL": "bench@ensign.invalid"})
    watch = None
    try:
        repository, telemetry = work / "fleet.git", work / "telemetry"
        telemetry.mkdir()
        print(f"writing a fleet of {options.agents:,} agents ...", file=sys.stderr)
        generate.write_fleet(str(repository), options.agents)
        declare(repository, RULES)
        subprocess.run([ensign, "init", "--quiet", "--repo", repository], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([ensign, "reconcile", "--quiet", "--env", "prod", "--repo", repository], check=True,
                       stdout=subprocess.DEVNULL)
        watch = Watch(ensign, repository, telemetry)
        time.sleep(5)  # it observes every live file first
        idle = measure_idle(watch)
        return measure(watch, telemetry, options, idle)
    finally:
        if watch:
            watch.stop()
        shutil.rmtree(work, ignore_errors=True)


def measure_idle(watch: Watch) -> float:
    before = watch.usage()[0]
    time.sleep(10)
    return (watch.usage()[0] - before) / 10


def measure(watch: Watch, telemetry: Path, options: argparse.Namespace, idle: float) -> int:
    draw = random.Random(1)
    agents = [generate.Agent(index) for index in range(options.agents)]
    victims = draw.sample(agents, options.halts)
    bystanders = [agent for agent in agents if agent not in set(victims)]
    tools = {agent.index: next(f"{tool}__{operations[0]}" for tool, operations in agent.needs().items())
             for agent in bystanders}
    written: dict[str, float] = {}
    before, start = watch.usage()[0], time.perf_counter()
    lines, victim, next_halt = 0, 0, start + 3
    with open(telemetry / "traces.jsonl", "ab", buffering=0) as file:
        while victim < len(victims) or time.perf_counter() < next_halt + 2:
            # In small groups, as a collector flushes; the rate is kept whatever one group took.
            due = int((time.perf_counter() - start) * options.rate) - lines
            for _ in range(max(due, 0)):
                agent = draw.choice(bystanders)
                file.write(line(agent, tools[agent.index], draw))
                lines += 1
            if victim < len(victims) and time.perf_counter() >= next_halt:
                agent = victims[victim]
                victim += 1
                next_halt = time.perf_counter() + draw.uniform(0.1, 0.5)
                bad = line(agent, "shell__run", draw)
                written[f"{agent.team}/{agent.name}"] = time.perf_counter()
                file.write(bad)
                lines += 1
            time.sleep(0.001)
    seconds = time.perf_counter() - start
    cpu, memory = (watch.usage()[0] - before) / seconds, watch.usage()[1]
    times = sorted(watch.halted[name] - moment for name, moment in written.items() if name in watch.halted)
    missing = [name for name in written if name not in watch.halted]
    if missing or not times:
        print(f"not halted: {missing[:5]}\n" + "".join(watch.log[-20:]), file=sys.stderr)
        return 1
    extra = set(watch.halted) - set(written)
    if extra:
        print(f"halted for nothing: {sorted(extra)[:5]}", file=sys.stderr)
        return 1
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))]
    print(f"agents {options.agents:,}, lines a second {lines / seconds:,.0f}, halts {len(times)}")
    print(f"telemetry line written -> halted route durable: median {statistics.median(times) * 1e3:.0f} ms, "
          f"90 % {at(0.9) * 1e3:.0f} ms, 99 % {at(0.99) * 1e3:.0f} ms, most {times[-1] * 1e3:.0f} ms "
          f"(aim: 99 % within {AIM * 1e3:.0f} ms)")
    print(f"watch: {cpu * 100:.0f} % of a core meanwhile, {idle * 100:.1f} % idle, {memory / 1e6:.0f} MB")
    return 0 if at(0.99) <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
