#!/usr/bin/env python3
"""A payment provider's MCP server, for demos: it pays nothing, and answers as the sample's tool says.

Speaks MCP over standard input and output. With a folder it writes each call into the file calls.jsonl there.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

TOOLS = [
    {"name": "lookup", "inputSchema": {"type": "object", "properties": {"payment": {"type": "string"}}}},
    {
        "name": "refund",
        "inputSchema": {
            "type": "object",
            "properties": {"payment": {"type": "string"}, "amount": {"type": "number"}},
        },
    },
]


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if name == "refund":
        return {"refund": "re_1", "status": "succeeded", "amount": arguments["amount"]}
    return {
        "payment": arguments["payment"], "customer": "cus_4hq7n2vd", "order": "O-1", "status": "captured", "amount": 40,
        "refundable": 40, "currency": "EUR", "capturedAt": "2026-11-02T10:00:00Z",
    }


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    params = message.get("params", {})
    if message["method"] == "initialize":
        return {
            "protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "payments", "version": "1.3.0"},
        }
    if message["method"] == "tools/list":
        return {"tools": TOOLS}
    if message["method"] == "tools/call":
        if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
            with open(f"{sys.argv[1]}/calls.jsonl", "a") as log:
                log.write(json.dumps(params) + "\n")
        result = call(params["name"], params["arguments"])
        return {"content": [{"type": "text", "text": json.dumps(result)}], "structuredContent": result}
    return None


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message)
        body = {"result": result} if result is not None else {"error": {"code": -32601, "message": "not here"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **body}), flush=True)
