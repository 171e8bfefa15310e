"""A client of the gateway over HTTP."""

from __future__ import annotations

import http.client
import json
from typing import Any

TOKEN = "open-sesame"


class Web:
    """A client over HTTP: each request on a connection of its own."""

    def __init__(self, port: int, token: str | None = TOKEN, timeout: float = 20) -> None:
        (self.port, self.token, self.timeout) = (port, token, timeout)

    def request(self, method: str, body: str, headers: dict[str, str], path: str = "/mcp") -> tuple[int, Any, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None, response.headers
        finally:
            connection.close()

    def post(self, message: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        usual = {
            "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
            **({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {}),
        }
        return self.request("POST", message if isinstance(message, str) else json.dumps(message), usual)[:2]

    def call(self, name: str, arguments: dict[str, Any], **headers: str) -> Any:
        """Headers with `_` for `-`, such as Ensign_Run."""
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        status, body = self.post(message, {"MCP-Protocol-Version": "2025-11-25", **named})
        if status != 200:
            raise AssertionError(f"status {status}: {body}")
        return body["result"]
