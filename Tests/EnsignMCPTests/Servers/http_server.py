"""A server of the Model Context Protocol by HTTP. Prints its port, then serves until its input ends."""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BEHAVIOUR = sys.argv[1]
TOOLS = [{"name": "search", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def plain(self, value, status=200, **headers):
        body = json.dumps(value).encode() if value is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(body)

    def stream(self, values, stays=True, **headers):
        self.send_response(200)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for value in values:
            text = json.dumps(value, indent=1)
            data = "".join(f"data: {line}\r\n" for line in text.split("\n"))
            self.wfile.write(f": comment\r\nevent: message\r\n{data}\r\n".encode())
            self.wfile.flush()
        if stays:
            time.sleep(30)
        self.close_connection = True

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, number = request["method"], request.get("id")
        if BEHAVIOUR == "redirect":
            return self.plain(None, 307, Location="http://127.0.0.1:1/")
        if BEHAVIOUR == "who" and self.headers.get("Authorization") != "Bearer t0ken":
            return self.plain({"error": "unauthorized"}, 401)
        if BEHAVIOUR == "flood":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" " * 65536)
            except OSError:
                return
        if BEHAVIOUR == "page":
            body = b"<html>welcome</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)
        if BEHAVIOUR == "hang":
            time.sleep(600)
        legacy = BEHAVIOUR in ("legacy", "events", "streams", "ends")
        if method == "server/discover":
            if BEHAVIOUR == "ends":
                self.close_connection = True
                return
            if BEHAVIOUR == "streams":  # A refusal that names no request, as some SDKs write it.
                error = {"code": -32600, "message": "Missing session ID"}
                return self.plain({"jsonrpc": "2.0", "id": "server-error", "error": error}, 400, Mcp_Session_Id="refused")
            if legacy:
                return self.plain({"error": "unknown session"}, 400)
            info = {"io.modelcontextprotocol/serverInfo": {"name": "web", "version": "3.0.0"}}
            result = {"supportedVersions": ["2026-07-28"], "_meta": info}
            return self.plain({"jsonrpc": "2.0", "id": number, "result": result})
        if method == "initialize":
            result = {"protocolVersion": "2025-03-26", "serverInfo": {"name": "web", "version": "1.0.0"}}
            reply = {"jsonrpc": "2.0", "id": number, "result": result}
            if BEHAVIOUR == "streams":
                return self.stream([reply], stays=False, Mcp_Session_Id="s1")
            return self.plain(reply, Mcp_Session_Id="s1")
        if BEHAVIOUR == "streams" and self.headers.get("Mcp-Session-Id") != "s1":
            return self.plain({"error": "no session"}, 400)
        if method.startswith("notifications/"):
            return self.plain(None, 202)
        if legacy:
            assert self.headers["Mcp-Session-Id"] == "s1" and self.headers["MCP-Protocol-Version"] == "2025-03-26"
        reply = {"jsonrpc": "2.0", "id": number, "result": {"tools": TOOLS}}
        if BEHAVIOUR in ("events", "streams"):
            asked = {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}
            return self.stream([{"jsonrpc": "2.0", "method": "notifications/message"}, asked, reply])
        self.plain(reply)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
