"""A thousand sessions, and what is left of them: nothing.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clients import Client, Serving, reason
from world import AGENT, FLEET, GATEWAY, Case, World, eventually, is_running

CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "payments__lookup", "arguments": {}}}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
SESSION = "".join(
    json.dumps(message) + "\n"
    for message in (
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        CALL,
    )
)


class SessionTests(Case):
    def relay(self, world: World, number: int) -> None:
        """A client by a process, which is gone with its last word."""
        words = [GATEWAY, "stdio", "--config", str(world.config), "--agent", AGENT, "--run", f"r{number % 50}"]
        done = subprocess.run(words, input=SESSION, capture_output=True, text=True, timeout=60, env=world.environment)
        self.assertIn('"text":"done"', done.stdout, done.stderr)

    def rude(self, path: str, number: int) -> None:
        """One that leaves the socket in the middle."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall((json.dumps({"ensign": "hello", "agent": AGENT, "run": f"r{number % 50}"}) + "\n" + SESSION).encode())
            if number % 2:
                client.recv(100)

    def held(self, process: int) -> tuple[int, int]:
        """Descriptors and threads of a process."""
        return len(os.listdir(f"/proc/{process}/fd")), len(os.listdir(f"/proc/{process}/task"))

    def children(self, process: int) -> list[int]:
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == process:
                found.append(int(folder.name))
        return found

    def files(self, world: World) -> set[str]:
        """What lies in the state, but for who writes: one that has ended is forgotten when the next one begins."""
        writers = list((world.state / "log/writers").iterdir())
        self.assertLessEqual(len(writers), 1)
        return {str(path.relative_to(world.state)) for path in world.state.rglob("*") if path not in writers}

    def test_a_thousand_sessions_leave_no_process_no_descriptor_and_no_file(self) -> None:
        agent = "fleet/agents/support/triage/1.0.0/agent.yaml"
        world = self.world(fleet={**FLEET, agent: FLEET[agent].replace("steps: 50, ", "")})
        web = world.listens(listen={"socket": str(world.folder / "gateway.sock")})
        path = str(world.folder / "gateway.sock")
        world.configure(agents=[*world.spec["agents"], {"agent": AGENT, "uid": os.getuid()}])

        def by_http(number: int) -> None:
            self.assertIsNone(reason(web.call("payments__lookup", {}, Ensign_Run=f"r{number % 50}")))

        def several(count: int, at_once: int) -> None:
            with ThreadPoolExecutor(at_once) as pool:
                for kind in (lambda number: self.relay(world, number), by_http, lambda number: self.rude(path, number)):
                    list(pool.map(kind, range(count)))

        with Serving(world) as serving:
            process = serving.process.pid
            several(50, 10)
            eventually(lambda: self.held(process)[0] < 40)
            before = (self.children(process), self.files(world))
            for number in range(60):
                self.relay(world, number)
            several(300, 30)
            eventually(lambda: self.held(process)[0] < 40)
            # Threads are kept for the next calls, and are no more than the most calls at a time.
            self.assertLess(self.held(process)[1], 600)
            self.assertEqual(self.children(process), before[0])
            self.assertEqual(self.files(world), before[1])
            servers = world.starts()
            self.assertEqual(len(servers), 1, "one server for all of them")
        self.assertFalse(any(is_running(server) for server in servers + before[0]))
        world.gateway("verify")

    def test_processes_that_work_alone_leave_none_of_their_servers_and_no_file_however_they_end(self) -> None:
        world = self.world()
        self.relay(world, 0)
        before = self.files(world)
        for number in range(12):
            client = Client(world, "--run", "r0")
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            if number % 3 == 0:
                client.process.kill()
            elif number % 3 == 1:
                client.process.terminate()
            client.end()
        eventually(lambda: not any(is_running(server) for server in world.starts()))
        self.relay(world, 0)
        self.assertEqual(self.files(world), before)
        world.gateway("verify")

    def test_runs_of_which_nothing_was_heard_for_a_day_are_forgotten(self) -> None:
        world = self.world()
        web = world.listens()

        def runs() -> int:
            return len(list((world.state / "runs" / AGENT).glob("run-*")))

        with Serving(world):
            for number in range(20):
                self.assertIsNone(reason(web.call("payments__lookup", {}, Ensign_Run=f"r{number}")))
        self.assertEqual(runs(), 20)
        with Serving(world):
            self.assertEqual(runs(), 20)
        world.later(2 * 86_400)
        with Serving(world):
            eventually(lambda: runs() == 0)


if __name__ == "__main__":
    unittest.main()
