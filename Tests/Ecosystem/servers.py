"""Imports real MCP servers, and compares what Ensign declares with what they say.

    python3 Tests/Ecosystem/servers.py ENSIGN [SERVER ...] [--packages DIR] [--keep DIR]

ENSIGN is the built program. Each server of PyPI is asked twice: by `ensign import mcp`, and by a few lines of JSON-RPC here.
An agent that needs everything of it is then published, and its bundle must have the same operations, in the same words. A
second import must find nothing new. Exits 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from run import environment

# By name: the packages they are installed with, and how they are started. `mcp` 2.x speaks both eras, 1.x the older one.
SERVERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "time": ("servers", ("mcp-server-time", "--local-timezone", "Europe/Zurich")),
    "fetch": ("servers", ("mcp-server-fetch",)),
    "git": ("servers", ("mcp-server-git",)),
    "time-classic": ("servers-classic", ("mcp-server-time", "--local-timezone=Europe/Zurich")),
    "sqlite": ("servers-classic", ("mcp-server-sqlite", "--db-path", "FOLDER/test.db")),
}
SECRET = "s3cret-of-a-test"
HEADER = "apiVersion: ensign.dev/v1\nkind: "
AGENT = "support/clerk"


def asked(command: list[str]) -> list[dict[str, Any]]:
    """Returns the tools that a server lists, by the older handshake, which all of them speak."""
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize"},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
    ]
    messages[0]["params"] = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    assert server.stdin and server.stdout
    try:
        answer: dict[str, Any] = {}
        for message in messages:
            print(json.dumps({"jsonrpc": "2.0", **message}), file=server.stdin, flush=True)
            while "id" in message and answer.get("id") != message["id"]:
                answer = json.loads(server.stdout.readline())
        tools: list[dict[str, Any]] = answer["result"]["tools"]
        assert "nextCursor" not in answer["result"]
        return tools
    finally:
        server.stdin.close()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wanted(tool: dict[str, Any]) -> dict[str, Any]:
    """What a bundle must say of a tool, as docs/import.md has it."""
    hints = tool.get("annotations") or {}
    access = "execute"
    if hints.get("readOnlyHint") is True:
        access = "read"
    elif hints.get("readOnlyHint") is False and hints.get("destructiveHint") is False:
        access = "write"
    return {
        "description": tool.get("description") or None,
        "access": access,
        "input": tool.get("inputSchema"),
        "output": tool.get("outputSchema"),
    }


class Fleet:
    """A repository to import into."""

    def __init__(self, ensign: str, folder: Path) -> None:
        self.ensign, self.folder = ensign, folder
        folder.mkdir(parents=True)
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "config", "user.name", "Test")
        self.run("git", "config", "user.email", "test@example.com")
        self.run(ensign, "init")
        self.run(ensign, "new", "team", "support")
        self.run("git", "config", "ensign.prod.target", f"directory:{folder}/live")

    def run(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, encoding="utf-8")
        if done.returncode != status:
            raise RuntimeError(f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8")

    def bundle(self, tool: str, version: str) -> dict[str, Any]:
        """Publishes an agent that may do everything with a tool, and returns its bundle."""
        self.write(
            f"fleet/agents/{AGENT}/1.0.0/agent.yaml",
            f"{HEADER}Agent\nspec:\n  description: Does it.\n  model: {{provider: openai, name: gpt-5}}\n"
            f'  needs: {{tools: [{{tool: {tool}, version: {version}, operations: ["*"]}}]}}\n',
        )
        self.write("environments/prod/environment.yaml", f"{HEADER}Environment\nspec: {{}}\n")
        self.write(
            f"environments/prod/agents/{AGENT}.yaml",
            f'{HEADER}Deployment\nspec:\n  version: 1.0.0\n  grants: [{{tool: {tool}, operations: ["*"]}}]\n',
        )
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "an agent")
        self.run(self.ensign, "reconcile", "--env", "prod")
        route = json.loads((self.folder / f"live/agents/{AGENT}.json").read_text(encoding="utf-8"))
        digest = route["routes"][-1]["digest"].split(":", 1)[1]
        path = self.folder / "live/bundles" / digest[:2] / f"{digest[2:]}.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


def play(ensign: str, name: str, command: list[str], folder: Path) -> str:
    """Imports a server; returns what is wrong, or nothing."""
    fleet = Fleet(ensign, folder)
    tools = {tool["name"]: wanted(tool) for tool in asked(command)}
    # As people have it: a client's configuration, with a secret in it.
    entry = {"command": command[0], "args": command[1:], "env": {"API_KEY": SECRET}}
    fleet.write("client.json", json.dumps({"mcpServers": {name: entry}}))
    configured = [ensign, "import", "mcp", name, "--client-config", "client.json", "--run"]
    said = fleet.run(*configured)
    (folder / "client.json").unlink()
    (manifest,) = (folder / "fleet/tools" / name).iterdir()
    problems = []
    if SECRET in said + manifest.read_text(encoding="utf-8"):
        problems.append("a secret is written or shown")
    fleet.run(ensign, "validate")
    fleet.run(ensign, "import", "mcp", name, "--command", shlex.join(command), "--check")
    bundle = fleet.bundle(name, manifest.stem)
    (declared,) = bundle["tools"]
    found = declared["operations"]
    if found.keys() != tools.keys():
        problems.append(f"offered are {sorted(tools)}, declared {sorted(found)}")
    for operation in found.keys() & tools.keys():
        for field, value in tools[operation].items():
            if found[operation].get(field) != value:
                problems.append(f"{operation}: {field} is {value!r}, declared {found[operation].get(field)!r}")
    # Released now: a server that has another tool less goes on as a new version, and says so to CI.
    listing = {"tools": asked(command)[1:]}
    fleet.write("tools.json", json.dumps(listing))
    change = fleet.run(ensign, "import", "mcp", name, "--from", "tools.json", "--check", status=2 if len(tools) > 1 else 3)
    if len(tools) > 1 and f"- {next(iter(tools))}" not in change:
        problems.append(f"a tool that is gone is not told: {change}")
    print(f"{name}: {len(found)} operations, {'as it says' if not problems else 'WRONG'}", flush=True)
    return "\n".join(f"  {problem}" for problem in problems)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("ensign", metavar="ENSIGN", help="the built program")
    parser.add_argument("servers", metavar="SERVER", nargs="*", help="import these alone")
    parser.add_argument("--packages", type=Path, default=Path(".build/ecosystem"), help="where environments are kept")
    parser.add_argument("--keep", type=Path, help="leave the repositories there")
    options = parser.parse_args()
    names = options.servers or list(SERVERS)
    options.packages.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        problems = []
        for name in names:
            packages, words = SERVERS[name]
            program = environment(packages, options.packages.resolve()).parent / words[0]
            command = [str(program), *(word.replace("FOLDER", str(folder.resolve())) for word in words[1:])]
            problems.append(play(os.path.abspath(options.ensign), name, command, folder / name))
    for problem in filter(None, problems):
        print(problem)
    print(f"{len(names) - sum(map(bool, problems))} passed, {sum(map(bool, problems))} failed")
    return 1 if any(problems) else 0


if __name__ == "__main__":
    sys.exit(main())
