"""A server of the Model Context Protocol that behaves as it is told: one behaviour a word."""

import json
import sys
import time

BEHAVIOUR = sys.argv[1] if len(sys.argv) > 1 else "modern"
TOOLS = [
    {
        "name": "search_issues",
        "description": "Searches issues.",
        "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        "annotations": {"readOnlyHint": True},
    },
    {"name": "close_issue", "inputSchema": {"type": "object"}, "annotations": {"destructiveHint": True}},
]


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(request, result):
    say({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refuse(request, code, text):
    say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": text}})


def tools(request):
    cursor = (request.get("params") or {}).get("cursor")
    if BEHAVIOUR == "pages":
        page = int(cursor or 0)
        more = {"nextCursor": str(page + 1)} if page < 4 else {}
        return answer(request, {"tools": [{"name": f"tool_{page}", "inputSchema": {}}], **more})
    if BEHAVIOUR == "circle":
        return answer(request, {"tools": [], "nextCursor": "again"})
    if BEHAVIOUR == "endless":
        page = int(cursor or 0)
        return answer(request, {"tools": [], "nextCursor": str(page + 1)})
    if BEHAVIOUR == "million":
        page = int(cursor or 0)
        many = [{"name": f"t{page}_{i}", "inputSchema": {}} for i in range(4_000)]
        return answer(request, {"tools": many, "nextCursor": str(page + 1)})
    if BEHAVIOUR == "hang":
        return time.sleep(600)
    if BEHAVIOUR == "die":
        sys.stderr.write("no such database\x1b[2J\n")
        sys.exit(3)
    if BEHAVIOUR == "flood":
        while True:
            say({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 1000}})
    if BEHAVIOUR == "huge":
        sys.stdout.write('{"jsonrpc": "2.0", "id": %d, "result": "' % request["id"])
        while True:
            sys.stdout.write("x" * 65536)
    if BEHAVIOUR == "garbage":
        sys.stdout.write('{"jsonrpc": "2.0", "id": 1, "id": 2}\n')
        return sys.stdout.flush()
    if BEHAVIOUR == "wrong-id":
        say({"jsonrpc": "2.0", "id": 999, "result": {"tools": []}})
        return time.sleep(600)
    if BEHAVIOUR == "odd":
        deep = {"type": "object"}
        for _ in range(40):
            deep = {"type": "object", "properties": {"a": deep}}
        odd = [{"description": "no name"}, TOOLS[0], None, {"name": "deep", "inputSchema": deep}, "x", TOOLS[1]]
        return answer(request, {"tools": odd, "nextCursor": ""})
    if BEHAVIOUR == "elicit":
        say({"jsonrpc": "2.0", "id": "e1", "method": "elicitation/create", "params": {"message": "Your password?"}})
        reply = json.loads(sys.stdin.readline())
        assert reply["id"] == "e1" and "error" in reply and "result" not in reply, reply
    if BEHAVIOUR == "ping":
        say({"jsonrpc": "2.0", "id": 7, "method": "ping"})
        assert json.loads(sys.stdin.readline())["result"] == {}
    answer(request, {"tools": TOOLS})


era = None
if BEHAVIOUR == "mark":
    sys.stdout.reconfigure(encoding="utf-8-sig")
if BEHAVIOUR == "banner":
    print("Welcome to the server!\n", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    method = request["method"]
    if method == "server/discover" and BEHAVIOUR == "slow" and era is None:
        time.sleep(6)
    if method == "server/discover" and BEHAVIOUR == "late":
        time.sleep(6)
        say({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "not initialized"}})
        continue
    if method == "server/discover" and BEHAVIOUR == "ends":
        sys.exit(1)
    if method == "server/discover" and BEHAVIOUR == "silent":
        continue
    if method == "server/discover" and BEHAVIOUR != "legacy":
        era = era or "modern"
        assert request["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        info = {"io.modelcontextprotocol/serverInfo": {"name": "tracker", "version": "v2.1.1"}}
        answer(request, {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "_meta": info})
    elif method == "initialize" and era is None:
        era = "legacy"
        answer(
            request,
            {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "tracker", "version": "1.4.0"},
            },
        )
    elif method == "tools/list":
        assert (era == "modern") == ("_meta" in (request.get("params") or {})), request
        tools(request)
    elif method == "initialize" and era == "modern":
        refuse(request, -32022, "connection is serving the 2026-07-28 protocol")
    elif "id" in request:
        refuse(request, -32601, "not known")
