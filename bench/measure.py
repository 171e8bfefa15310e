"""Running programs, measuring them, and the repositories that they are measured on."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import generate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVIRONMENT = "prod"


class Broken(Exception):
    """Something that is measured did not do what it is measured for."""


def note(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclass
class Sample:
    """One run, or several commands that together are one."""

    seconds: float = 0
    cpu: float = 0
    memory: int = 0

    def __add__(self, other: Sample) -> Sample:
        return Sample(self.seconds + other.seconds, self.cpu + other.cpu, max(self.memory, other.memory))


@dataclass
class Series:
    """The runs of one thing."""

    label: str
    samples: list[Sample] = field(default_factory=list)
    # A count that each sample's time is divided by, such as entries.
    per: int = 1

    @property
    def seconds(self) -> float:
        return statistics.median(sample.seconds for sample in self.samples) / self.per

    @property
    def cpu(self) -> float:
        return statistics.median(sample.cpu for sample in self.samples) / self.per

    @property
    def memory(self) -> int:
        return max(sample.memory for sample in self.samples)


class Machine:
    """Where the benchmark keeps its files and how it starts programs."""

    def __init__(self, work: Path, ensign: Path) -> None:
        self.work = work
        self.ensign = str(ensign)
        # What one run writes. Removed at the end and not between measurements: for minutes after many files were
        # deleted ext4 looks for inodes that were not used lately, and making a file takes several times as long.
        self.scratch = work / f"run-{os.getpid()}"
        self.scratch.mkdir(parents=True)
        self.places = 0
        (work / "home").mkdir(parents=True, exist_ok=True)
        # Nothing of the user's own git configuration: signing, templates and hooks would change what is measured.
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(work / "home"), "TZ": "UTC", "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "NO_COLOR": "1",
            "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@ensign.invalid",
            "GIT_COMMITTER_NAME": "Bench", "GIT_COMMITTER_EMAIL": "bench@ensign.invalid",
        }
        self.users = dict(os.environ)
        os.environ.update(self.environment)  # for generate.py's git
        self.errors = work / "stderr"
        # A child's peak memory is never reported below that of the process that started it.
        self.floor = self.run(["true"]).memory

    def run(
        self, command: list[str], *, where: Path | None = None, standard_input: str | None = None,
        environment: dict[str, str] | None = None, expect: int = 0,
    ) -> Sample:
        """Runs a command to its end and measures it; its output goes nowhere."""
        program = shutil.which(command[0], path=self.environment["PATH"])
        if program is None:
            raise Broken(f"there is no program '{command[0]}'")
        source = self.work / "stdin"
        source.write_text(standard_input or "")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, str(source), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(self.errors), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
        ]
        os.chdir(where or self.work)
        variables = {**self.environment, **(environment or {})}
        start = time.perf_counter()
        child = os.posix_spawn(program, command, variables, file_actions=actions)
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - start
        code = os.waitstatus_to_exitcode(status)
        if code != expect:
            text = self.errors.read_text(errors="replace")[-2_000:]
            raise Broken(f"'{' '.join(command)}' ended with {code}:\n{text}")
        return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def output(self, command: list[str], *, where: Path | None = None) -> str:
        """What a command prints; not measured."""
        done = subprocess.run(
            command, cwd=where or self.work, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Broken(f"'{' '.join(command)}' ended with {done.returncode}:\n{done.stderr[-2_000:]}")
        return done.stdout.strip()

    def has_verb(self, verb: str) -> bool:
        done = subprocess.run([self.ensign, verb, "--help"], env=self.environment, capture_output=True, check=False)
        return done.returncode == 0

    def place(self, name: str) -> Path:
        """A path that nothing has used."""
        self.places += 1
        return self.scratch / f"{name}-{self.places}"

    def clean(self) -> None:
        """Removes what this run and runs that were interrupted have left."""
        for path in self.work.glob("run-*"):
            shutil.rmtree(path, ignore_errors=True)

    # MARK: Fleets

    def fleet(self, agents: int) -> Path:
        """A generated fleet, made once for each version of the generator. Never written to."""
        version = hashlib.sha256((HERE / "generate.py").read_bytes()).hexdigest()[:12]
        path = self.work / f"fleet-{agents}-{version}.git"
        if not path.exists():
            for old in self.work.glob(f"fleet-{agents}-*.git"):
                shutil.rmtree(old)
            note(f"generating {agents:,} agents ...")
            partial = self.work / "generating.git"
            shutil.rmtree(partial, ignore_errors=True)
            generate.write_fleet(str(partial), agents)
            partial.rename(path)
        return path

    def host(self, agents: int, name: str) -> Path:
        """A fresh repository with a fleet, set up as a host of `prod`. Objects are hard links to the generated ones."""
        path = self.place(f"{name}-{agents}")
        self.output(["git", "clone", "--quiet", "--bare", "--local", str(self.fleet(agents)), str(path)])
        # Git's own housekeeping would start in the background in the middle of a measurement.
        for key, value in (("gc.auto", "0"), ("maintenance.auto", "false"), ("ensign.environments", ENVIRONMENT)):
            self.output(["git", "-C", str(path), "config", key, value])
        self.output([self.ensign, "init", "--quiet", "--repo", str(path)])
        return path
