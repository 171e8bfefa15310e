"""Encrypted: clients of other hosts in front, who may need a certificate, and servers of a private authority behind.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from clients import Client, Serving, reason
from web import TOKEN
from world import FLEET, TOOL, Case, World, eventually

SYSTEM = "/etc/ssl/certs/ca-certificates.crt"


class Authority:
    """Somebody whose certificates are believed, or not."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        self.certificate = world.folder / f"{name}.pem"

    def openssl(self, *words: str) -> None:
        self.world.run(["openssl", *words], self.world.folder)

    def sign(self, name: str, purpose: str) -> tuple[str, str]:
        """The files of a certificate for this machine, and of its key."""
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.world.folder / f"{name}.ext").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={purpose}\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
                     "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return str(self.world.folder / f"{name}.pem"), str(self.world.folder / f"{name}.key")


class Server(ThreadingHTTPServer):
    """A server of MCP in the stateless era that keeps what it was sent."""

    def __init__(self, certificate: str, key: str) -> None:
        self.tokens: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}/mcp"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Whoever does not believe the certificate hangs up."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tokens.append(self.headers["Authorization"])  # type: ignore[attr-defined]
        results = {
            "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}},
            "tools/list": {"tools": [{"name": "lookup", "inputSchema": {"type": "object"}}]},
            "tools/call": {"content": [{"type": "text", "text": "done"}]},
        }
        body = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": results[message["method"]]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class FrontTests(Case):
    def test_other_hosts_are_served_encrypted_and_without_a_certificate_of_the_operators_authority_not_heard(self) -> None:
        world = self.world()
        ours, other = Authority(world, "ours"), Authority(world, "other")
        certificate, key = ours.sign("gateway", "serverAuth")
        web = world.listens()
        address = world.spec["listen"].pop("http")
        world.configure(listen={
            "https": {"address": address, "certificate": certificate, "key": key, "clientCA": str(ours.certificate)}
        })
        message = json.dumps({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "payments__lookup", "arguments": {}}
        })

        def status(identity: tuple[str, str] | None, token: str = TOKEN) -> int | None:
            """None where the connection is refused."""
            context = ssl.create_default_context(cafile=str(ours.certificate))
            if identity:
                context.load_cert_chain(*identity)
            connection = http.client.HTTPSConnection("127.0.0.1", web.port, context=context, timeout=20)
            headers = {
                "Content-Type": "application/json", "Authorization": f"Bearer {token}", "MCP-Protocol-Version": "2025-11-25",
            }
            try:
                connection.request("POST", "/mcp", message, headers)
                return connection.getresponse().status
            except (ssl.SSLError, http.client.RemoteDisconnected, ConnectionError):
                return None
            finally:
                connection.close()

        friend, stranger = ours.sign("friend", "clientAuth"), other.sign("stranger", "clientAuth")
        with Serving(world) as serving:
            self.assertEqual(status(friend), 200)
            self.assertEqual(status(friend, "wrong"), 401)
            for nobody in (None, stranger):
                self.assertIn(status(nobody), (403, None))
            with self.assertRaises((OSError, http.client.HTTPException)):
                web.post({})
        self.assertEqual(len(world.calls()), 1)


class RenewalTests(Case):
    def test_a_renewed_certificate_is_taken_without_a_new_start_and_one_that_is_not_its_keys_is_not(self) -> None:
        world = self.world()
        ours, other = Authority(world, "ours"), Authority(world, "other")
        certificate, key = ours.sign("gateway", "serverAuth")
        web = world.listens()
        world.configure(listen={"https": {"address": world.spec["listen"].pop("http"), "certificate": certificate, "key": key}})
        message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", "MCP-Protocol-Version": "2025-11-25"}

        def connect(authority: Authority) -> http.client.HTTPSConnection:
            context = ssl.create_default_context(cafile=str(authority.certificate))
            connection = http.client.HTTPSConnection("127.0.0.1", web.port, context=context, timeout=20)
            self.addCleanup(connection.close)
            return connection

        def status(connection: http.client.HTTPSConnection) -> int | None:
            """None where the certificate is not believed."""
            try:
                connection.request("POST", "/mcp", message, headers)
                answer = connection.getresponse()
                answer.read()
                return answer.status
            except ssl.SSLError:
                return None

        with Serving(world) as serving:
            open_one = connect(ours)
            self.assertEqual(status(open_one), 200)
            renewed, its_key = other.sign("renewed", "serverAuth")
            # Half of a renewal.
            shutil.copy(renewed, certificate)
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("was not taken, and the one before still counts")
            self.assertIn("is not a certificate of the key in", serving.output.read_text())
            self.assertEqual((status(connect(ours)), status(connect(other))), (200, None))
            shutil.copy(its_key, key)
            serving.reload()
            serving.wait_for("was read again: connections that begin have it")
            self.assertEqual((status(connect(ours)), status(connect(other))), (None, 200))
            # Whoever was there has noticed nothing.
            self.assertEqual(status(open_one), 200)
            # Nobody says so this time.
            for kept, place in zip(ours.sign("third", "serverAuth"), (certificate, key)):
                shutil.copy(kept, place)
            eventually(lambda: serving.output.read_text().count("connections that begin have it") == 2)
            self.assertEqual((status(connect(ours)), status(connect(other))), (200, None))


class BehindTests(Case):
    def behind(self) -> tuple[World, Server, Authority]:
        """A world whose tool is a server of a private authority."""
        folder = self.world()
        authority = Authority(folder, "private")
        server = Server(*authority.sign("server", "serverAuth"))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        tool = FLEET[TOOL].replace("{mcp: {command: [server.py, server.log]}}", f"{{mcp: {{url: '{server.url}'}}}}")
        world = self.world(fleet={**FLEET, TOOL: tool})
        line = {"url": server.url, "references": ["vault:payments"], "headers": {"Authorization": "Bearer {credentials}"}}
        world.configure(upstreams={"payments": line})
        return world, server, authority

    def test_a_server_whose_authority_this_machine_does_not_know_gets_no_request_and_no_secret(self) -> None:
        world, server, _ = self.behind()
        with Client(world) as client:
            self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
        self.assertEqual(server.tokens, [])

    def test_a_server_of_a_private_authority_is_believed_where_this_machine_knows_it(self) -> None:
        world, server, authority = self.behind()
        mount = ["unshare", "--mount", "sh", "-c", f'mount --bind {authority.certificate} {SYSTEM} && exec "$0" "$@"']
        if os.getuid() != 0 or not Path(SYSTEM).exists() or subprocess.run([*mount, "true"], capture_output=True).returncode:
            self.skipTest("only root shows a program other authorities")
        with Client(world, under=mount) as client:
            answer = client.call("payments__lookup", {})
            self.assertIsNone(reason(answer), "".join(client.errors))
        self.assertEqual(set(server.tokens), {"Bearer s3cr3t-of-the-vault"})


if __name__ == "__main__":
    unittest.main()
