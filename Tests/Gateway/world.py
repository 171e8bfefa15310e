"""A fleet that is live, and a gateway before a server: what the tests of the gateway share."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable

from web import TOKEN, Web

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENSIGN = os.environ.get("ENSIGN", "ensign")
GATEWAY = str(Path(ENSIGN).parent / "ensign-gateway") if "/" in ENSIGN else "ensign-gateway"
AGENT = "support/triage"
DEPLOYMENT = "environments/prod/agents/support/triage.yaml"
TOOL = "fleet/tools/payments/1.0.0.yaml"

FLEET = {
    "fleet/teams/support.yaml": """
apiVersion: ensign.dev/v1
kind: Team
spec: {members: [ada@example.com, bo@example.com], escalation: oncall@example.com}
""",
    "fleet/tools/payments/1.0.0.yaml": """
apiVersion: ensign.dev/v1
kind: Tool
spec:
  owner: support
  description: Payments.
  server: {mcp: {command: [server.py, server.log]}}
  credentials: {ref: "vault:payments"}
  operations:
    lookup:
      description: Reads a payment.
      access: read
      risk: low
      idempotent: true
    refund:
      description: Sends money back.
      access: execute
      risk: high
      timeout: 5s
      input:
        type: object
        required: [payment, amount]
        additionalProperties: false
        properties: {payment: {type: string}, amount: {type: number, maximum: 500}}
""",
    "fleet/agents/support/triage/1.0.0/agent.yaml": """
apiVersion: ensign.dev/v1
kind: Agent
spec:
  description: Sorts tickets.
  model: {provider: anthropic, name: claude-haiku-4-5}
  instructions: prompt.md
  needs:
    tools:
      - {tool: payments, version: 1.0.0, operations: [lookup, refund]}
  limits: {steps: 50, seconds: 600}
""",
    "fleet/agents/support/triage/1.0.0/prompt.md": "Sort.\n",
    "environments/prod/environment.yaml": """
apiVersion: ensign.dev/v1
kind: Environment
spec: {trustDomain: agents.example.com}
""",
    "environments/prod/agents/support/triage.yaml": """
apiVersion: ensign.dev/v1
kind: Deployment
spec:
  version: 1.0.0
  autonomy: full
  grants:
    - {tool: payments, operations: [lookup]}
    - {tool: payments, operations: [refund], arguments: {properties: {amount: {maximum: 100}}}, approval: APPROVAL}
""",
}


_made: dict[tuple[tuple[str, str], ...], Path] = {}


def eventually(holds: Callable[[], Any], seconds: float = 20) -> Any:
    """Waits for what is to become true, and gives it back."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"it has not become true in {seconds} seconds")
        time.sleep(0.01)
    return found


def is_running(process: int) -> bool:
    """Whether a process is there and is more than a name."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_port() -> int:
    """A port on which nobody listens. None of those that the system gives to whoever connects: one of them would have it by the
    time at which the server starts."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class World:
    """One repository with one agent, its live directory, and an operator's file."""

    def __init__(
        self, behaviour: str = "", approval: str = "none", fleet: dict[str, str] = FLEET, **spec: Any
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ensign-gateway-"))
        self.repository = self.folder / "fleet"
        self.log = self.folder / "server.log"
        self.config = self.folder / "gateway.yaml"
        self.state = self.folder / "state"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
        }
        shutil.copy(HERE / "server.py", self.folder / "server.py")
        text = (self.folder / "server.py").read_text()
        (self.folder / "server.py").write_text(f"#!{sys.executable} -IS\n{text}")
        (self.folder / "server.py").chmod(0o755)
        if behaviour:
            self.behave(behaviour)
        self.publish({path: text.replace("APPROVAL", approval).lstrip("\n") for path, text in fleet.items()})
        self.live = self.repository / ".git/ensign/live/prod"
        shutil.copy(self.repository / ".git/prod.keys", self.folder)
        self.resolver = self.folder / "vault"
        self.resolver.write_text("#!/bin/sh\necho s3cr3t-of-the-vault\n")
        self.resolver.chmod(0o700)
        self.spec = {
            "live": str(self.live), "keys": str(self.folder / "prod.keys"), "state": str(self.state),
            "upstreams": {
                "payments": {
                    "command": [str(self.folder / "server.py"), self.log.name], "directory": str(self.folder),
                    "references": ["vault:payments"], "env": {"TOKEN": "{credentials}"},
                }
            },
            "credentials": {"vault": {"command": [str(self.resolver)]}},
            **spec,
        }
        self.configure()

    def publish(self, fleet: dict[str, str]) -> None:
        """Makes a repository with these files, and makes it live: once for all tests that begin with the same ones."""
        made = _made.get(tuple(sorted(fleet.items())))
        if made:
            shutil.copytree(made, self.repository, symlinks=True)
            return
        self.git("init", "-q", "-b", "main", str(self.repository), at=self.folder)
        for path, text in fleet.items():
            self.write(path, text)
        self.commit("The fleet")
        self.ensign("init")
        self.reconcile()
        (self.repository / ".git/prod.keys").write_text(self.ensign("keys", "--env", "prod"))
        made = Path(tempfile.mkdtemp(prefix="ensign-gateway-"))
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        shutil.copytree(self.repository, made, symlinks=True, dirs_exist_ok=True)
        _made[tuple(sorted(fleet.items()))] = made

    def configure(self, **spec: Any) -> None:
        """Writes the operator's file."""
        self.spec.update(spec)
        # JSON is YAML.
        document = {"apiVersion": "ensign.dev/v1", "kind": "Gateway", "spec": self.spec}
        self.config.write_text(json.dumps(document, indent=1))

    def end(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def listens(self, **spec: Any) -> Web:
        """Has the gateway listen on HTTP, and gives a client of it."""
        port = free_port()
        mine = {"agent": AGENT, "tokenSHA256": hashlib.sha256(TOKEN.encode()).hexdigest()}
        listen = {"http": f"127.0.0.1:{port}", **spec.pop("listen", {})}
        self.configure(**{"listen": listen, "agents": [mine], **spec})
        return Web(port)

    def listens_on_socket(self, **spec: Any) -> str:
        path = str(self.folder / "gateway.sock")
        self.configure(**{"listen": {"socket": path}, "agents": [{"agent": AGENT, "uid": os.getuid()}], **spec})
        return path

    def behave(self, how: str) -> None:
        """How the server answers from now on (server.py)."""
        (self.folder / "server.log.now").write_text(how)

    # Programs

    def run(self, words: list[str], at: Path | None = None, wanted: int | None = 0, text: str = "") -> str:
        result = subprocess.run(
            words, cwd=at or self.repository, env=self.environment, input=text, capture_output=True, text=True, timeout=120
        )
        if wanted is not None and result.returncode != wanted:
            raise AssertionError(f"{words}: status {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result.stdout

    def git(self, *words: str, at: Path | None = None) -> str:
        return self.run(["git", *words], at)

    def ensign(self, *words: str, wanted: int | None = 0) -> str:
        return self.run([ENSIGN, *words], wanted=wanted)

    def gateway(self, *words: str, wanted: int | None = 0) -> str:
        return self.run([GATEWAY, *words, "--config", str(self.config)], self.folder, wanted)

    def failing(self, *words: str, wanted: int) -> str:
        """What the gateway says on standard error."""
        result = subprocess.run(
            [GATEWAY, *words, "--config", str(self.config)],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120,
        )
        if result.returncode != wanted:
            raise AssertionError(f"{words}: status {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result.stderr

    def write(self, path: str, content: str) -> None:
        file = self.repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.repository / path).read_text()
        if old not in text:
            raise AssertionError(f"{path} has no {old!r}")
        self.write(path, text.replace(old, new))

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def reconcile(self) -> None:
        self.ensign("reconcile", "--env", "prod")

    def trust(self, person: str, options: str = 'namespaces="ensign-approval"') -> Path:
        """Makes a key with which somebody may agree, and merges it."""
        key = self.folder / f"{person.split('@')[0]}.key"
        if not key.exists():
            self.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)])
        line = " ".join((self.folder / f"{key.name}.pub").read_text().split()[:2])
        signers = self.repository / "fleet/trust/allowed_signers"
        before = signers.read_text() if signers.exists() else ""
        self.write("fleet/trust/allowed_signers", f"{before}{person} {options} {line}\n")
        self.commit(f"{person} may agree")
        self.reconcile()
        return key

    # What happened

    def calls(self) -> list[dict[str, Any]]:
        """What the server got."""
        if not self.log.exists():
            return []
        return [json.loads(line)["params"] for line in self.log.read_text().splitlines()]

    def told(self) -> str:
        """What the server was told besides calls."""
        file = self.folder / "server.log.told"
        return file.read_text() if file.exists() else ""

    def starts(self) -> list[int]:
        """The processes of the server, as they were started."""
        file = self.folder / "server.log.starts"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def decisions(self) -> list[dict[str, Any]]:
        return list(json.loads(self.gateway("log", "--limit", "0", "-o", "json"))["entries"])


    def library(self, name: str) -> str:
        """What a program is started with in LD_PRELOAD: `world` moves its clock, `faults` ends it."""
        file = self.folder / f"{name}.so"
        if not file.exists():
            source = str(ROOT / f"Tests/Faults/{name}.c")
            self.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(file), source, "-ldl"])
        return str(file)

    def later(self, seconds: int) -> None:
        """From now on so much more time has passed for what is run: no test waits for minutes."""
        self.environment.update({"LD_PRELOAD": self.library("world"), "WORLD_AHEAD": str(seconds)})


class Case(unittest.TestCase):
    def world(self, *arguments: Any, **named: Any) -> World:
        world = World(*arguments, **named)
        self.addCleanup(world.end)
        return world
