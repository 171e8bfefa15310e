"""A server of the Model Context Protocol by HTTP that behaves as it is told. Prints its port, then serves until its input ends.

Each request that it gets is appended to the file in SEEN, as one line: its headers and its message.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BEHAVIOUR = sys.argv[1]
MODERN = ("modern", "mirrors")
SEEN = os.environ["SEEN"]
lock = threading.Lock()
sessions = set()
refused = threading.Event()
rude = threading.Event()
connections = 0
# Of a stream that comes in several parts: what is still to come, and the words that stand for messages in it.
parts = []
answers = {}


def text(words, **more):
    return {"content": [{"type": "text", "text": words}], **more}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        global connections
        with lock:
            connections += 1
        super().setup()

    def log_message(self, *_):
        pass

    def plain(self, value, status=200, **headers):
        body = json.dumps(value).encode() if value is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, value):
        self.wfile.write(f"event: message\ndata: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def note(self, message):
        with lock:
            with open(SEEN, "a") as file:
                file.write(json.dumps({"headers": {k.lower(): v for k, v in self.headers.items()}, "message": message}) + "\n")

    def do_GET(self):
        self.note({"method": "GET", "at": int(time.monotonic() * 1000)})
        self.part()

    def do_DELETE(self):
        self.note({"method": "DELETE"})
        sessions.discard(self.headers.get("Mcp-Session-Id"))
        self.plain(None, 204)

    def part(self):
        """Says the next part of a stream that comes in several, each over a connection of its own."""
        part = parts.pop(0)
        if "status" in part:
            return self.plain(None if part["status"] == 204 else {"jsonrpc": "2.0", "id": 1, "result": {}}, part["status"])
        self.close_connection = True
        if part.get("then") == "vanish":
            return self.connection.close()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        if part.get("then") == "break":
            self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        words = part.get("say", "")
        for name, value in answers.items():
            words = words.replace(name, value)
        self.wfile.write(words.encode() * part.get("times", 1))
        self.wfile.flush()
        if part.get("then") == "hang":
            time.sleep(60)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.note(message)
        if BEHAVIOUR == "who" and self.headers.get("Authorization") != "Bearer t0ken":
            return self.plain({"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": 1, "message": "who"}}, 401)
        if BEHAVIOUR == "redirect":
            return self.plain(None, 307, Location=f"http://127.0.0.1:{self.server.server_address[1]}/other")
        method, number = message.get("method"), message.get("id")
        reply = lambda result: {"jsonrpc": "2.0", "id": number, "result": result}
        if method is None:
            if rude.is_set():
                time.sleep(60)
            refused.set()
            return self.plain(None, 202)
        if method == "server/discover":
            if BEHAVIOUR not in MODERN:
                error = {"code": -32600, "message": "Missing session ID"}
                return self.plain({"jsonrpc": "2.0", "id": "server-error", "error": error}, 400)
            info = {"io.modelcontextprotocol/serverInfo": {"name": "web", "version": "2"}}
            return self.plain(reply({"supportedVersions": ["2026-07-28"], "_meta": info}))
        if method == "initialize":
            session = f"s{len(sessions) + 1}"
            sessions.clear() if BEHAVIOUR == "forgets" else None
            sessions.add(session)
            result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "web", "version": "1"}}
            return self.plain(reply(result), Mcp_Session_Id=session)
        if BEHAVIOUR not in MODERN and self.headers.get("Mcp-Session-Id") not in sessions:
            error = {"code": -32600, "message": "Session not found"}
            if BEHAVIOUR == "denies":
                return self.plain({"jsonrpc": "2.0", "id": "server-error", "error": error}, 400)
            return self.plain({"jsonrpc": "2.0", "id": number if BEHAVIOUR == "echoes" else None, "error": error}, 404)
        if number is None:
            return self.plain(None, 202)
        if method == "ping":
            return self.plain(reply({}))
        if method == "tools/list" and BEHAVIOUR == "mirrors":
            return self.plain(reply({"tools": [
                {"name": "echo", "inputSchema": {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}},
                {"name": "bad", "inputSchema": {"properties": {"region": {"type": "string", "x-mcp-header": "a b"}}}},
            ]}))
        if method == "tools/list" and BEHAVIOUR == "polls":
            answers.update(ANSWER=json.dumps(reply({"tools": [{"name": "late"}]})))
            parts[:] = [{"say": "id: 1\nretry: 100\ndata:\n\n"}, {"say": "data: ANSWER\n\n"}]
            return self.part()
        if method == "tools/list":
            page = int(message.get("params", {}).get("cursor") or 0)
            more = {"nextCursor": str(page + 1)} if page < 2 else {}
            return self.plain(reply({"tools": [{"name": f"tool_{page}"}], **more}))
        self.call(message["params"], reply)

    def call(self, params, reply):
        name, arguments = params["name"], params.get("arguments", {})
        if name == "echo":
            return self.plain(reply(text("echo", structuredContent=arguments)))
        if name == "connections":
            return self.plain(reply(text(str(connections))))
        if name == "forget":
            self.plain(reply(text("forgotten")))
            return sessions.clear()
        if name == "progress":
            self.stream()
            for step in range(3):
                token = params.get("_meta", {}).get("progressToken")
                self.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
            return self.event(reply(text("done")))
        if name == "asks":
            self.stream()
            self.event({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create", "params": {}})
            refused.wait(10)
            return self.event(reply(text("refused" if refused.is_set() else "nobody answered")))
        if name == "pings":
            self.stream()
            for question in range(arguments["count"]):
                refused.clear()
                self.event({"jsonrpc": "2.0", "id": question, "method": "ping"})
                if not refused.wait(10):
                    return
            return self.event(reply(text("done")))
        if name == "interrogates":
            rude.set()
            self.stream()
            for question in range(4_000):
                self.event({"jsonrpc": "2.0", "id": question, "method": "roots/list"})
            return time.sleep(60)
        if name == "slow":
            time.sleep(arguments["seconds"])
            return self.plain(reply(text("slow")))
        if name == "parts":
            token = params.get("_meta", {}).get("progressToken")
            progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}
            answers.update(ANSWER=json.dumps(reply(text("done"))), PROGRESS=json.dumps(progress))
            parts[:] = arguments["parts"]
            return self.part()
        if name == "hangs":
            self.stream()
            for _ in range(200):
                self.wfile.write(b": still there\n\n")
                self.wfile.flush()
                time.sleep(0.05)
            return
        if name == "chatters":
            self.stream()
            said = json.dumps({"jsonrpc": "2.0", "method": "notifications/message"})
            self.wfile.write(f"data: {said}\n\n".encode() * arguments["count"])
            return self.event(reply(text("done")))
        if name == "stops":
            return self.stream()
        if name == "die":
            self.close_connection = True
            return self.connection.close()
        if name == "status":
            return self.plain(None, arguments["status"])
        if name == "missing":
            return self.plain({"jsonrpc": "2.0", "id": reply(0)["id"], "error": {"code": -32000, "message": "no"}}, 404)
        if name == "mismatch":
            return self.plain({"jsonrpc": "2.0", "id": reply(0)["id"], "error": {"code": -32020, "message": "no"}}, 400)
        if name == "error":
            return self.plain({"jsonrpc": "2.0", "id": reply(0)["id"], "error": {"code": -32000, "message": "no"}})
        if name == "big":
            return self.plain(reply(text("x" * arguments["bytes"])))
        if name == "big-event":
            self.stream()
            return self.event(reply(text("x" * arguments["bytes"])))
        if name == "flood":
            self.stream()
            try:
                while True:
                    self.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 60000}})
            except OSError:
                return
        if name == "nan":
            return self.plain(reply({"content": [], "structuredContent": {"x": float("nan")}}))
        if name == "other":
            return self.plain({"jsonrpc": "2.0", "id": 4711, "result": text("not yours")})
        self.plain(None, 202)


class Server(ThreadingHTTPServer):
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
