"""What is killed, and is to fail: each scene is a host that is made once, one command, and what is done after it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from hosts import CANARY, CHANGES, ENSIGN, FLEET, Agreement, Broken, Host, branches, changes, deployment, library, must
from hosts import run, said

RECONCILE = ("reconcile", "--env", "prod")
REASON = ("--reason", "because")


def with_halt(host: Host) -> None:
    host.ensign("halt", "support/held", "--env", "prod", *REASON)


def with_changes(host: Host) -> None:
    with_halt(host)
    host.arrive(CHANGES)


def committed(host: Host) -> None:
    with_halt(host)
    host.write(CHANGES)
    host.commit("Changes")


def with_update(host: Host) -> None:
    with_halt(host)
    host.write({"environments/prod/agents/support/triage.yaml": deployment("1.1.0")})
    host.push("Update")


def with_canary(host: Host) -> None:
    with_halt(host)
    host.write({"environments/prod/environment.yaml": CANARY})
    host.push("Canaries")
    host.write({"environments/prod/agents/support/triage.yaml": deployment("1.1.0")})
    host.push("Update")


def canary_that_waited(host: Host) -> None:
    with_canary(host)
    # The time of its first step has passed for whatever is run from here on.
    host.more = {"LD_PRELOAD": library("world", host.folder.parent), "WORLD_AHEAD": "700"}


def halted_triage(host: Host) -> None:
    with_halt(host)
    host.ensign("halt", "support/triage", "--env", "prod", *REASON)


def in_clone(host: Host) -> None:
    with_halt(host)
    host.git("fetch", "-q", "origin")


def without_ledger(host: Host) -> None:
    for name in ("dev", "prod"):
        host.git("update-ref", "-d", f"refs/ensign/ledger/{name}", at=host.bare)
    shutil.rmtree(host.bare / "ensign")


def prepared_key(host: Host) -> None:
    with_halt(host)
    host.ensign("keys", "--env", "prod", "--prepare")


def with_drift(host: Host) -> None:
    with_halt(host)
    route = host.live / "agents/support/triage.json"
    route.write_text(route.read_text().replace('"weight":100', '"weight":99'))
    (host.live / "agents/support/desk.json").unlink()


def by_reconcile(host: Host) -> None:
    host.ensign(*RECONCILE)


def by_observing(host: Host) -> None:
    host.ensign(*RECONCILE, "--observe", "all")


def by_pushing(host: Host) -> None:
    """The pusher does it again when git has said that it did not work."""
    host.ensign(*RECONCILE)
    must(["git", "push", "-q", "origin", "HEAD:main"], host.work, host.more)
    host.ensign(*RECONCILE)


def by_initialising(host: Host) -> None:
    host.ensign("init")
    host.ensign(*RECONCILE)


def by_rotating(host: Host) -> None:
    result = run([ENSIGN, *RECONCILE], host.bare, host.more)
    if result.status != 0 and "a rotation of the signing key of 'prod' was interrupted" not in result.errors:
        raise Broken(str(result))
    if result.status != 0 or all(entry["kind"] != "key" for entry in host.entries()):
        host.ensign("keys", "--env", "prod", "--rotate")
    host.ensign(*RECONCILE)


@dataclass(frozen=True)
class Scene:
    name: str
    prepare: Callable[[Host], None]
    words: tuple[str, ...]
    # What is done after an accident; None: reconcile, and the same command once more, which may find that it is done.
    afterwards: Optional[Callable[[Host], None]] = None
    # Where the command is run.
    at: str = "fleet.git"
    # Whether it changes nothing: what it says is all there is.
    only_reads: bool = False

    @property
    def command(self) -> list[str]:
        return list(self.words) if self.words[0] == "git" else [ENSIGN, *self.words]

    def go_on(self, host: Host) -> None:
        if self.afterwards:
            self.afterwards(host)
            return
        host.ensign(*RECONCILE)
        must(self.command, host.folder / self.at, host.more, statuses=(0, 4))
        host.ensign(*RECONCILE)


SCENES = [
    Scene("reconcile", with_changes, RECONCILE, by_reconcile),
    Scene("repair", with_drift, (*RECONCILE, "--observe", "all"), by_observing),
    Scene("push", committed, ("git", "push", "-q", "origin", "HEAD:main"), by_pushing, at="work"),
    Scene("canary step", canary_that_waited, RECONCILE, by_reconcile),
    Scene("rollout promote", with_canary, ("rollout", "promote", "support/triage", "--env", "prod", *REASON)),
    Scene("rollout abort", with_canary, ("rollout", "abort", "support/triage", "--env", "prod", *REASON)),
    Scene("halt", with_halt, ("halt", "support/triage", "--env", "prod", *REASON)),
    Scene("halt --all", with_halt, ("halt", "--all", "--env", "prod", *REASON)),
    Scene("resume", halted_triage, ("resume", "support/triage", "--env", "prod", *REASON)),
    Scene("keys --rotate", prepared_key, ("keys", "--env", "prod", "--rotate"), by_rotating),
    Scene("rollback --now", with_update, ("rollback", "support/triage", "--env", "prod", "--now", "--to", "1.0.0", *REASON)),
    Scene("rollback", with_update, ("rollback", "support/triage", "--env", "prod", "--branch", "back")),
    Scene("promote", in_clone, ("promote", "support/triage", "--to", "prod"), at="work"),
    Scene("init", without_ledger, ("init",), by_initialising),
]

# Each ends by itself but for this one, which is only killed at moments.
WATCH = Scene("watch", with_changes, ("watch", "--env", "prod"), by_reconcile)


def reading(*words: str) -> Scene:
    return Scene(" ".join(words[:2] if words[0] == "get" else words[:1]), with_update, words, by_reconcile, only_reads=True)


READING = [
    reading("verify"),
    reading("drift", "--env", "prod", "--detailed-exitcode"),
    reading("status", "--output", "json"),
    reading("plan", "--env", "prod", "--output", "json"),
    reading("log", "--env", "prod", "--all", "--output", "json"),
    reading("get", "agents", "--env", "prod", "--output", "json"),
    reading("route", "support/triage", "--env", "prod", "--key", "ticket", "--output", "json"),
    reading("keys", "--env", "prod"),
    reading("evidence", "support/triage", "--env", "prod", "--output", "json"),
]


def template(scene: Scene, folder: Path) -> tuple[Host, Agreement]:
    """The host before the command, and how one ends that nobody harms."""
    host = Host.make(folder / scene.name.replace(" ", "-"), FLEET)
    scene.prepare(host)
    whole = host.copy(folder / "whole")
    wanted = Agreement(old=said(whole.live_files()), commits=[entry["commit"] for entry in whole.entries()])
    if scene is not WATCH:
        must(scene.command, whole.folder / scene.at, whole.more)
    scene.go_on(whole)
    wanted.new = said(whole.live_files())
    wanted.changes = changes(whole)
    wanted.branches = branches(whole)
    return host, wanted
