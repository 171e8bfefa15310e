"""The operator's servers: how they are started, what they get, and what becomes of calls when they misbehave.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

from clients import Client, Serving, reason, words
from web import Web
from world import AGENT, DEPLOYMENT, FLEET, GATEWAY, TOOL, Case, World, eventually

REFUND = {"payment": "p", "amount": 5}


class ServerCase(Case):
    def with_server(self, world: World, **members: Any) -> World:
        """The operator's line of the server, changed."""
        line = {**world.spec["upstreams"]["payments"], **members}
        world.configure(upstreams={**world.spec["upstreams"], "payments": line})
        return world


class MisbehavingTests(ServerCase):
    def test_a_server_that_babbles_asks_garbles_floods_dies_or_says_too_much_costs_no_other_call(self) -> None:
        world = self.world(fleet={**FLEET, TOOL: FLEET[TOOL].replace("timeout: 5s", "timeout: 30s")})
        web = world.listens()
        with Serving(world):
            for how, wanted in {
                "": None, "babble": None, "ask": None, "garble": "unknown-outcome", "big:5": "unknown-outcome",
                "big:17": "unknown-outcome", "flood": "unknown-outcome", "die": "unknown-outcome",
            }.items():
                world.behave(how)
                answer = web.call("payments__refund", {"payment": how, "amount": 5}, Ensign_Run=how or "fine")
                self.assertEqual(reason(answer), wanted, (how, words(answer)[:200]))
                world.behave("")
                self.assertEqual(words(self.answer(web, how)), "done", how)
        self.assertIn('"code":-32601', world.told().replace(" ", ""), "what it asked was refused")
        made = [call["arguments"]["payment"] for call in world.calls() if call["name"] == "refund"]
        self.assertEqual(len(made), len(set(made)), "nothing was sent twice")

    def answer(self, web: Web, how: str) -> Any:
        """What the next call gets, once the server was given its rest."""
        numbers = iter(range(1_000_000))

        def answer() -> Any:
            number = next(numbers)
            result = web.call("payments__refund", {"payment": f"{how} {number}", "amount": 5}, Ensign_Run=f"{how}-{number}")
            return None if reason(result) == "unavailable" else result

        return eventually(answer)

    def test_a_server_that_hangs_holds_up_its_own_calls_for_their_timeout_and_nobody_elses(self) -> None:
        world = self.world(fleet={**FLEET, TOOL: FLEET[TOOL].replace("timeout: 5s", "timeout: 1s")})
        web = world.listens()
        with Serving(world):
            world.behave("hang")
            started = time.monotonic()
            self.assertEqual(reason(web.call("payments__refund", REFUND, Ensign_Run="r1")), "unknown-outcome")
            self.assertLess(time.monotonic() - started, 5)
            world.behave("")
            self.assertIsNone(reason(web.call("payments__refund", {**REFUND, "payment": "q"}, Ensign_Run="r1")))
        outcomes = [line["outcome"] for line in world.decisions() if line["kind"] == "outcome"]
        self.assertEqual(outcomes, ["timeout", "ok"])
        self.assertIn("notifications/cancelled", world.told())

    def test_a_late_answer_reaches_no_other_call(self) -> None:
        world = self.world(fleet={**FLEET, TOOL: FLEET[TOOL].replace("timeout: 5s", "timeout: 500ms")})
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.behave("slow:0.8")
            self.assertEqual(reason(client.call("payments__refund", REFUND)), "unknown-outcome")
            world.behave("who")
            for number in range(20):
                answer = client.call("payments__refund", {"payment": f"q{number}", "amount": 5})
                self.assertEqual(words(answer), f"q{number}")

    def test_a_server_that_cannot_be_reached_five_times_is_left_alone_for_a_while_and_the_list_goes_on(self) -> None:
        address = "http://127.0.0.1:1/mcp"
        tool = FLEET[TOOL].replace("{mcp: {command: [server.py, server.log]}}", f"{{mcp: {{url: '{address}'}}}}")
        world = self.world(fleet={**FLEET, TOOL: tool})
        world.configure(upstreams={"payments": {"url": address}})
        with Client(world, "--run", "r1") as client:
            answers = [client.call("payments__refund", {"payment": f"p{number}", "amount": 5}) for number in range(7)]
            self.assertEqual([reason(answer) for answer in answers], ["unavailable"] * 7)
            self.assertEqual(["half a minute" in words(answer) for answer in answers], [False] * 5 + [True] * 2)
            self.assertEqual(len(client.tools()), 2)

    def test_a_server_that_crashes_and_is_given_a_rest_is_asked_again_as_soon_as_that_is_over(self) -> None:
        world = self.world("die")
        web = world.listens()
        with Serving(world):
            for number in range(4):
                self.assertEqual(reason(web.call("payments__refund", {**REFUND, "payment": f"p{number}"})), "unknown-outcome")
                if number == 1:
                    # A short rest is waited for.
                    world.behave("")
                    self.assertIsNone(reason(web.call("payments__lookup", {})))
                    world.behave("die")
            world.behave("")
            # Whoever asks meanwhile is told so, and learns nothing of the server that would count against it.
            waited = [web.call("payments__lookup", {}, Ensign_Run=f"r{number}") for number in range(8)]
            self.assertEqual({reason(answer) for answer in waited}, {"unavailable"})
            self.assertIn("payments.lookup has ended and is being started again", words(waited[0]))
            # In a run of its own each time: those that are refused count as steps.
            eventually(lambda: reason(web.call("payments__lookup", {}, Ensign_Run=f"s{time.monotonic()}")) is None, 20)

    def test_one_server_that_is_down_takes_nothing_from_the_others(self) -> None:
        crm = FLEET[TOOL].replace("[server.py, server.log]", "[crm.py]").replace("vault:payments", "vault:crm")
        agent = "fleet/agents/support/triage/1.0.0/agent.yaml"
        need = "      - {tool: payments, version: 1.0.0, operations: [lookup, refund]}\n"
        world = self.world(fleet={
            **FLEET, TOOL.replace("payments", "crm"): crm,
            agent: FLEET[agent].replace(need, need + need.replace("payments", "crm")),
            DEPLOYMENT: FLEET[DEPLOYMENT] + "    - {tool: crm, operations: [lookup]}\n",
        })
        script = world.folder / "crm.py"
        script.write_text("#!/bin/sh\nexit 1\n")
        script.chmod(0o755)
        world.configure(upstreams={**world.spec["upstreams"], "crm": {"command": [str(script)]}})
        with Client(world) as client:
            self.assertEqual(len(client.tools()), 3)
            self.assertEqual(reason(client.call("crm__lookup", {})), "unavailable")
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        self.assertIn("crm", world.gateway("check", wanted=4))

    def test_check_says_the_last_words_of_a_server_that_ends_at_its_start_without_its_secrets(self) -> None:
        world = self.world()
        (world.folder / "server.py").write_text(
            "#!/bin/sh\necho first >&2\n"
            'printf "no such database, with $TOKEN \\033[31m%0300d\\n\\n" 7 >&2\nexit 3\n'
        )
        text = world.gateway("check", wanted=4)
        (line,) = [line for line in text.splitlines() if "it said:" in line]
        self.assertIn("it said: no such database, with [credentials]", line)
        self.assertNotIn("first", line)
        self.assertNotIn("\033", text)
        self.assertLess(len(line), 400)

    def test_an_error_of_a_server_is_passed_on_as_one_and_counts_as_no_failure_of_it(self) -> None:
        world = self.world("error")
        with Client(world) as client:
            for _ in range(7):
                answer = client.call("payments__lookup", {})
                self.assertEqual((answer["isError"], reason(answer), words(answer)), (True, None, "no such payment"))
        outcomes = [line["outcome"] for line in world.decisions() if line["kind"] == "outcome"]
        self.assertEqual(outcomes, ["tool-error"] * 7)

    def test_a_server_that_says_in_the_middle_that_its_list_has_changed_is_looked_at_again_before_the_next_call(self) -> None:
        world = self.world("change")
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__refund", REFUND)))
            self.assertEqual(reason(client.call("payments__refund", {**REFUND, "payment": "q"})), "pinned")
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        self.assertEqual(len(world.calls()), 2)

    def test_a_result_that_is_not_of_the_reviewed_schema_is_withheld_and_with_warn_passed_on(self) -> None:
        agent = "fleet/agents/support/triage/1.0.0/agent.yaml"
        output = "{type: object, required: [euros], properties: {euros: {type: number}}}"
        balance = f"    balance: {{access: read, risk: low, description: What is left., output: {output}}}\n"
        world = self.world(fleet={
            **FLEET, TOOL: FLEET[TOOL] + balance,
            agent: FLEET[agent].replace("[lookup, refund]", "[balance, lookup, refund]"),
            DEPLOYMENT: FLEET[DEPLOYMENT].replace("[lookup]", "[balance, lookup]"),
        })
        with Client(world) as client:
            shown = {tool["name"]: "outputSchema" in tool for tool in client.tools()}
            self.assertEqual(shown, {"payments__balance": True, "payments__lookup": False, "payments__refund": False})
            self.assertEqual(client.call("payments__balance", {})["structuredContent"], {"euros": 5})
            world.behave("odd")
            withheld = client.call("payments__balance", {})
            self.assertTrue(withheld["isError"] and "many" not in json.dumps(withheld), withheld)
            world.configure(output="warn")
        with Client(world) as client:
            self.assertEqual(client.call("payments__balance", {})["structuredContent"], {"euros": "many"})


class Mirroring(BaseHTTPRequestHandler):
    """A server of the stateless era that wants an argument in a header, too."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        region = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
        number = {"type": "object", "properties": {"amount": {"type": "number", "x-mcp-header": "Amount"}}}
        result: dict[str, Any] = {
            "server/discover": {"supportedVersions": ["2026-07-28"]},
            "tools/list": {
                "tools": [{"name": "lookup", "inputSchema": region}, {"name": "refund", "inputSchema": number}]
            },
            "tools/call": {"content": [{"type": "text", "text": self.headers["Mcp-Param-Region"] or "none"}]},
        }[message["method"]]
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class MirroredTests(ServerCase):
    def test_a_server_gets_arguments_in_the_headers_it_asks_for_and_a_client_says_those_that_were_reviewed(self) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Mirroring)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        address = f"http://127.0.0.1:{server.server_address[1]}/mcp"
        own = "{type: object, properties: {region: {type: string, x-mcp-header: Place}}}"
        tool = FLEET[TOOL].replace("{mcp: {command: [server.py, server.log]}}", f"{{mcp: {{url: '{address}'}}}}")
        tool = tool.replace("      idempotent: true\n", f"      idempotent: true\n      input: {own}\n")
        world = self.world(fleet={**FLEET, TOOL: tool})
        world.configure(upstreams={"payments": {"url": address, "references": ["vault:payments"]}})
        self.assertIn("'amount' has an 'x-mcp-header'", world.gateway("check", wanted=4))
        meta = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
        call = {
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {
                "name": "payments__lookup", "arguments": {"region": "Malmö"},
                "_meta": {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()},
            },
        }
        head = {
            "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "payments__lookup",
        }
        web = world.listens()
        with Serving(world):
            for place in ("", "Lund", "=?base64?THVuZA==?="):
                wrong = {**head, "Mcp-Param-Place": place} if place else head
                status, body = web.post(call, {**wrong, "Mcp-Param-Region": "Lund"})
                self.assertEqual((status, body["error"]["code"]), (400, -32020), place)
            status, body = web.post(call, {**head, "Mcp-Param-Place": "=?base64?TWFsbcO2?=", "Mcp-Param-Region": "Lund"})
            self.assertEqual(words(body["result"]), "=?base64?TWFsbcO2?=")
            # Whoever agrees on a version first knows no such headers.
            self.assertEqual(words(web.call("payments__lookup", {"region": "Lund"})), "Lund")
            self.assertEqual(words(web.call("payments__lookup", {})), "none")
            self.assertEqual(reason(web.call("payments__refund", REFUND)), "unavailable")


class WaitingTests(ServerCase):
    """What a call waits for after it was decided: another server or another word of git may be there when it is over."""

    def bounce(self, world: World, seconds: str) -> None:
        """Ends the server, which is another one after its next list."""
        (world.folder / "server.log.bounce").write_text(seconds)
        (server,) = world.starts()
        os.kill(server, signal.SIGKILL)
        # Until the gateway has seen it.
        time.sleep(0.5)

    def halted(self, world: World, wait: Callable[[Web], Any]) -> list[Any]:
        """A lookup that waits for something, and a halt meanwhile."""
        web, answers = world.listens(), []
        with Serving(world):
            self.assertIsNone(reason(web.call("payments__lookup", {}, Ensign_Run="r0")))
            go_on = wait(web)
            thread = threading.Thread(target=lambda: answers.append(web.call("payments__lookup", {"x": 1}, Ensign_Run="r1")))
            thread.start()
            time.sleep(0.5)
            world.ensign("halt", AGENT, "--env", "prod", "--reason", "look")
            go_on()
            thread.join()
            self.assertEqual(reason(answers[0]), "halted", answers)
        return world.calls()

    def test_a_call_that_waits_for_its_turn_is_not_made_after_a_halt(self) -> None:
        world = self.world(fleet={**FLEET, TOOL: FLEET[TOOL].replace("idempotent: true", "idempotent: true\n      input: {}")})

        def stall(web: Web) -> Callable[[], Any]:
            (server,) = world.starts()
            os.kill(server, signal.SIGSTOP)
            # Longer than what fits into a pipe.
            words = threading.Thread(target=web.call, args=("payments__lookup", {"x": "y" * 100_000}))
            words.start()
            time.sleep(1.5)
            return lambda: (os.kill(server, signal.SIGCONT), words.join())

        calls = self.halted(world, stall)
        self.assertEqual(["y" in str(each["arguments"]) for each in calls], [False, True])

    def test_a_call_whose_server_starts_again_is_not_made_after_a_halt(self) -> None:
        world = self.world(fleet={**FLEET, TOOL: FLEET[TOOL].replace("idempotent: true", "idempotent: true\n      input: {}")})

        def bounce(_: Web) -> Callable[[], Any]:
            self.bounce(world, "3")
            return lambda: None

        self.assertEqual(len(self.halted(world, bounce)), 1)

    def test_a_server_that_starts_again_between_its_list_and_a_call_gets_no_call_by_another_definition(self) -> None:
        world = self.world()
        web = world.listens()
        with Serving(world):
            self.assertIsNone(reason(web.call("payments__refund", REFUND, Ensign_Run="r0")))
            self.bounce(world, "0")
            answer = web.call("payments__refund", {**REFUND, "amount": 6}, Ensign_Run="r1")
            self.assertEqual(reason(answer), "pinned", answer)
        self.assertEqual(len(world.calls()), 1)


class StartedTests(ServerCase):
    def environment(self, world: World) -> dict[str, str]:
        world.behave("echo")
        with Client(world) as client:
            answer = client.call("payments__lookup", {})
            self.assertIsNone(reason(answer), words(answer))
            return dict(json.loads(words(answer)))

    def test_a_server_gets_the_operators_environment_and_folder_and_nothing_that_a_manifest_or_this_process_has(self) -> None:
        server = "server: {mcp: {command: [server.py, server.log], cwd: /etc, env: {LD_PRELOAD: /tmp/evil.so, MODE: evil}}}"
        world = self.world(fleet={**FLEET, TOOL: FLEET[TOOL].replace("server: {mcp: {command: [server.py, server.log]}}", server)})
        world.environment["OF_THE_GATEWAY"] = "x"
        found = self.environment(world)
        for name in ("LD_PRELOAD", "MODE", "OF_THE_GATEWAY", "HOME", "GIT_AUTHOR_NAME"):
            self.assertNotIn(name, found)
        self.assertEqual(found["folder"], str(world.folder))
        self.assertNotIn("s3cr3t", json.dumps(found))

    def test_a_binding_neither_moves_a_secret_to_another_server_nor_gives_a_server_another_tools_secret(self) -> None:
        binding = "environments/prod/tools/payments.yaml"
        for spec, problem in (
            ("{credentials: {ref: 'vault:crm'}}", "vault:crm"),
            ("{server: {mcp: {url: 'https://evil.example.com/mcp'}}}", "https://evil.example.com/mcp"),
            ("{server: {mcp: {command: [evil.py, server.log]}}}", "evil.py"),
            ("{server: {mcp: {command: [server.py, server.log, --send-to, evil]}}}", "--send-to"),
        ):
            world = self.world(fleet={**FLEET, binding: f"apiVersion: ensign.dev/v1\nkind: Binding\nspec: {spec}\n"})
            asked = world.folder / "asked"
            world.resolver.write_text(f"#!/bin/sh\necho $1 >> {asked}\necho secret\n")
            with Client(world) as client:
                self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
            self.assertIn(problem, world.gateway("check", wanted=4))
            self.assertFalse(asked.exists(), "nobody reads a secret for it")
        self.assertEqual(world.starts(), [])

    def test_a_resolver_that_fails_or_says_nothing_fails_the_call_and_its_words_go_nowhere(self) -> None:
        world = self.world()
        for script in ("echo sealed; exit 3", "exit 0", "echo; echo; exit 0", "kill -9 $$"):
            world.resolver.write_text(f"#!/bin/sh\n{script}\n")
            with Client(world) as client:
                answer = client.call("payments__lookup", {})
                self.assertEqual(reason(answer), "unavailable", script)
                self.assertNotIn("sealed", json.dumps(answer))
                self.assertIn("the credentials of payments.lookup cannot be read here", words(answer))
        self.assertEqual(world.starts(), [])

    def test_a_program_that_is_not_the_one_of_the_digest_is_not_run(self) -> None:
        world = self.world()
        program = world.folder / "server.py"
        self.with_server(world, sha256=hashlib.sha256(program.read_bytes()).hexdigest())
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            program.write_text(program.read_text() + "# evil\n")
            # What runs is what was looked at.
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        with Client(world, "--run", "r1") as client:
            self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
        self.assertEqual(len(world.starts()), 1)

    def test_a_server_runs_as_its_account_and_may_not_look_into_the_state(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root starts programs of another account")
        world = self.world()
        world.folder.chmod(0o777)
        self.with_system_python(world)
        self.with_server(world, user="nobody")
        self.assertEqual(self.environment(world)["uid"], 65534)
        world.behave(f"read:{world.state}")
        with Client(world) as client:
            self.assertIn("Permission denied", words(client.call("payments__lookup", {})))

    def with_system_python(self, world: World) -> None:
        """An interpreter that other accounts and sandboxes see."""
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
        if not python:
            self.skipTest("the system has no python3 that everybody may run")
        script = world.folder / "server.py"
        script.write_text(f"#!{python} -IS\n" + script.read_text().split("\n", 1)[1])

    def test_a_sandbox_shows_a_server_what_its_line_lists_and_neither_the_state_nor_the_network(self) -> None:
        if not shutil.which("bwrap") or subprocess.run(["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"]).returncode:
            self.skipTest("bubblewrap is not installed, or may not be used here")
        world = self.world()
        self.with_system_python(world)
        shown = world.folder / "shown"
        shown.mkdir()
        how = shown / "server.log.now"
        self.with_server(world, directory=str(shown), sandbox={"write": [str(shown)]})
        how.write_text("echo")
        with Client(world) as client:
            answer = client.call("payments__lookup", {})
            self.assertIsNone(reason(answer), "".join(client.errors))
            self.assertEqual(json.loads(words(answer))["folder"], str(shown))
            for place in (world.state, world.live, world.config, world.resolver, "/root", "/home", "/etc/shadow"):
                how.write_text(f"read:{place}")
                self.assertIn("not to be read", words(client.call("payments__lookup", {})), place)
            how.write_text("read:/proc/net/dev")
            devices = [line.split(":")[0].strip() for line in words(client.call("payments__lookup", {})).splitlines()[2:]]
            self.assertEqual(devices, ["lo"])
        # What would show the state is refused as a whole.
        self.with_server(world, sandbox={"read": [str(world.folder)]})
        self.assertIn("would show the gateway's state", self.errors(world))

    def errors(self, world: World) -> str:
        result = subprocess.run(
            [GATEWAY, "check", "--config", str(world.config)], capture_output=True, text=True, env=world.environment
        )
        return result.stderr


class AgeTests(Case):
    def test_where_nothing_was_heard_of_the_host_for_too_long_every_call_is_refused_until_it_is(self) -> None:
        world = self.world(maxAge="5m")
        web = world.listens()
        old = (world.live / "fleet.json").read_bytes()
        with Serving(world):
            self.assertIsNone(reason(web.call("payments__lookup", {})))
        world.later(400)
        with Serving(world) as serving:
            self.assertEqual(reason(web.call("payments__lookup", {})), "unavailable")
            serving.wait_for("nothing was heard of the host")
            world.reconcile()
            self.assertIsNone(reason(web.call("payments__lookup", {})))
            world.replace(DEPLOYMENT, "maximum: 100", "maximum: 60")
            world.commit("Less")
            world.reconcile()
            self.assertIsNone(reason(web.call("payments__lookup", {})))
            # What was heard before does not count again.
            new = (world.live / "fleet.json").read_bytes()
            for bytes_ in (old, new.replace(b'"heard":"20', b'"heard":"30')):
                (world.live / "fleet.json").write_bytes(bytes_)
                self.assertEqual(reason(web.call("payments__lookup", {})), "unavailable")
            (world.live / "fleet.json").write_bytes(new)
            self.assertIsNone(reason(web.call("payments__lookup", {})))


if __name__ == "__main__":
    unittest.main()
