"""Runs real agent frameworks on a real fleet, by the lines of docs/runtimes.md, and compares what Ensign counts.

    python3 Tests/Ecosystem/run.py ENSIGN [PAIR ...] [--packages DIR] [--keep DIR] [--record]

ENSIGN is the built program. Each environment of the fleet is one pair of framework and instrumentation, with a canary
between two versions. Nothing but PyPI is asked for, and only for packages that DIR does not have yet; models are scripts on
127.0.0.1. Exits 1 if a single run or call of any pair is not counted, or is counted twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from document import setups
from model import USAGE, Model
from pairs import AGENT, PAIRS
from record import record

VERSIONS = ("1.0.0", "1.1.0")


# ----------------------------------------------------------------------------------------------------------- packages


def environment(name: str, folder: Path) -> Path:
    """Returns the Python of a virtual environment with exactly the packages of `requirements/NAME.txt`."""
    requirements = HERE / "requirements" / f"{name}.txt"
    identity = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = folder / f"{name}-{identity}"
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        started = time.monotonic()
        for old in folder.glob(f"{name}-????????????"):
            shutil.rmtree(old)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        # The file names every package, so pip has nothing to decide.
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]
        subprocess.run([*install, "-r", requirements], check=True)
        (place / "complete").touch()
        print(f"installed {name} in {time.monotonic() - started:.0f} s", flush=True)
    return python


def check_types(python: Path) -> None:
    """Installs the client as people do, and lets a type checker look at a program that uses it."""
    client = HERE.parents[1] / "clients" / "python"
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--force-reinstall"]
    subprocess.run([python, "-m", "pip", "install", *options, client], check=True)
    with tempfile.TemporaryDirectory() as folder:
        # Elsewhere than the sources: mypy believes an installed package only if it says that it is typed.
        shutil.copy(HERE / "usage.py", folder)
        check = [python, "-m", "mypy", "--strict", "--cache-dir", f"{folder}/cache", "usage.py"]
        said = subprocess.run(check, cwd=folder, capture_output=True, encoding="utf-8")
    if said.returncode != 0:
        raise SystemExit(f"the types of the client:\n{said.stdout}{said.stderr}")
    print("the client is a package, and its types are seen", flush=True)


# -------------------------------------------------------------------------------------------------------------- fleet


class Fleet:
    """A repository with one agent and an environment for each pair, each in the middle of a canary."""

    def __init__(self, ensign: str, folder: Path, environments: list[str]) -> None:
        self.ensign, self.folder, self.environments = ensign, folder, environments
        self.repository = folder / "repository"
        self._write(VERSIONS[0])
        self._git("init", "-q", "-b", "main")
        self._git("config", "user.name", "Test")
        self._git("config", "user.email", "test@example.com")
        self._commit("the first version")
        self._ensign("init")
        for name in environments:
            self._git("config", f"ensign.{name}.telemetry", str(folder / name / "telemetry"))
            self._git("config", f"ensign.{name}.target", f"directory:{self.live(name)}")
        self._reconcile()
        self._write(VERSIONS[1])
        self._commit("a candidate")
        self._reconcile()

    def live(self, name: str) -> Path:
        return self.folder / "live" / name

    def count(self, names: list[str]) -> dict[str, Any]:
        """Lets `ensign watch` read the telemetry, and returns its evidence by environment."""
        options = [part for name in names for part in ("--env", name)]
        watch = subprocess.Popen([self.ensign, "watch", *options], cwd=self.repository, stdout=subprocess.DEVNULL)
        try:
            deadline, before = time.monotonic() + 90, None
            while True:
                time.sleep(5)
                now = {name: self._evidence(name) for name in names}
                counts = {name: counted(evidence) for name, evidence in now.items()}
                # Runs are counted 15 seconds after they were read, and evidence is written every 10.
                if time.monotonic() > deadline or (counts == before and time.monotonic() > deadline - 60):
                    return now
                before = counts
        finally:
            watch.terminate()
            watch.wait(30)

    def check(self, name: str) -> dict[str, tuple[int, int, int]]:
        """Returns what `ensign telemetry check` says of each version: runs, those that failed, and calls."""
        folder = str(self.folder / name / "telemetry")
        told = json.loads(self._ensign("telemetry", "check", folder, "--env", name, "--output", "json"))
        return {each["version"]: (each["runs"], each["failed"], each["calls"]) for each in told["versions"]}

    def _evidence(self, name: str) -> Any:
        return json.loads(self._ensign("evidence", AGENT, "--env", name, "--output", "json"))

    def _reconcile(self) -> None:
        for name in self.environments:
            self._ensign("reconcile", "--env", name)

    def _ensign(self, *arguments: str) -> str:
        run = subprocess.run([self.ensign, *arguments], cwd=self.repository, capture_output=True, encoding="utf-8")
        if run.returncode != 0:
            raise SystemExit(f"ensign {' '.join(arguments)}: exit {run.returncode}\n{run.stdout}{run.stderr}")
        return run.stdout

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.repository, check=True)

    def _commit(self, message: str) -> None:
        self._git("add", "-A")
        self._git("commit", "-q", "-m", message)

    def _write(self, version: str) -> None:
        team, agent = AGENT.split("/")
        files = {
            f"fleet/teams/{team}.yaml": ("Team", "{members: [ada@example.com]}"),
            "fleet/prices.yaml": ("Prices", "{models: {openai/gpt-5: {input: 1.00, output: 10.00}}}"),
            "fleet/tools/payments/1.0.0.yaml": (
                "Tool",
                """
  owner: support
  description: The payment provider.
  server: {mcp: {command: [payments-mcp]}}
  operations:
    get_payment: {access: read, risk: low, input: {type: object, required: [payment], properties: {payment: {type: string}}}}
    refund_payment: {access: execute, risk: low, input: {type: object}}
    export_payments: {access: read, risk: high, input: {type: object}}
""",
            ),
            f"fleet/agents/{team}/{agent}/{version}/agent.yaml": (
                "Agent",
                f"""
  description: Decides refund requests, in version {version}.
  model: {{provider: openai, name: gpt-5}}
  instructions: prompt.md
  needs: {{tools: [{{tool: payments, version: 1.0.0, operations: [get_payment, refund_payment]}}]}}
  limits: {{steps: 20}}
""",
            ),
        }
        for name in self.environments:
            files[f"environments/{name}/environment.yaml"] = (
                "Environment",
                """
  rollout:
    canary:
      steps: [{weight: 50, hold: 1d}]
      analysis:
        metrics:
          - {name: success, kind: rate, good: true, margin: 0.5}
          - {name: steps, kind: count, margin: 100%}
          - {name: tokens, kind: distribution, margin: 100%}
          - {name: cost, kind: distribution, unit: USD, margin: 100%}
  killSwitch: [{unknownTool: 1}, {steps: 50}, {repeatedCall: 20, within: 1m}]
""",
            )
            files[f"environments/{name}/agents/{team}/{agent}.yaml"] = (
                "Deployment",
                f"{{version: {version}, grants: [{{tool: payments, operations: [get_payment, refund_payment]}}]}}",
            )
        for path, (kind, spec) in files.items():
            place = self.repository / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"apiVersion: ensign.dev/v1\nkind: {kind}\nspec: {spec.rstrip()}\n", encoding="utf-8")
        (self.repository / f"fleet/agents/{team}/{agent}/{version}/prompt.md").write_text(
            f"Be kind, and brief: {version}.\n"
        )


def counted(evidence: Any) -> dict[str, tuple[int, float]]:
    """Returns the samples that Ensign has of each metric and version: how many, and their sum."""
    canary = evidence["canary"]
    if not canary or not canary["analysis"]:
        return {}
    found = {}
    for name, metric in canary["analysis"]["metrics"].items():
        for variant, version in zip(("stable", "canary"), VERSIONS):
            samples, mean = metric["samples"][variant], (metric.get("mean") or {}).get(variant)
            found[f"{name} of {version}"] = (samples, round(samples * (mean or 0), 9))
    return found


def expected(truth: list[dict[str, Any]], tokens: Counter[int]) -> dict[str, tuple[int, float]]:
    """The same, from what the program saw: what happened in each ticket, and what the model's answers used."""
    found = {}
    for version in VERSIONS:
        runs = [(number, run) for number, run in enumerate(truth) if run["version"] == version]
        # Calls are believed to be none after the first run that shows one (docs/telemetry.md, "Runs without calls").
        first = next((index for index, (_, run) in enumerate(runs) if run["calls"]), len(runs))
        used = [tokens[number] for number, _ in runs if tokens[number]]
        found[f"success of {version}"] = (len(runs), float(sum(not run["failed"] for _, run in runs)))
        found[f"steps of {version}"] = (
            len(runs[first + 1 :]),
            float(sum(run["calls"] for _, run in runs[first + 1 :])),
        )
        found[f"tokens of {version}"] = (len(used), float(sum(used)))
        answers = sum(used) / sum(USAGE)
        found[f"cost of {version}"] = (len(used), round(answers * (USAGE[0] * 1 + USAGE[1] * 10) / 1e6, 9))
    return found


# ------------------------------------------------------------------------------------------------------------ playing


def play(pair: str, python: Path, live: Path, out: Path, model: Model) -> str:
    """Plays a pair; returns what went wrong, or nothing."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(out / "home"),
        "TMPDIR": tempfile.gettempdir(),
        "LANG": "C.UTF-8",
        "PYTHONPYCACHEPREFIX": str(python.parents[1] / "pycache"),
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_BASE": model.url,
        "OPENAI_API_KEY": "none",
        "OPENAI_AGENTS_DISABLE_TRACING": "0",
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "TRACELOOP_TRACE_CONTENT": "true",
        "ADK_DISABLE_TELEMETRY": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "127.0.0.1",
    }
    (out / "home").mkdir(parents=True)
    started = time.monotonic()
    command = [python, HERE / "play.py", pair, live, out]
    try:
        run = subprocess.run(command, env=variables, capture_output=True, encoding="utf-8", timeout=300)
        failed = run.returncode != 0
        said = run.stdout + run.stderr
    except subprocess.TimeoutExpired as problem:
        failed, said = True, f"not done after 300 s\n{problem.output or b''!r}"
    (out / "output.txt").write_text(said, encoding="utf-8")
    print(f"played {pair} in {time.monotonic() - started:.0f} s", flush=True)
    return said[-3_000:] if failed else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("ensign", metavar="ENSIGN", help="the built program")
    parser.add_argument("pairs", metavar="PAIR", nargs="*", help="play these alone")
    parser.add_argument(
        "--packages", type=Path, default=HERE.parents[1] / ".build" / "ecosystem", help="where environments are kept"
    )
    parser.add_argument("--record", action="store_true", help="write fixtures of the spans, with their texts blanked")
    parser.add_argument("--keep", type=Path, help="leave the fleet and the spans in this folder")
    options = parser.parse_args()
    names = options.pairs or list(PAIRS)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="ensign-ecosystem-"))
    if options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    options.packages = options.packages.resolve()
    options.packages.mkdir(parents=True, exist_ok=True)
    needed = list(dict.fromkeys([*(PAIRS[name].packages for name in names), "client"]))
    with ThreadPoolExecutor(2) as pool:
        pythons = dict(zip(needed, pool.map(lambda name: environment(name, options.packages), needed)))
    check_types(pythons["client"])
    fleet = Fleet(os.path.abspath(options.ensign), folder, names)
    models = {name: Model() for name in names}

    def start(name: str) -> str:
        return play(name, pythons[PAIRS[name].packages], fleet.live(name), folder / name, models[name])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = dict(zip(names, pool.map(start, names)))
    evidence = fleet.count([name for name in names if not problems[name]])
    for name, found in evidence.items():
        truth = json.loads((folder / name / "truth.json").read_text(encoding="utf-8"))
        wanted, seen = expected(truth, models[name].tokens), counted(found)
        (folder / name / "evidence.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        if options.record:
            record(name, folder / name / "telemetry" / "spans.jsonl", truth, models[name].tokens, fleet.live(name))
        happened = {
            version: (len(runs), sum(run["failed"] for run in runs), sum(run["calls"] for run in runs))
            for version in VERSIONS
            if (runs := [run for run in truth if run["version"] == version])
        }
        if (told := fleet.check(name)) != happened:
            problems[name] = f"  runs, failures, calls: {happened}, and `telemetry check` says {told}\n"
        problems[name] += "\n".join(
            f"  {metric}: {sum_of(wanted[metric])}, and Ensign counted {sum_of(seen.get(metric, (0, 0.0)))}"
            for metric in wanted
            if wanted[metric] != seen.get(metric, (0, 0.0))
        )
    for name in names:
        print(f"{name}: {'counted exactly' if not problems[name] else 'WRONG'}\n{problems[name]}".rstrip())
    failed = sum(map(bool, problems.values()))
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


def sum_of(counted: tuple[int, float]) -> str:
    return f"{counted[1]:g} in {counted[0]} runs"


if __name__ == "__main__":
    sys.exit(main())
