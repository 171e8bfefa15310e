"""A host with a small fleet, made once and copied for each trial; and what must hold of it, whatever happened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENSIGN = os.path.abspath(os.environ.get("ENSIGN", ROOT / ".build/release/ensign"))

sys.path.insert(0, str(ROOT / "clients/python"))
import ensign as client  # noqa: E402  What an agent reads a live directory with.

HEAD = "apiVersion: ensign.dev/v1\nkind: "


def agent(says: str) -> dict[str, str]:
    return {
        "agent.yaml": HEAD + f"""Agent
spec:
  description: {says}
  model: {{provider: anthropic, name: claude-haiku-4-5}}
  instructions: prompt.md
""",
        "prompt.md": f"{says}\n",
    }


def version(name: str, number: str, says: str) -> dict[str, str]:
    return {f"fleet/agents/support/{name}/{number}/{file}": text for file, text in agent(says).items()}


def deployment(number: str) -> str:
    return HEAD + f"Deployment\nspec: {{version: {number}}}\n"


PROD = HEAD + "Environment\nspec: {promotesFrom: dev, maxPruneShare: 0.9}\n"
CANARY = HEAD + """Environment
spec:
  promotesFrom: dev
  rollout: {canary: {steps: [{weight: 20, hold: 10m}, {weight: 50, hold: 10m}]}}
"""

FLEET = {
    "fleet/teams/support.yaml": HEAD + "Team\nspec: {members: [ada@example.com], escalation: oncall@example.com}\n",
    **version("triage", "1.0.0", "Sorts tickets."),
    **version("triage", "1.1.0", "Sorts tickets twice."),
    **version("desk", "1.0.0", "Hands work to people."),
    **version("held", "1.0.0", "Is halted, and stays so."),
    **version("gone", "1.0.0", "Leaves."),
    **version("new", "1.0.0", "Comes."),
    "environments/dev/environment.yaml": HEAD + "Environment\nspec: {mutableVersions: true}\n",
    "environments/dev/agents/support/triage.yaml": deployment("1.1.0"),
    "environments/prod/environment.yaml": PROD,
    **{
        f"environments/prod/agents/support/{name}.yaml": deployment("1.0.0")
        for name in ("triage", "desk", "held", "gone")
    },
}

# What one commit changes: an update, one that comes, one that goes.
CHANGES: dict[str, Optional[str]] = {
    "environments/prod/agents/support/triage.yaml": deployment("1.1.0"),
    "environments/prod/agents/support/new.yaml": deployment("1.0.0"),
    "environments/prod/agents/support/gone.yaml": None,
}


class Broken(Exception):
    """Something that must hold does not."""


@dataclass
class Result:
    words: list[str]
    status: int
    output: str
    errors: str

    def __str__(self) -> str:
        return f"{' '.join(self.words[1:])}: status {self.status}\n{self.output[-2000:]}{self.errors[-2000:]}"


def environment(home: Path, more: dict[str, str] | None = None) -> dict[str, str]:
    """Nothing of the machine's but where programs are."""
    return {
        "PATH": os.environ["PATH"], "HOME": str(home), "TZ": "UTC", "LC_ALL": "C.UTF-8", "USER": "ada", "LOGNAME": "ada",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
        **(more or {}),
    }


def run(words: list[str], at: Path, more: dict[str, str] | None = None, limit: float = 120) -> Result:
    done = subprocess.run(
        words, cwd=at, env=environment(at.parent, more), stdin=subprocess.DEVNULL, capture_output=True, timeout=limit
    )
    return Result(words, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def must(words: list[str], at: Path, more: dict[str, str] | None = None, statuses: tuple[int, ...] = (0,)) -> Result:
    result = run(words, at, more)
    if result.status not in statuses:
        raise Broken(str(result))
    return result


def scratch(prefix: str) -> Path:
    """A folder in memory where there is room: the programs sync after each step."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30
    return Path(tempfile.mkdtemp(prefix=prefix, dir=None if "TMPDIR" in os.environ or not roomy else memory))


def library(name: str, folder: Path) -> str:
    """What a program is started with in LD_PRELOAD: `faults`, or `world`, which moves its clock."""
    path = folder / f"{name}.so"
    if not path.exists():
        source = str(ROOT / f"Tests/Faults/{name}.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(path), source, "-ldl"], check=True)
    return str(path)


class Host:
    """A bare repository with hooks, `fleet.git`, and a clone to push from, `work`, in one folder."""

    def __init__(self, folder: Path, more: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.bare = folder / "fleet.git"
        self.work = folder / "work"
        self.live = self.bare / "ensign/live/prod"
        # What all programs here are started with: a clock that was moved.
        self.more = more or {}

    # Making

    @classmethod
    def make(cls, folder: Path, fleet: dict[str, str], more: dict[str, str] | None = None) -> Host:
        host = cls(folder, more)
        folder.mkdir(parents=True)
        host.git("init", "-q", "--bare", "-b", "main", "fleet.git", at=folder)
        must([ENSIGN, "init", "--repo", "fleet.git"], folder)
        host.git("clone", "-q", "fleet.git", "work", at=folder)
        host.git("config", "remote.origin.url", "../fleet.git", at=host.work)
        # A notice is a line: each at least once, whoever dies.
        host.git("config", "ensign.notify", "{ cat; } >> notices", at=host.bare)
        host.git("config", "gc.auto", "0", at=host.bare)
        host.write(fleet)
        host.push("The fleet")
        return host

    def copy(self, folder: Path) -> Host:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        return Host(folder, dict(self.more))

    def write(self, files: dict[str, Optional[str]] | dict[str, str]) -> None:
        for path, text in files.items():
            file = self.work / path
            if text is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def push(self, message: str) -> None:
        self.commit(message)
        self.git("push", "-q", "origin", "HEAD:main")

    def arrive(self, files: dict[str, Optional[str]]) -> None:
        """A commit gets to the branch past the hooks: the next reconcile finds it."""
        self.write(files)
        self.commit("Changes")
        hooks = self.bare / "hooks"
        hooks.rename(self.bare / "no-hooks")
        self.git("push", "-q", "origin", "HEAD:main")
        (self.bare / "no-hooks").rename(hooks)

    # Programs

    def git(self, *words: str, at: Path | None = None) -> str:
        return must(["git", *words], at or self.work, self.more).output

    def ensign(self, *words: str, statuses: tuple[int, ...] = (0,)) -> Result:
        return must([ENSIGN, *words], self.bare, self.more, statuses)

    # What is there

    def entries(self) -> list[dict[str, Any]]:
        """All entries of prod, oldest first; none without a ledger."""
        if not self.git("for-each-ref", "refs/ensign/ledger/prod", at=self.bare):
            return []
        text = self.ensign("log", "--env", "prod", "--all", "--output", "json").output
        return list(reversed(json.loads(text)["entries"]))

    def live_files(self) -> dict[str, bytes]:
        root = os.path.realpath(self.live)
        files = {}
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                files[os.path.relpath(path, root)] = Path(path).read_bytes()
        return files


def bare_file(data: bytes) -> bytes:
    """What a live file says, without when and by which entry it was said."""
    value = json.loads(data)
    for name in ("proof", "entry", "heard", "source"):
        value.pop(name, None)
    return json.dumps(value, sort_keys=True).encode()


def said(files: dict[str, bytes]) -> dict[str, bytes]:
    """What is live, in a form in which two hosts can be compared."""
    return {path: data if path.startswith("bundles/") else bare_file(data) for path, data in files.items()}


def is_temporary(path: str) -> bool:
    return os.path.basename(path).startswith(".ensign-")


_proven: set[tuple[bytes, bytes, str]] = set()


def prove(host: Host, files: dict[str, bytes], path: str, keys: str) -> None:
    """A client opens a session of the agent; of what it has taken in the same bytes before, it need not do so again."""
    known = (files[path], files[LIVE_HEADER], keys)
    if known in _proven:
        return
    try:
        fleet = client.Fleet(host.live, keys=keys, environment="prod")
        fleet.session(path.removeprefix("agents/").removesuffix(".json"))
    except client.AgentHalted:
        pass
    except client.EnsignError as refusal:
        raise Broken(f"a client refuses {path}: {refusal}") from refusal
    _proven.add(known)


LIVE_HEADER = "fleet.json"


@dataclass
class Agreement:
    """How a host that nobody killed is before and after."""

    old: dict[str, bytes] = field(default_factory=dict)
    new: dict[str, bytes] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    branches: list[str] = field(default_factory=list)
    notices: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=list)


def changes(host: Host) -> list[str]:
    """What the ledger says has been done, without who found out and when.

    A file that is repaired is on record as what was found, by each run that found it.
    """
    done: list[str] = []
    found: set[str] = set()
    for entry in host.entries():
        for each in entry["changes"]:
            name = f"{each['agent']} {each['action']}"
            if entry["kind"] == "drift":
                found.add(f"found {name} {each['evidence'].get('path')}")
            elif entry["result"] in ("ok", "partial") and each["action"] != "repair":
                ends = [(each[end] or {}).get("version") for end in ("from", "to")]
                done.append(f"done {name} {ends[0]} {ends[1]} {json.dumps(each['weight'])}")
    return sorted(done) + sorted(found)


def branches(host: Host) -> list[str]:
    form = "--format=%(refname) %(tree)"
    return [line for at in (host.bare, host.work) for line in host.git("for-each-ref", form, "refs/heads", at=at).splitlines()]


def check_whole(host: Host, wanted: Agreement, keys: str | None, may_go: bool = False) -> None:
    """In the moment after: each file is old or new in whole, routes name what is there, and clients take them."""
    files = host.live_files()
    for path, data in files.items():
        if is_temporary(path):
            continue
        if path.startswith("bundles/"):
            digest = path.removeprefix("bundles/").removesuffix(".json").replace("/", "")
            if hashlib.sha256(data).hexdigest() != digest:
                raise Broken(f"{path} is not what its name says")
            continue
        try:
            now = bare_file(data)
        except ValueError as problem:
            raise Broken(f"{path} is half written: {problem}") from problem
        if path.startswith("agents/"):
            if now not in (wanted.old.get(path), wanted.new.get(path)):
                raise Broken(f"{path} is neither old nor new: {now.decode()}")
            for each in json.loads(data)["routes"]:
                digest = each["digest"].removeprefix("sha256:")
                if f"bundles/{digest[:2]}/{digest[2:]}.json" not in files:
                    raise Broken(f"{path} names a bundle that is not there")
            if keys is not None:
                prove(host, files, path, keys)
    for path, data in wanted.old.items():
        if not may_go and path not in files and path in wanted.new and path.startswith("agents/"):
            raise Broken(f"{path} is gone")


def check_end(host: Host, wanted: Agreement) -> None:
    """At the end all is as on a host that nobody killed, and on record."""
    files = host.live_files()
    left = [path for path in files if is_temporary(path)]
    if left:
        raise Broken(f"temporary files stay in the live directory: {left}")
    found = said(files)
    if found != wanted.new:
        differs = sorted(path for path in found.keys() | wanted.new.keys() if found.get(path) != wanted.new.get(path))
        raise Broken(f"the live directory ends differently: {differs}")
    verify = host.ensign("verify", "--env", "prod")
    if not verify.output.startswith("prod: intact") or verify.errors:
        raise Broken(str(verify))
    host.ensign("drift", "--env", "prod", "--detailed-exitcode")
    keys = host.ensign("keys", "--env", "prod").output
    check_whole(host, wanted, keys)
    entries = host.entries()
    if [entry["seq"] for entry in entries] != list(range(len(entries))):
        raise Broken("the ledger has a gap")
    commits = [entry["commit"] for entry in entries]
    if commits[: len(wanted.commits)] != wanted.commits:
        raise Broken("entries that were there are gone")
    done = changes(host)
    if done != wanted.changes:
        raise Broken(f"the record says otherwise: {sorted(set(done) ^ set(wanted.changes)) or done}")
    if branches(host) != wanted.branches:
        raise Broken(f"branches: {branches(host)}, not {wanted.branches}")
    check_notices(host)


def is_notice(entry: dict[str, Any]) -> bool:
    """Whether people want to know of an entry, as docs/notify.md has it."""
    return (
        entry["kind"] in ("halt", "refused", "drift")
        or entry["kind"] == "recovery" and entry["result"] != "ok"
        or entry["kind"] == "outcome" and any(each["action"] == "rollback" for each in entry["changes"])
    )


def check_notices(host: Host) -> None:
    """Each entry that people want to know of has been said at least once."""
    file = host.bare / "notices"
    due = {entry["commit"] for entry in host.entries() if is_notice(entry)}
    end = time.monotonic() + 5
    # A push leaves a process of its own behind for it.
    while True:
        text = file.read_text() if file.exists() else ""
        heard = {line["commit"] for line in map(json.loads, text.splitlines())}
        if due <= heard:
            return
        if time.monotonic() > end:
            raise Broken(f"notices that never came: {sorted(due - heard)}")
        host.ensign("notify", "--env", "prod")


def check_leftovers(host: Host) -> None:
    """What killed processes left is swept once it is an hour old."""
    old = time.time() - 3_700
    for path in (host.bare / "ensign").rglob(".ensign-*"):
        os.utime(path, (old, old))
    # Something to record: the ledger's own lock is swept by the next entry.
    (host.live / "stray").write_text("x")
    host.ensign("reconcile", "--env", "prod", "--observe", "all")
    host.ensign("reconcile", "--env", "dev")
    left = [str(path.relative_to(host.bare)) for path in (host.bare / "ensign").rglob(".ensign-*")]
    left += [str(path.relative_to(host.bare)) for path in (host.bare / "refs/ensign").rglob("*.lock")]
    if left:
        raise Broken(f"temporary files stay: {left}")
