"""A client of MCP that makes the calls that it reads: a line each, `NAME ARGUMENTS`.

    python3 examples/session.py ensign-gateway stdio --config gateway.yaml --agent support/refund-triage

The words behind the file are the server's command. It stays one session until its input ends, and writes for each call
what a model would be told.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


class Session:
    def __init__(self, command: list[str]) -> None:
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.number = 0
        client = {"name": "session.py", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message: dict[str, Any]) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(message) + "\n")
        self.server.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert self.server.stdout is not None
        self.number += 1
        self.send({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        for line in self.server.stdout:
            message = json.loads(line)
            if message.get("id") == self.number:
                if "error" in message:
                    return {"isError": True, "content": [{"type": "text", "text": message["error"]["message"]}]}
                return dict(message["result"])
        sys.exit("the server has ended")

    def end(self) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait()


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    session = Session(sys.argv[1:])
    tools = session.ask("tools/list", {}).get("tools", [])
    print("tools: " + ", ".join(tool["name"] for tool in tools), flush=True)
    for line in sys.stdin:
        name, _, arguments = line.strip().partition(" ")
        result = session.ask("tools/call", {"name": name, "arguments": json.loads(arguments or "{}")})
        text = " ".join(part.get("text", "") for part in result.get("content", []))
        print(text, flush=True)
    session.end()


if __name__ == "__main__":
    main()
