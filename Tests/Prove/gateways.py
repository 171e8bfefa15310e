"""A gateway before a server that must not be asked twice, killed and failing at each of its calls."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hosts import ENSIGN, ROOT, Broken, library

NAME = "gateway call"
REFUND = {"payment": "p", "amount": 50}


class Gateway:
    """One fleet with one agent; what the gateway keeps is made new for each trial."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(ROOT / "Tests/Gateway"))
        import clients
        import world

        # It is named by the environment there.
        world.ENSIGN = ENSIGN
        world.GATEWAY = str(Path(ENSIGN).parent / "ensign-gateway")
        clients.GATEWAY = world.GATEWAY
        self.clients = clients
        self.folder = folder
        self.world = world.World()
        # A state that has been used, so that there is something to lose.
        self.ask({})
        shutil.copytree(self.world.state, folder / "gateway-state")
        self.environment = self.world.environment

    def ask(self, more: dict[str, str]) -> Any:
        """The answer of a process; None when it died before it gave one."""
        usual = self.world.environment
        self.world.environment = {**usual, **more}
        try:
            client = None
            try:
                client = self.clients.Client(self.world, "--run", "r1")
                return client.call("payments__refund", REFUND)
            except (AssertionError, OSError):
                return None
            finally:
                if client is not None:
                    client.process.stdin.close()
                    client.process.wait(timeout=20)
        finally:
            self.world.environment = usual

    def begin(self) -> None:
        shutil.rmtree(self.world.state)
        shutil.copytree(self.folder / "gateway-state", self.world.state)
        self.world.log.unlink(missing_ok=True)

    def count(self, calls: str) -> int:
        self.begin()
        counter = self.folder / "count"
        counter.unlink(missing_ok=True)
        more = {"FAULT_PROGRAM": "ensign-gateway", "FAULT_COUNT": str(counter), "LD_PRELOAD": library("faults", self.folder)}
        self.ask(more | ({"FAULT_CALLS": calls, "FAULT_MODE": "fail"} if calls else {}))
        return int(counter.read_text()) if counter.exists() else 0

    def play(self, more: dict[str, str], dies: bool) -> None:
        """The refund is made at most once, whatever its client is told, and the log of calls is whole."""
        self.begin()
        answer = self.ask(more)
        made = len(self.world.calls())
        good = answer is not None and self.clients.reason(answer) is None
        if good and made != 1:
            raise Broken(f"answered as done, and made {made} times")
        if made > 1:
            raise Broken(f"made {made} times")
        if not good:
            again = self.ask({})
            if again is None:
                raise Broken("the next process gives no answer")
            if len(self.world.calls()) > 1:
                raise Broken(f"made twice: {answer}, then {again}")
            if made == 1 and self.clients.reason(again) is None and len(self.world.calls()) != 1:
                raise Broken(f"{again}")
        if good and self.unended():
            # There was no room for the outcome until the process ended: the next one says that nobody knows it.
            # Its client has the answer, so what it asks now is another call.
            self.ask({})
        self.world.gateway("verify")
        if self.unended():
            raise Broken(f"intents without an outcome: {self.unended()}")
        if made and not self.intents():
            raise Broken("a call that was made is not on record")

    def intents(self) -> set[int]:
        return {line["seq"] for line in self.world.decisions() if line["kind"] == "intent"}

    def unended(self) -> set[int]:
        lines = self.world.decisions()
        return self.intents() - {line["intent"] for line in lines if line["kind"] == "outcome" and "intent" in line}
