#!/usr/bin/env python3
"""A month of `ensign watch`: does its memory grow, and what does it use when nothing happens?

The watch runs under `faketime` (Debian's package), so that a month takes some minutes: its timers, holds and windows go
through the month as they would. Meanwhile agents' runs are written with the watch's own times, the files are rotated
each day and removed after three, one agent is deployed anew each day, and the stable versions are guarded. Memory is
what the kernel says is resident.

    bench/month.py --ensign .build/release/ensign [--agents 10000] [--days 30] [--speed 2000] [--runs 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import generate
from killswitch import Watch, declare, text

SETTINGS = """\
  rollout:
    canary:
      steps: [{weight: 20, hold: 1h}, {weight: 50, hold: 3h}]
      analysis:
        metrics:
          - {name: success, kind: rate, good: true, margin: 0.05, guard: true}
          - {name: latency, kind: distribution, unit: s, margin: 20%, guard: true}
        deadline: 12h
        onInconclusive: promote
  killSwitch:
    - {spend: 25, within: 5m}
    - {repeatedCall: 20, within: 1m}
    - {deniedCalls: 5, within: 1m}
    - {steps: 50}
    - {unknownTool: 1}
"""
DAY = 86_400
# Above what a month may grow by, after the second day, in a fleet of any size.
MOST_GROWTH = 1.15


class Clock:
    """The watch's time: so many seconds for each of ours."""

    def __init__(self, speed: int) -> None:
        self.speed = speed
        self.start = time.time()

    def now(self) -> float:
        return self.start + (time.time() - self.start) * self.speed


def run_line(agent: generate.Agent, tool: str, moment: float, draw: random.Random) -> bytes:
    """A run and its call, as exporters write them."""
    trace, root = f"{draw.getrandbits(128) | 1:032x}", f"{draw.getrandbits(64) | 1:016x}"
    name = f"{agent.team}/{agent.name}"
    took = draw.lognormvariate(0.5, 0.6)
    end = int(moment * 1e9)

    def span(identity: str, parent: str, attributes: dict[str, str], seconds: float, failed: bool) -> dict:
        return {
            "traceId": trace, "spanId": identity, "parentSpanId": parent, "name": "x", "kind": 1,
            "startTimeUnixNano": str(end - int(seconds * 1e9)), "endTimeUnixNano": str(end),
            "attributes": [{"key": key, "value": text(value)} for key, value in attributes.items()],
            "status": {"code": 2} if failed else {},
        }

    failed = draw.random() < 0.04
    call = {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": name, "gen_ai.tool.name": tool,
            "gen_ai.tool.call.arguments": json.dumps({"id": draw.getrandbits(40)})}
    spans = [
        span(f"{draw.getrandbits(64) | 1:016x}", root, call, took / 2, False),
        span(root, "", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name,
                        "gen_ai.agent.version": agent_version(agent)}, took, failed),
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}, separators=(",", ":")).encode() + b"\n"


DEPLOYED: dict[int, str] = {}


def agent_version(agent: generate.Agent) -> str:
    return DEPLOYED.get(agent.index, generate.VERSIONS[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensign", default=".build/release/ensign")
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--speed", type=int, default=2_000, help="seconds of the watch's for each of ours")
    parser.add_argument("--runs", type=int, default=1_000, help="runs an hour of the watch's, of all agents together")
    parser.add_argument("--work", default=None, help="where to put the fleet; default a temporary folder")
    options = parser.parse_args()
    if not shutil.which("faketime"):
        print("bench: this needs Debian's package 'faketime'", file=sys.stderr)
        return 1
    ensign = str(Path(options.ensign).resolve())
    work = Path(tempfile.mkdtemp(prefix="ensign-month-", dir=options.work))
    os.environ.update({"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "NO_COLOR": "1",
                       "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@ensign.invalid",
                       "GIT_COMMITTER_NAME": "Bench", "GIT_COMMITTER_EMAIL": "bench@ensign.invalid"})
    watch = None
    try:
        repository, telemetry = work / "fleet.git", work / "telemetry"
        telemetry.mkdir()
        print(f"writing a fleet of {options.agents:,} agents ...", file=sys.stderr)
        generate.write_fleet(str(repository), options.agents)
        declare(repository, SETTINGS)
        subprocess.run([ensign, "init", "--quiet", "--repo", repository], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([ensign, "reconcile", "--quiet", "--env", "prod", "--repo", repository], check=True,
                       stdout=subprocess.DEVNULL)
        idle = measure_idle(ensign, repository, telemetry)
        clock = Clock(options.speed)
        faketime = subprocess.run(["faketime", "1 minute ago", "printenv", "LD_PRELOAD"], check=True, text=True,
                                  capture_output=True).stdout.strip()
        # By way of a shell: the library moves the environment of the first process that it is loaded into, behind which
        # the Swift runtime looks for the arguments.
        watch = Watch(
            ensign, repository, telemetry, under=["sh", "-c", 'exec "$0" "$@"'],
            environment={"LD_PRELOAD": faketime, "FAKETIME": f"+0 x{options.speed}", "NO_FAKE_STAT": "1"})
        return measure(watch, repository, telemetry, clock, options, idle)
    finally:
        if watch:
            watch.stop()
        shutil.rmtree(work, ignore_errors=True)


def measure_idle(ensign: str, repository: Path, telemetry: Path) -> float:
    """The share of a core that a watch uses on which nothing falls, in real time."""
    watch = Watch(ensign, repository, telemetry)
    try:
        time.sleep(10)  # it observes every live file first
        before = watch.usage()[0]
        time.sleep(60)
        return (watch.usage()[0] - before) / 60
    finally:
        watch.stop()


def resident(watch: Watch) -> int:
    return int(Path(f"/proc/{watch.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(
    watch: Watch, repository: Path, telemetry: Path, clock: Clock, options: argparse.Namespace, idle: float,
) -> int:
    draw = random.Random(1)
    agents = [generate.Agent(index) for index in range(options.agents)]
    # Some are busy, most are not.
    busy = draw.sample(agents, min(200, len(agents)))
    tools = {agent.index: next(f"{tool}__{operations[0]}" for tool, operations in agent.needs().items())
             for agent in agents}
    sizes: list[tuple[float, int]] = []
    written, day, before = 0, 0, watch.usage()[0]
    file = open(telemetry / "traces.jsonl", "ab", buffering=0)
    while (age := (clock.now() - clock.start) / DAY) < options.days:
        if watch.process.poll() is not None:
            print("the watch has ended:\n" + "".join(watch.log[-20:]), file=sys.stderr)
            return 1
        for _ in range(int(age * 24 * options.runs) - written):
            agent = draw.choice(busy if draw.random() < 0.8 else agents)
            file.write(run_line(agent, tools[agent.index], clock.now(), draw))
            written += 1
        if int(age) > day:
            day = int(age)
            file.close()
            (telemetry / "traces.jsonl").rename(telemetry / f"traces.jsonl.{day}")
            (telemetry / f"traces.jsonl.{day - 3}").unlink(missing_ok=True)
            file = open(telemetry / "traces.jsonl", "ab", buffering=0)
            agent = busy[day % len(busy)]
            parent = subprocess.run(["git", "-C", repository, "rev-parse", "main"], check=True, text=True,
                                    capture_output=True).stdout.strip()
            commit = generate.write_change(str(repository), agent.index, generate.VERSIONS[1], parent, day)
            subprocess.run(["git", "-C", repository, "update-ref", "refs/heads/main", commit], check=True)
            DEPLOYED[agent.index] = generate.VERSIONS[1]
        sizes.append((age, resident(watch)))
        time.sleep(0.05)
    file.close()
    cpu = watch.usage()[0] - before
    bad = [row for row in watch.log if "failed" in row or "error" in row or "halted" in row]
    ledger = ["git", "-C", str(repository), "rev-list", "--count", "--first-parent", "refs/ensign/ledger/prod"]
    entries = int(subprocess.run(ledger, check=True, text=True, capture_output=True).stdout)

    def largest(first: float, last: float) -> int:
        return max((size for age, size in sizes if first <= age < last), default=0)

    early, late = largest(2, 5), largest(options.days - 3, options.days + 1)
    print(f"{options.agents:,} agents, {options.days:g} days at {options.speed:,} times the speed, {written:,} runs, "
          f"{entries:,} entries")
    print("resident, most of each: " + ", ".join(
        f"day {start}-{start + 3} {largest(start, start + 3) / 1e6:.0f} MB" for start in range(0, int(options.days), 3)))
    print(f"days 2-5 {early / 1e6:.0f} MB, the last three {late / 1e6:.0f} MB: {late / max(early, 1):.2f} times "
          f"(aim: at most {MOST_GROWTH})")
    print(f"processor time for the month {cpu:.0f} s; idle {idle * 100:.2f} % of a core (aim: under 1 %)")
    if bad:
        print(f"the watch said {len(bad)} things like: {bad[0]}", file=sys.stderr)
    return 0 if late <= early * MOST_GROWTH and idle < 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
