"""What clients see: both eras of the protocol, by standard input and output and by HTTP, and every kind of refusal.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import unittest
from pathlib import Path
from typing import Any

from clients import Client, Serving, reason, words
from world import AGENT, DEPLOYMENT, FLEET, GATEWAY, TOOL, Case, World, eventually

MANIFEST = "fleet/agents/support/triage/1.0.0/agent.yaml"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
LOOKUP = {"name": "payments__lookup", "arguments": {}}


def request(method: str, id: int | str = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


class EraTests(Case):
    def test_both_eras_are_spoken_over_standard_input_and_output(self) -> None:
        world = self.world()
        for asked, agreed in (("2025-03-26",) * 2, ("2025-06-18",) * 2, ("2025-11-25",) * 2, ("1999-01-01", "2025-11-25")):
            with Client(world, version=asked) as client:
                self.assertEqual(client.initialised["result"]["protocolVersion"], agreed)
                self.assertEqual(client.initialised["result"]["capabilities"], {"tools": {"listChanged": True}})
                self.assertEqual(client.ask("ping", {})["result"], {})
                self.assertIsNone(reason(client.call("payments__lookup", {})))
        with Client(world) as client:
            found = client.ask("server/discover", {"_meta": META})["result"]
            self.assertIn("2026-07-28", found["supportedVersions"])
            listed = client.ask("tools/list", {"_meta": META})["result"]
            self.assertEqual((listed["resultType"], listed["ttlMs"], listed["cacheScope"]), ("complete", 0, "private"))
            called = client.ask("tools/call", {**LOOKUP, "_meta": META})["result"]
            self.assertEqual((called["resultType"], words(called)), ("complete", "done"))

    def test_both_eras_are_spoken_by_http_in_plain_answers_without_sessions(self) -> None:
        world = self.world()
        web = world.listens()
        new = {"MCP-Protocol-Version": "2026-07-28"}
        old = {"MCP-Protocol-Version": "2025-06-18"}
        with Serving(world):
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            usual = {"Content-Type": "application/json", "Authorization": f"Bearer {web.token}"}
            status, body, headers = web.request("POST", json.dumps(request("initialize", **hello)), usual)
            self.assertEqual((status, body["result"]["protocolVersion"]), (200, "2025-06-18"))
            self.assertIsNone(headers["Mcp-Session-Id"])
            self.assertEqual(headers["Content-Type"], "application/json")
            self.assertEqual(web.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, old), (202, None))
            self.assertEqual(len(web.post(request("tools/list"), old)[1]["result"]["tools"]), 2)
            self.assertEqual(words(web.post(request("tools/call", "a text", **LOOKUP), old)[1]["result"]), "done")
            for method in ("GET", "DELETE", "PUT"):
                self.assertEqual(web.request(method, "", usual)[0], 405)
            # What the head says must be what the message says.
            call = {**new, "Mcp-Method": "tools/call", "Mcp-Name": "payments__lookup"}
            self.assertEqual(words(web.post(request("tools/call", **LOOKUP, _meta=META), call)[1]["result"]), "done")
            for wrong in ({"Mcp-Name": "payments__refund"}, {"Mcp-Method": "tools/list"}, old):
                status, body = web.post(request("tools/call", **LOOKUP, _meta=META), {**call, **wrong})
                self.assertEqual((status, body["error"]["code"]), (400, -32020), wrong)
            # Who asks is checked before anything else, and so is for whom the request is.
            for wrong in ({"Origin": "https://evil.example.com"}, {"Host": "evil.example.com"}):
                self.assertEqual(web.post("nonsense", {"Authorization": "", **wrong})[0], 403, wrong)
            self.assertEqual(web.post(request("ping"), {**old, "Authorization": ""})[0], 401)
        self.assertEqual(len(world.calls()), 2)

    def test_nothing_but_tools_is_offered(self) -> None:
        world = self.world()
        with Client(world) as client:
            for method in (
                "resources/list", "resources/read", "prompts/list", "prompts/get", "completion/complete", "logging/setLevel",
                "sampling/createMessage", "roots/list", "tasks/list", "elicitation/create", "subscriptions/listen", "nonsense",
            ):
                self.assertEqual(client.ask(method, {})["error"]["code"], -32601, method)
            self.assertIn("error", client.ask("tools/list", {"cursor": "2"}), "the list has one page")

    def test_what_a_message_may_not_have_is_refused_and_an_operation_without_input_takes_no_arguments(self) -> None:
        world = self.world()
        with Client(world) as client:
            client.send({**request("tools/call", 71, **LOOKUP), "extra": 1})
            self.assertEqual(client.read()["error"]["code"], -32600)
            self.assertEqual(client.ask("tools/call", {**LOOKUP, "force": True})["error"]["code"], -32602)
            self.assertEqual(client.ask("ping", {"x": 1})["error"]["code"], -32602)
            for arguments in (7, [1], "{}"):
                result = client.ask("tools/call", {"name": "payments__lookup", "arguments": arguments})["result"]
                self.assertEqual(reason(result), "arguments")
                self.assertEqual(world.decisions()[-1]["seq"], result["_meta"]["dev.ensign/decision"])
            self.assertEqual(reason(client.call("payments__lookup", {"id": 1})), "arguments")
            for id in (None, 1.5, True, [1], {}, 2**53 + 1):
                client.send({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": LOOKUP})
                self.assertIn("error", client.read(), id)
            process = client.process
            process.stdin.buffer.write(b'{"jsonrpc":"2.0","id":72,"method":"tools/call","params":{"name":"\xff\xfe"}}\n')  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            self.assertEqual(client.read()["error"]["code"], -32700)
        self.assertEqual(world.calls(), [])


class SessionTests(Case):
    def test_progress_comes_before_the_answer_with_the_clients_own_token(self) -> None:
        world = self.world("progress")
        with Client(world) as client:
            client.send(request("tools/call", 9, **LOOKUP, _meta={"progressToken": "mine"}))
            told = [client.read() for _ in range(4)]
            self.assertEqual([message["params"]["progressToken"] for message in told[:3]], ["mine"] * 3)
            self.assertEqual([message["params"]["progress"] for message in told[:3]], [0, 1, 2])
            self.assertEqual(told[3]["id"], 9)
            self.assertEqual(words(client.call("payments__lookup", {})), "done", "nobody asked to be told")

    def test_a_read_that_is_cancelled_is_over_at_once_for_the_server_too(self) -> None:
        world = self.world("hang")
        with Client(world) as client:
            client.send(request("tools/call", 9, **LOOKUP))
            eventually(world.calls)
            client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}})
            eventually(lambda: "notifications/cancelled" in world.told())
            self.assertEqual(client.ask("ping", {})["result"], {})

    def test_an_open_session_is_told_that_its_tools_have_changed(self) -> None:
        world = self.world()
        with Client(world) as client:
            self.assertEqual(len(client.tools()), 2)
            world.ensign("halt", AGENT, "--env", "prod", "--reason", "test")
            self.assertEqual(client.read()["method"], "notifications/tools/list_changed")
            self.assertEqual(client.tools(), [])

    def test_an_open_session_is_told_when_the_operator_has_switched_a_tool_off(self) -> None:
        world = self.world()
        world.listens_on_socket()
        upstreams = world.spec["upstreams"]
        with Serving(world) as serving, Client(world) as client:
            for lines, count in ((upstreams, 2), ({}, 0), (upstreams, 2)):
                if lines != world.spec["upstreams"]:
                    world.configure(upstreams=lines)
                    serving.reload()
                    self.assertEqual(client.read()["method"], "notifications/tools/list_changed")
                self.assertEqual(len(client.tools()), count)

    def test_a_live_directory_and_the_operators_file_are_all_that_it_needs(self) -> None:
        world = self.world()
        live = world.folder / "live"
        shutil.copytree(world.live, live)
        shutil.rmtree(world.repository)
        world.configure(live=str(live))
        world.environment["PATH"] = "/nowhere"
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        linked = subprocess.run(["ldd", GATEWAY], capture_output=True, text=True).stdout
        self.assertNotIn("libgit2", linked)

    def test_what_the_operators_file_says_wrongly_is_named_with_its_place_all_at_once(self) -> None:
        world = self.world()
        world.config.write_text(
            "apiVersion: ensign.dev/v1\nkind: Gateway\nspec:\n  live: relative/path\n  keys: /k\n  state: /s\n  stat: /s\n"
            "  upstreams:\n    crm: {url: 'http://crm.example.com/mcp'}\n    crm: {url: 'https://crm.example.com/mcp'}\n"
        )
        result = subprocess.run([GATEWAY, "check", "--config", str(world.config)], capture_output=True, text=True)
        self.assertEqual(result.returncode, 3)
        for place in ("gateway.yaml:4:", "gateway.yaml:7:3", "gateway.yaml:10:5"):
            self.assertIn(place, result.stderr)

    def test_an_empty_file_of_keys_is_said_once_and_nothing_is_made_up_beside_it(self) -> None:
        world = self.world()
        world.listens()
        keys = world.folder / "prod.keys"
        keys.write_text("")
        keys.chmod(0o600)
        said = world.failing("serve", wanted=3)
        self.assertEqual(said.count("no line allows a key"), 1, said)
        checked = world.gateway("check", wanted=3)
        self.assertNotIn("unknown environment", checked)
        self.assertIn(f"off {keys}: no line allows a key", checked)

    def test_serve_says_what_it_can_claim_and_the_log_keeps_it(self) -> None:
        world = self.world()
        world.listens()
        with Serving(world) as serving:
            serving.wait_for("claim sole-holder")
        world.resolver.chmod(0o755)
        with Serving(world) as serving:
            serving.wait_for("claim local")
        with Client(world) as client:
            client.call("payments__lookup", {})
        notes = [line["note"].split(":")[0] for line in world.decisions() if line["kind"] == "start"]
        self.assertEqual(notes, ["sole-holder", "local", "local"])


class RefusalTests(Case):
    def refused(self, answer: dict[str, Any], why: str, *said: str) -> None:
        self.assertEqual((answer["isError"], reason(answer)), (True, why), words(answer))
        self.assertEqual(len(answer["content"]), 1)
        for part in said:
            self.assertIn(part, words(answer))

    def granted(self, more: str, **named: Any) -> World:
        """A world whose grant of refunds says more."""
        return self.world(fleet={**FLEET, DEPLOYMENT: FLEET[DEPLOYMENT].replace("approval: APPROVAL", more)}, **named)

    def test_each_refusal_is_a_result_with_its_reason_and_the_number_of_its_decision(self) -> None:
        world = self.granted("after: {operation: payments.lookup, within: 10m}, rate: 3/h, record: /payment")
        refund = {"payment": "ticket-4711", "amount": 5}
        with Client(world, "--run", "r1") as client:
            answer = client.call("payments__refund", refund)
            self.refused(answer, "precondition", "payments.lookup must have succeeded", "Make that call first")
            self.assertEqual(answer["_meta"]["dev.ensign/decision"], world.decisions()[-1]["seq"])
            client.call("payments__lookup", {})
            self.refused(client.call("payments__refund", {**refund, "amount": 101}), "arguments", "at most 100, got 101")
            self.assertIsNone(reason(client.call("payments__refund", refund)))
            self.refused(client.call("payments__refund", {**refund, "amount": 6}), "budget", "Try again in an hour")
            for _ in range(45):
                client.call("payments__lookup", {})
            self.refused(client.call("payments__lookup", {}), "budget", "50 calls", "end now")
        with Client(world, "--run", "r2") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})), "another run")
        # What was to be kept in clear is, and nothing else.
        intents = [line for line in world.decisions() if line["kind"] == "intent" and line["operation"] == "payments.refund"]
        self.assertEqual([line["record"] for line in intents], [{"/payment": "ticket-4711"}])
        self.assertTrue(all(line["arguments"].startswith("hmac:") for line in intents))

    def test_a_run_ends_with_its_seconds_and_a_permission_with_its_last_day(self) -> None:
        world = self.granted("expires: 2040-01-31")
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 5})))
        world.later(700)
        with Client(world, "--run", "r1") as client:
            self.refused(client.call("payments__lookup", {}), "budget", "600 seconds")
        world.environment["WORLD_AHEAD"] = str(int(2_211_840_000 - time.time()))  # 2040-02-03
        with Client(world, "--run", "r2") as client:
            self.refused(client.call("payments__refund", {"payment": "q", "amount": 5}), "expired", "2040-01-31")
            self.assertIsNone(reason(client.call("payments__lookup", {})))

    def test_a_pin_in_git_stops_another_definition_and_no_operator_overrides_it(self) -> None:
        pin = "sha256:" + "0" * 64
        world = self.world(fleet={**FLEET, TOOL: FLEET[TOOL].replace("timeout: 5s", f"timeout: 5s\n      pin: '{pin}'")})
        for _ in range(2):
            with Client(world) as client:
                self.refused(client.call("payments__refund", {"payment": "p", "amount": 5}), "pinned", "was reviewed")
                self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.gateway("pins", "--accept", "payments", wanted=4)
        offered = json.loads(world.gateway("pins", "-o", "json", wanted=4))
        found = json.dumps(offered)
        self.assertIn(pin, found)
        world.configure(pins="reads")
        with Client(world) as client:
            self.refused(client.call("payments__refund", {"payment": "p", "amount": 5}), "pinned")

    def spends(self, usage: Path) -> None:
        """The run r1 uses 1,500 tokens."""
        now = time.time_ns()
        texts = {"gen_ai.operation.name": "chat", "gen_ai.agent.name": AGENT, "ensign.run": "r1"}
        attributes: list[Any] = [{"key": key, "value": {"stringValue": value}} for key, value in texts.items()]
        attributes += [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1500"}}]
        span = {
            "traceId": "a" * 32, "spanId": "b" * 16, "name": "chat", "kind": 3, "startTimeUnixNano": str(now - 10**9),
            "endTimeUnixNano": str(now), "attributes": attributes,
        }
        (usage / "runtime.jsonl").write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + "\n")

    def test_what_spans_say_was_used_refuses_the_next_call_within_a_second(self) -> None:
        world = self.world(fleet={**FLEET, MANIFEST: FLEET[MANIFEST].replace("steps: 50", "steps: 50, tokens: 1000")})
        usage = world.folder / "usage"
        usage.mkdir()
        world.configure(usage=str(usage))
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            self.spends(usage)
            eventually(lambda: reason(client.call("payments__lookup", {})) == "budget", 3)
        with Client(world, "--run", "r2") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))

    def test_what_was_used_is_known_when_the_file_is_read_again_and_the_spans_are_gone_by_then(self) -> None:
        world = self.world(fleet={**FLEET, MANIFEST: FLEET[MANIFEST].replace("steps: 50", "steps: 50, tokens: 1000")})
        usage, other = world.folder / "usage", world.folder / "other"
        usage.mkdir()
        other.mkdir()
        web = world.listens(usage=str(usage))
        self.spends(usage)
        with Serving(world) as serving:
            self.assertEqual(reason(web.call("payments__lookup", {}, Ensign_Run="r1")), "budget")
            (usage / "runtime.jsonl").unlink()
            for _ in range(2):
                serving.reload()
                self.assertEqual(reason(web.call("payments__lookup", {}, Ensign_Run="r1")), "budget")
            world.config.write_text(world.config.read_text().replace(str(usage), str(other)))
            serving.reload()
            self.assertIsNone(reason(web.call("payments__lookup", {}, Ensign_Run="r1")))


if __name__ == "__main__":
    unittest.main()
