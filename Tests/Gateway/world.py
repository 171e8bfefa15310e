"""A fleet that is live, and a gateway before a server: what the tests of the gateway share."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ENSIGN = os.environ.get("ENSIGN", "ensign")
GATEWAY = str(Path(ENSIGN).parent / "ensign-gateway") if "/" in ENSIGN else "ensign-gateway"
AGENT = "support/triage"

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
  server: {mcp: {command: [server.py, LOG]}}
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
        self.git("init", "-q", "-b", "main", str(self.repository), at=self.folder)
        words = [str(self.folder / "server.py"), str(self.log)] + ([behaviour] if behaviour else [])
        shutil.copy(HERE / "server.py", self.folder / "server.py")
        text = (self.folder / "server.py").read_text()
        (self.folder / "server.py").write_text(f"#!{sys.executable}\n{text}")
        (self.folder / "server.py").chmod(0o755)
        for path, content in fleet.items():
            content = content.replace("[server.py, LOG]", json.dumps(["server.py"] + words[1:]))
            self.write(path, content.replace("APPROVAL", approval).lstrip("\n"))
        self.commit("The fleet")
        self.ensign("init")
        self.reconcile()
        self.live = self.repository / ".git/ensign/live/prod"
        (self.folder / "prod.keys").write_text(self.ensign("keys", "--env", "prod"))
        self.resolver = self.folder / "vault"
        self.resolver.write_text("#!/bin/sh\necho s3cr3t-of-the-vault\n")
        self.resolver.chmod(0o700)
        self.spec = {
            "live": str(self.live), "keys": str(self.folder / "prod.keys"), "state": str(self.state),
            "upstreams": {
                "payments": {
                    "command": words, "references": ["vault:payments"], "env": {"TOKEN": "{credentials}"},
                }
            },
            "credentials": {"vault": {"command": [str(self.resolver)]}},
            **spec,
        }
        self.configure()

    def configure(self, **spec: Any) -> None:
        """Writes the operator's file."""
        self.spec.update(spec)
        # JSON is YAML.
        document = {"apiVersion": "ensign.dev/v1", "kind": "Gateway", "spec": self.spec}
        self.config.write_text(json.dumps(document, indent=1))

    def end(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

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

    def decisions(self) -> list[dict[str, Any]]:
        return list(json.loads(self.gateway("log", "--limit", "0", "-o", "json"))["entries"])


class Client:
    """A client over standard input and output."""

    def __init__(
        self, world: World, *words: str, agent: str = AGENT, version: str = "2025-11-25",
        under: list[str] | None = None, command: list[str] | None = None,
    ) -> None:
        usual = [GATEWAY, "stdio", "--config", str(world.config), "--agent", agent]
        self.process = subprocess.Popen(
            [*(under or []), *(command or usual), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=world.environment,
        )
        self.errors: list[str] = []
        threading.Thread(target=self._drain, daemon=True).start()
        self.number = 0
        self.initialised = self.ask(
            "initialize",
            {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
        )
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _drain(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)

    def send(self, message: Any) -> None:
        self.raw(json.dumps(message))

    def raw(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the gateway has ended: {''.join(self.errors)}")
        return json.loads(line)

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self.number += 1
        number = self.number
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == number:
                return message

    def tools(self) -> list[dict[str, Any]]:
        return list(self.ask("tools/list", {})["result"]["tools"])

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        return self.ask("tools/call", {"name": name, "arguments": arguments})["result"]

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()


class Serving:
    """`ensign-gateway serve`, until it is ended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.output = world.folder / "serve.log"
        self.file = self.output.open("w")
        self.process = subprocess.Popen(
            [GATEWAY, "serve", "--config", str(world.config)], stderr=self.file, stdin=subprocess.DEVNULL,
            env=world.environment,
        )
        self.wait_for("claim ")

    def wait_for(self, words: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while words not in self.output.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"serve does not say {words!r}: {self.output.read_text()}")
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        self.file.close()
        return status

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process.poll() is None:
            self.end()
        else:
            self.file.close()


class Developing:
    """`ensign dev`, until it is ended."""

    def __init__(self, world: World, *words: str) -> None:
        self.world = world
        self.temporary = world.folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.outputs = [world.folder / "dev.out", world.folder / "dev.err"]
        self.files = [path.open("w") for path in self.outputs]
        self.process = subprocess.Popen(
            [ENSIGN, "dev", AGENT, *words], cwd=world.repository, stdin=subprocess.DEVNULL, stdout=self.files[0],
            stderr=self.files[1], env={**world.environment, "TMPDIR": str(self.temporary)},
        )
        self.wait_for("watching ")

    def said(self) -> str:
        return "".join(path.read_text() for path in self.outputs)

    def wait_for(self, words: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while words not in self.said():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"dev does not say {words!r}: {self.said()}")
            time.sleep(0.02)

    def snippet(self) -> list[str]:
        """The command of a client, as `.mcp.json` has it."""
        text = self.outputs[0].read_text()
        document, _ = json.JSONDecoder().raw_decode(text[text.index("{\n"):])
        server = document["mcpServers"]["fleet"]
        return [server["command"], *server["args"]]

    def line(self) -> list[str]:
        """The same, as a shell has it."""
        (line,) = [line for line in self.outputs[0].read_text().splitlines() if " stdio --config " in line]
        return shlex.split(line)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        for file in self.files:
            file.close()
        return status

    def __enter__(self) -> "Developing":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process.poll() is None:
            self.end()


def reason(result: dict[str, Any]) -> str | None:
    """Why a call was refused; None where it was not."""
    value = result.get("_meta", {}).get("dev.ensign/reason")
    return str(value) if value is not None else None


def words(result: dict[str, Any]) -> str:
    return "".join(part["text"] for part in result["content"])
