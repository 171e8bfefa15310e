"""A server of the Model Context Protocol by lines that behaves as it is told: one behaviour a word.

Each line that it reads is appended to the file in SEEN.
"""

import json
import os
import subprocess
import sys
import threading
import time

BEHAVIOUR = sys.argv[1] if len(sys.argv) > 1 else "legacy"
SEEN = os.environ.get("SEEN")
STARTS = os.environ.get("STARTS")
lock = threading.Lock()
cancelled = set()
version = 1


def say(message):
    write(json.dumps(message))


def write(text):
    with lock:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def answer(request, result):
    say({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refuse(request, code, text):
    say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": text}})


def text(words, **more):
    return {"content": [{"type": "text", "text": words}], **more}


def call(request):
    global version
    params = request["params"]
    name, arguments = params["name"], params.get("arguments", {})
    token = params.get("_meta", {}).get("progressToken")
    if name == "echo":
        return answer(request, text(json.dumps(arguments), structuredContent=arguments))
    if name == "slow":
        time.sleep(arguments["seconds"])
        return answer(request, text("slow"))
    if name == "cancellable":
        for _ in range(200):
            if request["id"] in cancelled:
                with open(os.environ["SEEN"] + ".cancelled", "w") as file:
                    file.write("yes")
                return answer(request, text("too late"))
            time.sleep(0.05)
    if name == "late":
        time.sleep(0.5)
        return answer(request, text("late"))
    if name == "error late":
        time.sleep(0.5)
        return refuse(request, -32000, "cancelled")
    if name == "hang":
        return None
    if name == "progress":
        time.sleep(arguments.get("seconds", 0))
        for step in range(3):
            say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
        return answer(request, text("done"))
    if name == "die":
        os._exit(3)
    if name == "leave":
        answer(request, text(str(os.getpid())))
        os._exit(0)
    if name == "error":
        return refuse(request, -32000, "no \x1b[31mway")
    if name == "elicit":
        say({"jsonrpc": "2.0", "id": request["id"], "method": "elicitation/create", "params": {}})
        return None
    if name == "asks":
        for _ in range(arguments["times"]):
            say({"jsonrpc": "2.0", "id": 1, "method": "roots/list"})
        time.sleep(arguments["seconds"])
        return answer(request, text("asked"))
    if name == "input":
        return answer(request, {"resultType": "input_required", "inputRequests": {}})
    if name == "nan":
        return write('{"jsonrpc":"2.0","id":%d,"result":{"content":[],"structuredContent":{"x":NaN}}}' % request["id"])
    if name == "big":
        return answer(request, text("x" * arguments["bytes"]))
    if name == "spoof":
        meta = {"dev.ensign/reason": "x", "io.modelcontextprotocol/serverInfo": {}, "own": 1}
        return answer(request, text("ok", _meta=meta, resultType="complete"))
    if name == "child":
        child = subprocess.Popen(["sleep", "300"])
        return answer(request, text(str(child.pid)))
    if name == "environment":
        return answer(request, text(json.dumps(dict(os.environ), sort_keys=True)))
    if name == "where":
        return answer(request, text(os.getcwd()))
    if name == "changed":
        version += 1
        say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return answer(request, text("changed"))
    if name == "babble":
        for _ in range(5000):
            write("babble")
        return None
    if name == "noise":
        sys.stderr.write("secret\x1b[2J\n" * 10000)
        sys.stderr.flush()
        return answer(request, text("noise"))
    if name == "endless":
        while True:
            sys.stdout.write("x" * 65536)
    return refuse(request, -32602, "unknown tool")


def take(request):
    method = request.get("method")
    if method is None:
        if request.get("error", {}).get("code") == -32601:
            answer({"id": request["id"]}, text("the question was refused"))
        return
    meta = request.get("params", {}).get("_meta", {})
    if method == "notifications/cancelled":
        cancelled.add(request["params"]["requestId"])
    elif method == "initialize":
        if BEHAVIOUR == "modern":
            return refuse(request, -32022, "no handshake")
        if BEHAVIOUR == "exits":
            os._exit(1)
        if BEHAVIOUR == "hangs":
            time.sleep(600)
        if BEHAVIOUR == "sleepy":
            time.sleep(1)
        if BEHAVIOUR == "other":
            return answer(request, {"protocolVersion": "1999-01-01"})
        answer(request, {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "up", "version": "1"}})
    elif method == "server/discover":
        if BEHAVIOUR not in ("modern", "exits"):
            return refuse(request, -32602, "Invalid request parameters")
        info = {"io.modelcontextprotocol/serverInfo": {"name": "up", "version": "2"}}
        answer(request, {"supportedVersions": ["2026-07-28"], "capabilities": {}, "_meta": info})
    elif method == "tools/list":
        page = int(request.get("params", {}).get("cursor") or 0)
        more = {"nextCursor": str(page + 1)} if page < 2 else {}
        answer(request, {"tools": [{"name": f"tool_{page}_v{version}", "inputSchema": {"type": "object"}}], **more})
    elif method == "tools/call":
        if BEHAVIOUR in ("modern", "exits"):
            assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        if BEHAVIOUR == "serial":
            return call(request)
        threading.Thread(target=call, args=(request,), daemon=True).start()


if STARTS:
    with open(STARTS, "a") as file:
        file.write("start\n")
if BEHAVIOUR == "mark":
    # As programs write it whose runtime begins each output with a byte order mark.
    sys.stdout.reconfigure(encoding="utf-8-sig")
if BEHAVIOUR == "greets":
    print("Welcome!")
if BEHAVIOUR == "deaf":
    take(json.loads(sys.stdin.readline()))
    time.sleep(600)
for line in sys.stdin:
    if SEEN:
        with open(SEEN, "a") as file:
            file.write(line)
    take(json.loads(line))
if BEHAVIOUR == "stubborn":
    time.sleep(600)
