"""Plays one client of the gateway in its own environment, by the lines of docs/gateway.md, and writes what its model read.

    python gateway_play.py CLIENT WAY JOB OUT

WAY is `remote` or `local`. JOB is a file of JSON: `url` and `config` of the gateway, `token`, the names of `tools`, and
`control`, a script that changes the fleet. OUT gets the tools that were listed and each call, for gateway.py to judge.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from document import lines
from gateway_clients import CLIENTS, Client

PAGE = HERE.parents[1] / "docs" / "gateway.md"


def connection(name: str, way: str, job: dict[str, Any]) -> Any:
    """Runs the page's lines, for this machine's address and file."""
    program: dict[str, Any] = {"token": job["token"], "run": f"{name}-{way}"}
    code = lines(PAGE)
    for block in ("setup", CLIENTS[name].block):
        source = code[block].replace("http://127.0.0.1:7411/mcp", job["url"])
        source = source.replace("/etc/ensign/gateway.yaml", job["config"])
        exec(compile(source, f"docs/gateway.md ({block})", "exec"), program)
    return program[way]


class Play:
    def __init__(self, client: Client, way: str, job: dict[str, Any]) -> None:
        self.client, self.way, self.job = client, way, job
        self.calls: list[dict[str, Any]] = []

    async def call(self, step: str, name: str, **arguments: Any) -> None:
        started = time.monotonic()
        said, raised = "", None
        try:
            said = await self.client.call(name, {"payment": f"{self.way}-{step}", **arguments})
        except BaseException as problem:
            raised = f"{type(problem).__name__}: {problem}"[:500]
        took = round(time.monotonic() - started, 2)
        self.calls.append({"step": step, "tool": name, "text": said, "raised": raised, "seconds": took})

    async def change(self, what: str) -> None:
        """Changes the fleet, and returns when that is done."""
        script = ["sh", self.job["control"], what]
        done = await asyncio.to_thread(subprocess.run, script, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, f"{what}: {done.stdout}{done.stderr}"

    async def whole(self) -> list[dict[str, Any]]:
        granted = {
            self.client.shown(f"{tool}__{operation}"): f"{tool}__{operation}"
            for tool in self.job["tools"]
            for operation in self.job["granted"]
        }
        listed = [
            {"name": granted.get(tool.name, tool.name), "description": tool.description, "schema": tool.schema}
            for tool in await self.client.listed()
        ]
        for tool in self.job["tools"]:
            await self.call("allowed", f"{tool}__look_up")
            await self.call("allowed", f"{tool}__refund", amount=40)
            await self.call("allowed", f"{tool}__close")
            await self.call("above", f"{tool}__refund", amount=4000)
            await self.call("asked", f"{tool}__wire")
            if self.client.direct:
                await self.call("unknown", f"{tool}__wipe")
        await self.change("approve")
        await self.call("asked", f"{self.job['tools'][0]}__wire")
        self.client.impatient()
        exports = [f"{tool}__export" for tool in self.job["tools"]]
        await asyncio.gather(*(self.call("slow", name) for name in exports))
        # Whoever gave up asks again, as a model does that was told to.
        given_up = [call["tool"] for call in self.calls if call["step"] == "slow" and "exported" not in call["text"]]
        await asyncio.gather(*(self.call("slow", name) for name in given_up))
        await self.change("revoke")
        for tool in self.job["tools"]:
            await self.call("revoked", f"{tool}__close")
            await self.call("narrowed", f"{tool}__refund", amount=75)
        await self.change("halt")
        for tool in self.job["tools"]:
            await self.call("halted", f"{tool}__look_up")
        return listed


async def main() -> None:
    name, way, job, out = sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text()), Path(sys.argv[4])
    client = CLIENTS[name].client
    async with client(connection(name, way, job)) as session:
        play = Play(session, way, job)
        listed = await play.whole()
    found = {"versions": client.versions(), "listed": listed, "calls": play.calls}
    out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    os._exit(0)  # Frameworks leave threads behind that report to their makers.
