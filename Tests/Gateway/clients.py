"""Those around a gateway that is tested: clients, an identity provider, and the programs as they are started."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import signal
import subprocess
import threading
import time
from typing import Any

# As it is when a gateway is started: Tests/Ecosystem names other programs.
import world as built
from world import AGENT, ENSIGN, GATEWAY, World, eventually


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


class Issuer:
    """An identity provider: its keys, and tokens."""

    def __init__(self, world: World, name: str = "idp") -> None:
        self.world = world
        self.url = f"https://{name}.example.com"
        self.key, self.keys = world.folder / f"{name}.pem", world.folder / f"{name}.jwks"
        world.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self.key)])
        modulus = world.run(["openssl", "rsa", "-in", str(self.key), "-noout", "-modulus"]).strip().split("=")[1]
        key = {"kty": "RSA", "alg": "RS256", "kid": name, "e": "AQAB", "n": self.encode(bytes.fromhex(modulus))}
        self.keys.write_text(json.dumps({"keys": [key]}))

    @staticmethod
    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    @property
    def line(self) -> dict[str, str]:
        """As the operator's file names it."""
        return {"issuer": self.url, "audience": "ensign", "keys": str(self.keys)}

    def answer(self, id: str, subject: str, decision: str = "approve", **claims: Any) -> str:
        """What somebody says of a request by this provider's word: a file for `approvals submit`."""
        digest = "sha256:" + hashlib.sha256(self.world.gateway("approvals", "show", id).encode()).hexdigest()
        file = self.world.folder / f"{id}.jwt"
        file.write_text(self.token(subject, ensign_request=digest, ensign_decision=decision, **claims))
        return str(file)

    def token(self, subject: str, algorithm: str = "RS256", **claims: Any) -> str:
        body = {"iss": self.url, "aud": "ensign", "sub": subject, "exp": int(time.time()) + 600, **claims}
        head = {"alg": algorithm, "typ": "JWT"}
        text = ".".join(self.encode(json.dumps(part).encode()) for part in (head, body))
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)], input=text.encode(), capture_output=True, check=True
        )
        return f"{text}.{self.encode(signed.stdout)}"


class Serving:
    """`ensign-gateway serve`, until it is ended."""

    def __init__(self, world: World, **environment: str) -> None:
        self.world = world
        self.output = world.folder / "serve.log"
        self.file = self.output.open("w")
        self.process = subprocess.Popen(
            [built.GATEWAY, "serve", "--config", str(world.config)], stderr=self.file, stdin=subprocess.DEVNULL,
            env={**world.environment, **environment},
        )
        self.wait_for("claim ")

    def wait_for(self, words: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while words not in self.output.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"serve does not say {words!r}: {self.output.read_text()}")
            time.sleep(0.02)

    def reload(self) -> None:
        """Has the operator's file read again, and waits for it."""
        before = self.output.read_text().count("the file was read again")
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.output.read_text().count("the file was read again") > before)

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
