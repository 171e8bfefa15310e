#!/usr/bin/env python3
"""Kills the built program, and has the file system fail under it; whatever happens, nothing may be lost.

    prove.py kills  [--count 1000] [--seed N] [--jobs N] [--only SCENE]
    prove.py faults [--count 1000] [--seed N] [--jobs N] [--only SCENE]

ENSIGN names the program (default: .build/release/ensign), ensign-gateway is beside it. A kill is a SIGKILL that has hit, a
fault is a call that has failed: trials that ended before theirs do not count. What each must leave is in hosts.py.
"""

from __future__ import annotations

import argparse
import collections
import errno
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Optional

import gateways
from hosts import ENSIGN, Agreement, Broken, Host, check_end, check_leftovers, check_whole, environment, library, run
from hosts import said, scratch
from scenes import READING, RECONCILE, SCENES, WATCH, Scene, template

CHANGING = ("room", "write", "link", "rename", "remove", "folder", "sync", "mode")
# What each kind of call may fail with. `short`: a write is cut, which is not a failure at all.
ERRORS: dict[str, tuple[str, ...]] = {
    "room": ("ENOSPC", "EIO", "EACCES", "EMFILE", "EROFS"),
    "write": ("ENOSPC", "EIO", "EDQUOT", "EINTR", "short"),
    "link": ("EIO", "EMLINK", "ENOSPC"),
    "rename": ("EIO", "ENOSPC", "EACCES"),
    "remove": ("EIO", "EACCES", "EROFS"),
    "folder": ("ENOSPC", "EACCES", "EIO"),
    "sync": ("EIO", "ENOSPC"),
    "mode": ("EPERM", "EIO"),
    "open": ("EMFILE", "EIO", "EACCES", "ENFILE"),
    "read": ("EIO", "EINTR"),
    "look": ("EIO", "EACCES"),
}
# What is not a failure: who meets it goes on.
HARMLESS = ("EINTR", "short")


@dataclass(frozen=True)
class Trial:
    """One accident. `at` is the number of a call, or a part of the time that the command takes."""

    scene: str
    mode: str
    at: float
    calls: str = ""
    error: str = ""
    lasts: bool = False

    def __str__(self) -> str:
        what = "".join(f" {each}" for each in (self.calls, self.error, "from there on" if self.lasts else "") if each)
        return f"{self.scene}: {self.mode} at {self.at}{what}"


@dataclass
class Outcome:
    trial: Trial
    happened: bool = False
    told: str = ""
    status: Optional[int] = None
    problem: Optional[str] = None


class Stage:
    """The scenes of one worker, each made when it is first needed."""

    def __init__(self) -> None:
        self.folder = scratch("ensign-prove-")
        self.made: dict[str, tuple[Host, Agreement, float]] = {}
        self.answers: dict[str, str] = {}
        self.gateway: Optional[gateways.Gateway] = None

    def scene(self, name: str) -> Scene:
        return next(each for each in (*SCENES, *READING, WATCH) if each.name == name)

    def template(self, name: str) -> tuple[Host, Agreement, float]:
        if name not in self.made:
            scene = self.scene(name)
            host, wanted = template(scene, self.folder)
            copy = host.copy(self.folder / "timed")
            if scene is WATCH:
                self.made[name] = host, wanted, 0.15
                return self.made[name]
            start = time.monotonic()
            answer = run(scene.command, copy.folder / scene.at, copy.more)
            self.made[name] = host, wanted, time.monotonic() - start
            self.answers[name] = timeless(answer.output)
        return self.made[name]

    def faulty(self, host: Host, trial: Trial, told: Path) -> dict[str, str]:
        """What a program is started with so that the accident happens."""
        loaded = [library("faults", self.folder), host.more.get("LD_PRELOAD", "")]
        more = {**host.more, "LD_PRELOAD": " ".join(filter(None, loaded)), "FAULT_PROGRAM": "ensign"}
        more |= {"FAULT_AT": str(int(trial.at)), "FAULT_MODE": trial.mode, "FAULT_TOLD": str(told)}
        if trial.calls:
            more["FAULT_CALLS"] = trial.calls
        if trial.error:
            more["FAULT_ERRNO"] = trial.error if trial.error == "short" else str(getattr(errno, trial.error))
        if trial.lasts:
            more["FAULT_LASTS"] = "1"
        return more

    def count(self, name: str, calls: str) -> int:
        """How many calls the command makes."""
        if name == gateways.NAME:
            return self.gate().count(calls)
        host, _, _ = self.template(name)
        scene = self.scene(name)
        copy = host.copy(self.folder / "counted")
        counter = self.folder / "count"
        counter.unlink(missing_ok=True)
        trial = Trial(name, "fail" if calls else "kill", 0, calls)
        more = self.faulty(host, trial, self.folder / "told") | {"FAULT_COUNT": str(counter)}
        run(scene.command, copy.folder / scene.at, more)
        return int(counter.read_text()) if counter.exists() else 0

    def gate(self) -> gateways.Gateway:
        self.gateway = self.gateway or gateways.Gateway(self.folder)
        return self.gateway

    def play(self, trial: Trial) -> Outcome:
        outcome = Outcome(trial)
        told = self.folder / "told"
        told.unlink(missing_ok=True)
        try:
            if trial.scene == gateways.NAME:
                more = self.faulty(Host(self.folder), trial, told) | {"FAULT_PROGRAM": "ensign-gateway"}
                self.gate().play(more, trial.mode == "kill")
                outcome.happened = told.exists()
            else:
                self.accident(trial, told, outcome)
        except (Broken, subprocess.TimeoutExpired, OSError, ValueError, KeyError, AssertionError) as problem:
            outcome.problem = f"{type(problem).__name__}: {problem}"
        outcome.told = told.read_text().strip() if told.exists() else outcome.told
        if outcome.problem and trial.scene == gateways.NAME:
            outcome.happened = told.exists()
        return outcome

    def accident(self, trial: Trial, told: Path, outcome: Outcome) -> None:
        template, wanted, seconds = self.template(trial.scene)
        scene = self.scene(trial.scene)
        host = template.copy(self.folder / "trial")
        keys = host.ensign("keys", "--env", "prod", statuses=(0, 1)).output if wanted.commits else ""
        if trial.mode == "moment":
            outcome.happened = kill_at(scene.command, host, scene.at, trial.at * seconds)
            remove_locks(host)
        else:
            result = run(scene.command, host.folder / scene.at, self.faulty(host, trial, told))
            outcome.happened, outcome.status = told.exists(), result.status
            outcome.told = told.read_text().strip() if told.exists() else ""
            if not outcome.happened:
                return
            if trial.mode == "kill":
                if scene.words[0] != "git" and result.status != -signal.SIGKILL:
                    raise Broken(f"it was to be killed: {result}")
            else:
                self.judge(trial, scene, result, host, wanted)
        now = run([ENSIGN, "keys", "--env", "prod"], host.bare, host.more).output if keys else ""
        # What somebody else has damaged no client takes before it is repaired.
        proven = keys + now if keys and scene.name != "repair" else None
        # Where there is no room for a halted route, none stops an agent as well.
        check_whole(host, wanted, proven, scene.name.startswith("halt"))
        if scene.only_reads:
            return
        self.wait(host)
        scene.go_on(host)
        check_end(host, wanted)
        check_leftovers(host)

    def wait(self, host: Host) -> None:
        """A lock that is left on a rollback branch counts as abandoned after a minute (docs/architecture.md): it passes."""
        if list((host.bare / "refs/heads/ensign").rglob("*.lock")):
            host.more = {**host.more, "LD_PRELOAD": library("world", self.folder), "WORLD_FILES_AHEAD": "61"}

    def judge(self, trial: Trial, scene: Scene, result: Any, host: Host, wanted: Agreement) -> None:
        """What a program says whose file system has failed."""
        if re.search(r"Fatal error|died of signal|Illegal instruction|\*\*\* Signal", result.errors):
            raise Broken(f"it trapped: {result}")
        if scene.words[0] == "git":
            return
        if result.status not in (0, 1):
            raise Broken(f"a status that means something else: {result}")
        if result.status == 1 and not result.errors.strip() and '"error": "' not in result.output:
            raise Broken(f"it failed without a word: {result}")
        if result.status == 1 and not re.search(r"/|[0-9a-f]{40}", result.errors + result.output):
            raise Broken(f"it does not say on what it failed: {result}")
        if scene.only_reads:
            # Without what it keeps for itself it may say less.
            less = re.search(r"/ensign/(status|state|cache|outbox)/", told_of(self.folder))
            # An answer that names what stands in its way is not taken for the usual one.
            less = less or '"obstacle": "' in result.output
            if result.status == 0 and timeless(result.output) != self.answers[scene.name] and not less:
                raise Broken(f"another answer, and status 0: {result}\nusual: {self.answers[scene.name]}")
            return
        if result.status == 0 and scene.name not in UNFINISHED:
            live = said(host.live_files())
            # Where there is no room for a halted route, none stops an agent as well, and that is said.
            missing = {path for path in wanted.new if path not in live}
            if {**live, **{path: wanted.new[path] for path in missing}} != wanted.new:
                raise Broken(f"status 0, and it is not done: {result}")
            if missing and not (scene.name.startswith("halt") and re.search("routes? (was|were) removed", result.output + result.errors)):
                raise Broken(f"status 0, and {missing} are not there: {result}")


def told_of(folder: Path) -> str:
    file = folder / "told"
    return file.read_text() if file.exists() else ""


# Commands after which another one makes live what they have done.
UNFINISHED = ("init",)


def timeless(text: str) -> str:
    """An answer without what the clock says."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    return re.sub(r'"(ageSeconds|milliseconds)": \d+', r'"\1": N', text)


def kill_at(words: list[str], host: Host, at: str, seconds: float) -> bool:
    """Kills a command and all that it has started after so long; whether it was still there."""
    process = subprocess.Popen(
        words, cwd=host.folder / at, env=environment(host.folder, host.more), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return process.wait() == -signal.SIGKILL


def remove_locks(host: Host) -> None:
    """git's own locks, which git leaves to people (docs/recovery.md)."""
    for folder in (host.bare, host.work / ".git"):
        for path in [*folder.glob("*.lock"), *(folder / "refs/heads").rglob("*.lock")]:
            if "refs/heads/ensign/rollback" not in str(path):
                path.unlink()


# What is tried


def kills(random: random.Random, stage: Stage, names: list[str], count: int) -> Iterator[Trial]:
    """Each call of each command, as far as the count goes, and as many moments as are left; without end."""
    share = max(1, count // len(names))
    while True:
        for name in names:
            if name == WATCH.name:
                yield from (Trial(name, "moment", random.random() * 3) for _ in range(share))
                continue
            calls = stage.count(name, "")
            at = list(range(1, calls + 1))
            chosen = at if calls <= share * 3 // 4 else sorted(random.sample(at, share * 3 // 4))
            yield from (Trial(name, "kill", number) for number in chosen)
            if name != gateways.NAME:
                yield from (Trial(name, "moment", random.random()) for _ in range(share - len(chosen)))


def faults(random: random.Random, stage: Stage, names: list[str], count: int) -> Iterator[Trial]:
    """A call of each kind in turn, which fails with one of its errors; or the disk is full from there on."""
    counts: dict[tuple[str, str], int] = {}
    while True:
        for name in names:
            reads = name in [scene.name for scene in READING]
            for kind in ("open", "read", "look") if reads else (*ERRORS, "full", "open", "read", "look"):
                calls = "" if kind == "full" else kind
                if (name, calls) not in counts:
                    counts[name, calls] = stage.count(name, calls)
                if not counts[name, calls]:
                    continue
                at = random.randint(1, counts[name, calls])
                if kind == "full":
                    yield Trial(name, "full", at)
                    continue
                error = random.choice(ERRORS[kind])
                yield Trial(name, "fail", at, kind, error, error not in HARMLESS and random.random() < 0.3)


_stage: Optional[Stage] = None


def play(trial: Trial) -> Outcome:
    global _stage
    _stage = _stage or Stage()
    return _stage.play(trial)


def finish(_: int) -> None:
    global _stage
    if _stage:
        shutil.rmtree(_stage.folder, ignore_errors=True)
    time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kills", "faults"])
    parser.add_argument("--count", type=int, default=1_000, help="how many accidents must have happened")
    parser.add_argument("--seed", type=int, default=None, help="of what is chosen by chance; printed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument("--only", action="append", help="only this scene; repeatable")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4))
    print(f"{options.what}: {options.count} wanted, seed {seed}", flush=True)
    names = [scene.name for scene in SCENES] + [gateways.NAME]
    names += [WATCH.name] if options.what == "kills" else [scene.name for scene in READING]
    names = [name for name in names if not options.only or name in options.only]
    stage = Stage()
    choose = kills if options.what == "kills" else faults
    trials = choose(random.Random(seed), stage, names, options.count)
    start = time.monotonic()
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    statuses: collections.Counter[str] = collections.Counter()
    happened = tried = 0
    problems: list[Outcome] = []
    with multiprocessing.Pool(options.jobs) as pool:
        while happened < options.count and tried < options.count * 5:
            batch = [next(trials) for _ in range(min(options.count - happened, 40 * options.jobs))]
            for outcome in pool.imap_unordered(play, batch):
                tried += 1
                if outcome.problem:
                    problems.append(outcome)
                    print(f"NOT AS IT MUST BE: {outcome.trial} ({outcome.told})\n{outcome.problem}", flush=True)
                if not outcome.happened:
                    continue
                happened += 1
                counts[outcome.trial.scene, outcome.trial.error or outcome.trial.mode] += 1
                statuses[outcome.told.split(" ")[0] or "moment"] += 1
        pool.map(finish, range(options.jobs * 4), chunksize=1)
    shutil.rmtree(stage.folder, ignore_errors=True)
    report(counts, statuses)
    print(f"{options.what}: {happened} happened ({tried} tried) in {time.monotonic() - start:.0f} s; "
          f"{len(problems)} not as they must be; seed {seed}")
    return 1 if problems or happened < options.count else 0


def report(counts: collections.Counter[tuple[str, str]], calls: collections.Counter[str]) -> None:
    scenes: dict[str, list[str]] = collections.defaultdict(list)
    for (name, what), number in sorted(counts.items()):
        scenes[name].append(f"{number} {what}")
    for name, parts in scenes.items():
        total = sum(number for (scene, _), number in counts.items() if scene == name)
        print(f"{name:16} {total:5}  {', '.join(parts)}")
    print("at: " + ", ".join(f"{number} {call}" for call, number in calls.most_common()))


if __name__ == "__main__":
    sys.exit(main())
