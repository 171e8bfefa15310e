"""Tests of the two programs as a user runs them: a repository, a live directory, an operator's file, a server.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import unittest

from clients import Client, Serving, reason, words
from world import AGENT, FLEET, GATEWAY, TOOL, Case, eventually, is_running


class CallTests(Case):
    def test_what_the_grant_allows_is_done_in_canonical_bytes_and_the_rest_is_refused_in_words(self) -> None:
        world = self.world()
        with Client(world, "--run", "r1") as client:
            tools = client.tools()
            self.assertEqual([tool["name"] for tool in tools], ["payments__lookup", "payments__refund"])
            self.assertNotIn("Ignore all previous", json.dumps(tools))
            done = client.call("payments__refund", {"payment": "p1", "amount": 40})
            self.assertFalse(done.get("isError", False), done)
            refused = client.call("payments__refund", {"payment": "p1", "amount": 4000})
            self.assertEqual(reason(refused), "arguments")
            self.assertIn("must be at most 100, got 4000", words(refused))
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p1", "amount": "40"})), "arguments")
            unknown = client.call("payments__drop-all", {})
            other = client.call("crm__anything", {})
            self.assertEqual((reason(unknown), reason(other)), ("not-granted", "not-granted"))
            self.assertEqual(words(unknown).replace("payments__drop-all", "X"), words(other).replace("crm__anything", "X"))
        self.assertEqual(len(world.calls()), 1)
        line = world.log.read_text()
        self.assertIn('"arguments":{"amount":40,"payment":"p1"}', line)
        self.assertNotIn("crm", line)
        kinds = [(entry["kind"], entry.get("verdict"), entry.get("reason")) for entry in world.decisions()]
        self.assertEqual(kinds[0][0], "start")
        self.assertEqual(kinds[1:3], [("intent", "allowed", None), ("outcome", "allowed", None)])
        self.assertEqual(world.decisions()[3]["at"], "/amount/maximum")
        world.gateway("verify")

    def test_hostile_messages_are_refused_and_the_server_sees_none_of_them(self) -> None:
        world = self.world()
        call = '{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"payments__refund","arguments":%s}}'
        hostile = [
            call % (50, '{"payment":"p","amount":40,"amount":4000}'),
            call % (51, '{"payment":"p","amount":40,"\\u0061mount":4000}'),
            call % (52, '{"payment":"p","amount":NaN}'),
            "[" + call % (53, '{"payment":"p","amount":40}') + "]",
            call % (54, '{"payment":"p","amount":40}') + call % (55, '{"payment":"p","amount":40}'),
            call % (56, '{"payment":' + "[" * 100 + "]" * 100 + ',"amount":40}'),
            call % (57, '{"payment":"' + "x" * (5 << 20) + '","amount":40}'),
        ]
        for line in hostile:
            with Client(world) as client:
                client.raw(line)
                answer = client.read()
                self.assertEqual(answer["error"]["code"], -32600 if line.startswith("[") else -32700, line[:100])
                self.assertIsNone(answer["id"])
        with Client(world) as client:
            big = client.call("payments__refund", {"payment": "p", "amount": 2**60})
            self.assertEqual(reason(big), "arguments")
        self.assertEqual(world.calls(), [])

    def test_a_halt_holds_at_the_next_call_of_an_open_session_and_ends_there_too(self) -> None:
        world = self.world()
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.ensign("halt", AGENT, "--env", "prod", "--reason", "test")
            self.assertEqual(reason(client.call("payments__lookup", {})), "halted")
            self.assertEqual(client.tools(), [])
            world.ensign("resume", AGENT, "--env", "prod", "--reason", "test")
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        self.assertEqual(len(world.calls()), 2)

    def test_a_narrowing_holds_in_an_open_run_and_a_widening_does_not(self) -> None:
        world = self.world()
        path = "environments/prod/agents/support/triage.yaml"
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 90})))
            world.replace(path, "maximum: 100", "maximum: 50")
            world.commit("Less")
            world.reconcile()
            self.assertEqual(reason(client.call("payments__refund", {"payment": "q", "amount": 90})), "arguments")
            world.replace(path, "maximum: 50", "maximum: 200")
            world.commit("More")
            world.reconcile()
            self.assertEqual(reason(client.call("payments__refund", {"payment": "r", "amount": 150})), "arguments")
        with Client(world, "--run", "r2") as client:
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "s", "amount": 150})))

    def test_a_live_directory_that_is_gone_edited_or_older_refuses_everything_and_recovers(self) -> None:
        world = self.world()
        route = world.live / "agents/support/triage.json"
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            old = route.read_bytes()
            world.replace("environments/prod/agents/support/triage.yaml", "maximum: 100", "maximum: 60")
            world.commit("Less")
            world.reconcile()
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            new = route.read_bytes()
            for bytes_ in (old, new.replace(b'"weight":100', b'"weight":99'), b"{}"):
                route.write_bytes(bytes_)
                self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable", bytes_[:80])
            route.write_bytes(new)
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.live.chmod(0o777)
            self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
            world.live.chmod(0o755)
            world.live.rename(world.folder / "away")
            self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
            (world.folder / "away").rename(world.live)
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            if os.getuid() == 0:
                os.chown(world.live, 65534, 65534)
                self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
                os.chown(world.live, 0, 0)
                self.assertIsNone(reason(client.call("payments__lookup", {})))
        for bundle in (world.live / "bundles").rglob("*.json"):
            bundle.write_bytes(bundle.read_bytes().replace(b"100", b"900"))
        with Client(world) as client:
            self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")

    def test_a_definition_that_changed_since_it_was_seen_is_refused_until_an_operator_accepts_it(self) -> None:
        world = self.world()
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 1})))
        drift = world.folder / "server.log.drift"
        drift.write_text("")
        with Client(world) as client:
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 2})), "pinned")
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        self.assertIn("changed", world.gateway("pins", wanted=4))
        world.gateway("check", wanted=4)
        world.gateway("pins", "--accept", "payments")
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 3})))

    def test_an_operator_takes_what_is_listed_and_no_pin_of_an_agent_that_is_halted_or_unreadable_is_forgotten(self) -> None:
        world = self.world()
        call = ("payments__refund", {"payment": "p", "amount": 1})
        with Client(world) as client:
            self.assertIsNone(reason(client.call(*call)))
        world.ensign("halt", AGENT, "--env", "prod", "--reason", "test")
        world.gateway("pins", "--accept", "payments")
        drift = world.folder / "server.log.drift"
        drift.write_text("")
        self.assertIn("payments.refund  changed  first seen", world.gateway("pins", wanted=4))
        world.ensign("resume", AGENT, "--env", "prod", "--reason", "test")
        with Client(world) as client:
            self.assertEqual(reason(client.call(*call)), "pinned")
        route = world.live / f"agents/{AGENT}.json"
        content = route.read_bytes()
        drift.unlink()
        route.write_bytes(b"{}")
        world.gateway("pins", "--accept", "payments")
        route.write_bytes(content)
        drift.write_text("")
        with Client(world) as client:
            self.assertEqual(reason(client.call(*call)), "pinned")
        world.gateway("pins", "--accept", "payments")
        with Client(world) as client:
            self.assertIsNone(reason(client.call(*call)))

    def test_what_check_has_seen_is_pinned_before_anybody_calls_it(self) -> None:
        world = self.world()
        self.assertIn("refund (1 agent): seen for the first time, and pinned so; no pin in git", world.gateway("check"))
        self.assertIn("refund (1 agent): as it was first seen; no pin in git", world.gateway("check"))
        (world.folder / "server.log.drift").write_text("")
        with Client(world) as client:
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 2})), "pinned")

    def test_a_tool_that_its_server_lists_twice_counts_as_changed(self) -> None:
        world = self.world()
        (world.folder / "server.log.twice").write_text("")
        with Client(world) as client:
            self.assertEqual(reason(client.call("payments__lookup", {})), "pinned")
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 1})))
        self.assertIn("the server lists it twice, with different definitions", world.gateway("check", wanted=4))
        found = json.loads(world.gateway("check", "-o", "json", wanted=4))["survey"]["tools"][0]["operations"]
        self.assertEqual({each["operation"]: each["state"] for each in found if each["listedTwice"]}, {"lookup": "changed"})
        self.assertIn("payments.lookup  listed twice, with different definitions", world.gateway("pins", wanted=4))
        self.assertIn("twice: neither definition is taken", world.failing("pins", "--accept", "payments", wanted=4))

    def test_a_tool_that_is_listed_twice_is_said_to_be_so_also_where_git_pins_it(self) -> None:
        world = self.world()
        pin = json.loads(world.gateway("pins", "-o", "json"))["tools"][0]["operations"][0]["offered"]
        world = self.world(fleet={**FLEET, TOOL: FLEET[TOOL].replace("lookup:", f"lookup:\n      pin: '{pin}'", 1)})
        (world.folder / "server.log.twice").write_text("")
        said = world.failing("pins", "--accept", "payments", wanted=4)
        self.assertIn("the server lists payments.lookup twice: neither definition is taken", said)
        self.assertNotIn("only a merged change", said)

    def test_a_secret_stands_in_no_answer_no_log_no_state_and_in_nothing_that_the_gateway_says_or_shows(self) -> None:
        world = self.world("echo")
        with Client(world) as client:
            result = client.call("payments__lookup", {})
            self.assertIsNone(reason(result))
            self.assertIn("TOKEN", words(result))
            self.assertNotIn("s3cr3t", json.dumps(result))
            world.behave("leak")
            client.send({
                "jsonrpc": "2.0", "id": 9, "method": "tools/call",
                "params": {"name": "payments__lookup", "_meta": {"progressToken": 1}},
            })
            told = [client.read(), client.read()]
            self.assertIn("The server refused it: no: ", words(told[1]["result"]))
            self.assertNotIn("s3cr3t", json.dumps(told))
            world.behave("die")
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 5})), "unknown-outcome")
            for name in ("cmdline", "environ"):
                with open(f"/proc/{client.process.pid}/{name}", "rb") as file:
                    self.assertNotIn(b"s3cr3t", file.read())
        self.assertNotIn("s3cr3t", "".join(client.errors))
        for folder, _, files in os.walk(world.state):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(b"s3cr3t", file.read(), name)

    def test_a_server_that_dies_in_a_call_leaves_an_unknown_outcome_and_is_not_asked_again(self) -> None:
        world = self.world("die")
        with Client(world) as client:
            result = client.call("payments__refund", {"payment": "p", "amount": 1})
            self.assertEqual(reason(result), "unknown-outcome")
            self.assertIn("may have happened", words(result))
        self.assertEqual(len(world.calls()), 1)

    def test_a_tool_without_an_upstream_and_one_with_another_server_are_off(self) -> None:
        world = self.world()
        command = world.spec["upstreams"]["payments"]["command"]
        for upstreams in ({}, {"payments": {"command": command + ["other"], "references": ["vault:payments"]}}):
            world.configure(upstreams=upstreams)
            with Client(world) as client:
                self.assertEqual(client.tools(), [])
                self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
            self.assertIn("off", world.gateway("check", wanted=4))
        self.assertEqual(world.calls(), [])


class HostileTests(Case):
    """What somebody tried who wanted to get past it."""

    def test_no_number_and_no_id_ends_the_process(self) -> None:
        world = self.world()
        with Client(world) as client:
            for number in (-(2**63), 2**63 - 1, -(2**53) - 1):
                client.raw('{"jsonrpc":"2.0","id":%d,"method":"ping"}' % number)
                self.assertIn("error", client.read())
            for text in ("-9007199254740993.0", "9007199254740993.0", "1e300"):
                arguments = '{"payment":"p","amount":%s}' % text
                client.raw(
                    '{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"payments__refund","arguments":%s}}'
                    % arguments
                )
                self.assertEqual(reason(client.read()["result"]), "arguments", text)
        self.assertEqual(world.calls(), [])

    def test_a_policy_that_was_there_and_is_gone_refuses_calls_that_need_it(self) -> None:
        world = self.world(approval="manager")
        world.trust("ada@example.com")
        arguments = {"payment": "p", "amount": 5}
        with Client(world) as client:
            self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-pending")
            policy = (world.live / "policy.json").read_bytes()
            (world.live / "policy.json").unlink()
            self.assertEqual(reason(client.call("payments__refund", {**arguments, "amount": 6})), "unavailable")
            (world.live / "policy.json").write_bytes(policy)
            self.assertEqual(reason(client.call("payments__refund", {**arguments, "amount": 7})), "approval-pending")

    def test_keys_that_are_gone_are_not_made_anew_and_an_empty_log_is_not_whole(self) -> None:
        world = self.world()
        with Client(world) as client:
            client.call("payments__lookup", {})
        for name in ("log.key", "gateway.key"):
            away = (world.state / name).rename(world.folder / name)
            result = world.run(
                [GATEWAY, "stdio", "--config", str(world.config), "--agent", AGENT], world.folder, wanted=1
            )
            self.assertEqual(result, "")
            away.rename(world.state / name)
        world.gateway("verify")
        (world.state / "log/heads.jsonl").rename(world.folder / "heads")
        self.assertIn("no signed head", world.gateway("verify", wanted=5))
        (world.state / "log").rename(world.folder / "log")
        self.assertIn("no lines", world.gateway("verify", wanted=5))
        garbage = world.folder / "garbage.jsonl"
        garbage.write_text("{}\nnonsense\n")
        world.run([GATEWAY, "replay", str(garbage), "--live", str(world.live)], wanted=5)
        world.run([GATEWAY, "replay", str(garbage), "--live", "/nope"], wanted=1)

    def test_the_same_answer_again_takes_no_place(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        with Client(world, "--run", "r1") as client:
            client.call("payments__refund", {"payment": "p", "amount": 5})
            (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
            for _ in range(3):
                world.gateway("approvals", "approve", request["id"], "--key", str(ada), "--quiet")
            self.assertEqual(len(list((world.state / "approvals/granted").iterdir())), 1)

    def test_a_name_that_nobody_can_read_is_refused_and_an_agent_that_is_not_live_is_said(self) -> None:
        world = self.world()
        stdio = [GATEWAY, "stdio", "--config", str(world.config), "--agent"]
        for name in ("a\nb", "a b", "é", " ", "", "k" * 300):
            for option in ("--run", "--key"):
                world.run([*stdio, AGENT, option, name], wanted=64)
        self.assertFalse(world.state.exists(), "nothing has begun")
        with Client(world, agent="support/triag") as client:
            self.assertEqual(client.tools(), [])
        self.assertIn("did you mean support/triage?", "".join(client.errors))


class ServeTests(Case):
    def test_a_token_is_asked_for_and_calls_of_http_are_decided_as_all_others(self) -> None:
        world = self.world()
        web = world.listens()
        with Serving(world):
            self.assertEqual(web.post({}, {"Authorization": "Bearer wrong"})[0], 401)
            self.assertEqual(web.post({}, {"Origin": "https://evil.example.com"})[0], 403)
            self.assertIsNone(reason(web.call("payments__refund", {"payment": "p", "amount": 5})))
            self.assertEqual(reason(web.call("payments__refund", {"payment": "p", "amount": 500})), "arguments")
        self.assertEqual(len(world.calls()), 1)
        kinds = [entry["kind"] for entry in world.decisions()]
        self.assertEqual((kinds[0], kinds[-1]), ("start", "stop"))

    def test_not_one_call_starts_after_a_halt_returned(self) -> None:
        world = self.world()
        web = world.listens()
        over = threading.Event()
        reasons: list[tuple[float, str | None]] = []

        def agent(number: int) -> None:
            while not over.is_set():
                started = time.monotonic()
                result = web.call("payments__lookup", {}, Ensign_Run=f"r{number}")
                reasons.append((started, reason(result)))
                time.sleep(0.15)

        with Serving(world):
            threads = [threading.Thread(target=agent, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            eventually(lambda: len(reasons) > 25)
            world.ensign("halt", AGENT, "--env", "prod", "--reason", "test")
            halted = time.monotonic()
            count = len(world.calls())
            eventually(lambda: sum(started > halted for started, _ in list(reasons)) > 25)
            over.set()
            for thread in threads:
                thread.join()
        after = {value for started, value in reasons if started > halted}
        self.assertEqual(after, {"halted"})
        self.assertLessEqual(len(world.calls()) - count, 8)

    def test_the_socket_takes_accounts_and_answers_approvers_and_stdio_never_works_alone_beside_it(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        world.listens_on_socket()
        with Client(world) as client:
            self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
        with Serving(world):
            with Client(world, "--run", "r1") as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
                arguments = {"payment": "p", "amount": 50}
                self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-pending")
                (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
                world.gateway("approvals", "approve", request["id"], "--key", str(ada))
                self.assertIsNone(reason(client.call("payments__refund", arguments)))
        self.assertEqual(len(world.calls()), 2)

    def test_a_file_that_is_read_again_is_held_to_what_did_not_stop_the_start_and_to_the_owner_that_is_believed(self) -> None:
        world = self.world()
        gone = {"command": [str(world.folder / "gone.py")]}
        web = world.listens(upstreams={**world.spec["upstreams"], "crm": gone})
        with Serving(world) as serving:
            serving.reload()
            self.assertIsNone(reason(web.call("payments__lookup", {})))
            before = dict(world.spec)
            world.configure(upstreams={**world.spec["upstreams"], "hr": {"command": ["/gone"]}})
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("it has errors, and the file before still counts")
            world.spec = before
            world.configure()
            # Whoever owns the directory by then is not believed for that.
            if os.getuid() == 0:
                for path in [world.live, *world.live.rglob("*")]:
                    os.chown(path, 65534, -1, follow_symlinks=False)
                serving.reload()
                self.assertEqual(reason(web.call("payments__lookup", {})), "unavailable")

    def test_calls_of_many_earlier_files_end_and_so_do_their_servers(self) -> None:
        world = self.world("slow:6")
        web = world.listens()
        with Serving(world) as serving:
            threads = []
            for number in range(6):
                call = lambda number=number: web.call("payments__lookup", {}, Ensign_Run=f"r{number}")
                threads.append(threading.Thread(target=call))
                threads[-1].start()
                eventually(lambda: len(world.calls()) > number)
                serving.reload()
            self.assertEqual(len(world.starts()), 6)
            for thread in threads:
                thread.join()
            eventually(lambda: not any(is_running(process) for process in world.starts()))
            self.assertNotIn("go on until the end", serving.output.read_text())

    def test_a_file_is_read_again_on_sighup_and_one_that_is_not_valid_changes_nothing(self) -> None:
        world = self.world()
        web = world.listens()
        with Serving(world) as serving:
            self.assertIsNone(reason(web.call("payments__lookup", {})))
            upstreams = world.spec["upstreams"]
            world.configure(upstreams={})
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("the file was read again")
            self.assertEqual(reason(web.call("payments__lookup", {})), "unavailable")
            world.config.write_text("nonsense: [")
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("the file was not taken")
            world.configure(upstreams=upstreams, keys=str(world.folder / "nowhere"))
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("the file before still counts")
            world.config.unlink()
            world.config.mkdir()
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("Is a directory")
            world.config.rmdir()
            world.configure(keys=str(world.folder / "prod.keys"))
            (newest,) = world.state.glob("log/newest")
            newest.rename(f"{newest}.away")
            newest.write_text("nonsense")
            serving.process.send_signal(signal.SIGHUP)
            eventually(lambda: serving.output.read_text().count("the file was not taken") == 4)
            newest.unlink()
            (world.state / "log/newest.away").rename(newest)
            self.assertIsNone(serving.process.poll())
            world.configure(upstreams=upstreams)

    def test_a_call_that_was_under_way_when_the_gateway_was_killed_is_recorded_as_unknown(self) -> None:
        world = self.world("hang")
        web = world.listens()
        serving = Serving(world)
        thread = threading.Thread(
            target=lambda: self.assertRaises(Exception, web.call, "payments__refund", {"payment": "p", "amount": 5})
        )
        thread.start()
        eventually(world.calls)
        serving.process.kill()
        serving.process.wait()
        serving.file.close()
        thread.join()
        with Serving(world):
            pass
        unknown = [entry for entry in world.decisions() if entry.get("outcome") == "unknown"]
        self.assertEqual(len(unknown), 1)
        self.assertIn("ended before an answer", unknown[0]["note"])
        world.gateway("verify")


if __name__ == "__main__":
    unittest.main()
