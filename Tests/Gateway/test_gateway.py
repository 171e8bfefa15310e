"""Tests of the two programs as a user runs them: a repository, a live directory, an operator's file, a server.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import Any

from world import AGENT, ENSIGN, GATEWAY, Client, Developing, Serving, World, reason, words

ROOT = Path(__file__).resolve().parents[2]


class Case(unittest.TestCase):
    def world(self, *arguments: Any, **named: Any) -> World:
        world = World(*arguments, **named)
        self.addCleanup(world.end)
        return world


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
                self.assertEqual(answer["error"]["code"], -32700, line[:100])
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

    def test_a_secret_stands_in_no_result_no_log_and_no_state(self) -> None:
        world = self.world("echo")
        with Client(world) as client:
            result = client.call("payments__lookup", {})
            self.assertIsNone(reason(result))
            self.assertIn("TOKEN", words(result))
            self.assertNotIn("s3cr3t", json.dumps(result))
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
                self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
            self.assertIn("off", world.gateway("check", wanted=4))
        self.assertEqual(world.calls(), [])


class ApprovalTests(Case):
    def request(self, client: Client, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        result = client.call("payments__refund", arguments)
        self.assertEqual(reason(result), "approval-pending", words(result))
        self.assertIn("Nothing was done", words(result))
        listed = json.loads(client.world.gateway("approvals", "list", "-o", "json"))["requests"]
        return listed[-1]["id"], result

    def client(self, world: World, *words: str) -> Client:
        client = Client(world, *words)
        client.world = world  # type: ignore[attr-defined]
        return client

    def sign(self, world: World, id: str, key: Any, namespace: str = "ensign-approval") -> str:
        file = world.folder / f"{id}.json"
        file.write_text(world.gateway("approvals", "show", id))
        self.assertEqual(file.read_bytes(), (world.state / f"approvals/requests/{id}.json").read_bytes())
        signature = world.folder / f"{id}.json.sig"
        signature.unlink(missing_ok=True)
        world.run(["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(file)])
        return str(signature)

    def test_one_signature_is_good_for_one_call_with_those_arguments_in_that_run(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        arguments = {"payment": "p", "amount": 50}
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, arguments)
            world.gateway("approvals", "submit", self.sign(world, id, ada))
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 51})), "approval-pending")
            with self.client(world, "--run", "r2") as other:
                self.assertEqual(reason(other.call("payments__refund", arguments)), "approval-pending")
            self.assertEqual(world.calls(), [])
            self.assertIsNone(reason(client.call("payments__refund", arguments)))
            self.assertEqual(len(world.calls()), 1)
            self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-pending")
        by = [entry["approval"] for entry in world.decisions() if entry["kind"] == "intent"]
        self.assertEqual(by, [{"by": ["ada@example.com"], "id": id}])
        world.gateway("verify")

    def test_what_is_signed_wrongly_does_not_count(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        eve = world.folder / "eve.key"
        world.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(eve)])
        with self.client(world, "--run", "r1") as client:
            arguments = {"payment": "p", "amount": 50}
            id, _ = self.request(client, arguments)
            world.gateway("approvals", "submit", self.sign(world, id, eve), wanted=4)
            world.gateway("approvals", "submit", self.sign(world, id, ada, "file"), wanted=4)
            # What was put there by hand counts no more than what is handed in.
            for number, (key, namespace) in enumerate([(eve, "ensign-approval"), (ada, "git")], 1):
                text = Path(self.sign(world, id, key, namespace)).read_text()
                (world.state / f"approvals/granted/{id}.{number}.sig").write_text(text)
            self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-pending")
            world.gateway("approvals", "submit", self.sign(world, id, ada, "ensign-denial"))
            self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-denied")
        self.assertEqual(world.calls(), [])

    def test_two_people_with_two_keys_are_needed_for_dual(self) -> None:
        world = self.world(approval="dual")
        ada, bo = world.trust("ada@example.com"), world.trust("bo@example.com")
        arguments = {"payment": "p", "amount": 50}
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, arguments)
            world.gateway("approvals", "approve", id, "--key", str(ada))
            world.gateway("approvals", "approve", id, "--key", str(ada))
            self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-pending")
            world.gateway("approvals", "approve", id, "--key", str(bo))
            self.assertIsNone(reason(client.call("payments__refund", arguments)))

    def test_a_signature_of_somebody_who_left_the_team_is_worth_nothing(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        world.trust("bo@example.com")
        arguments = {"payment": "p", "amount": 50}
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, arguments)
            world.gateway("approvals", "approve", id, "--key", str(ada))
            world.replace("fleet/teams/support.yaml", "ada@example.com, ", "")
            world.commit("Ada left")
            world.reconcile()
            self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-pending")
        self.assertEqual(world.calls(), [])

    def test_who_leaves_the_team_while_the_server_starts_has_not_agreed(self) -> None:
        world = self.world("late", approval="manager")
        ada = world.trust("ada@example.com")
        world.trust("bo@example.com")
        arguments = {"payment": "p", "amount": 50}
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, arguments)
            world.gateway("approvals", "approve", id, "--key", str(ada))
            results: list[Any] = []
            call = threading.Thread(target=lambda: results.append(client.call("payments__refund", arguments)))
            call.start()
            time.sleep(0.5)
            world.replace("fleet/teams/support.yaml", "ada@example.com, ", "")
            world.commit("Ada left")
            world.reconcile()
            call.join()
            self.assertEqual(reason(results[0]), "approval-pending")
        self.assertEqual(world.calls(), [])

    def test_the_principal_of_the_asking_agent_never_counts(self) -> None:
        world = self.world(
            approval="manager",
            agents=[{"agent": AGENT, "uid": os.getuid(), "principal": "ada@example.com"}],
        )
        ada = world.trust("ada@example.com")
        world.trust("bo@example.com")
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, {"payment": "p", "amount": 50})
            world.gateway("approvals", "approve", id, "--key", str(ada), wanted=4)

    def test_a_token_of_an_issuer_counts_for_a_person_of_the_team_without_a_key(self) -> None:
        script = str(ROOT / "docs/approvals/ticket.py")
        world = self.world(approval="manager")
        key, keys = world.folder / "tickets.pem", world.folder / "tickets.jwks"
        world.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key)])
        keys.write_text(world.run([sys.executable, script, "keys", str(key)]))
        world.trust("ada@example.com")
        issuer = {"issuer": "https://tickets.example.com", "audience": "ensign", "keys": str(keys)}
        world.configure(approvals={"issuers": [issuer]})
        arguments = {"payment": "p", "amount": 50}
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, arguments)
            file = world.folder / f"{id}.json"
            file.write_text(world.gateway("approvals", "show", id))
            for person, wanted in (("eve@example.com", 4), ("bo@example.com", 0)):
                token = world.run([sys.executable, script, "answer", str(key), str(file), "--person", person])
                (world.folder / f"{id}.jwt").write_text(token)
                world.gateway("approvals", "submit", str(world.folder / f"{id}.jwt"), wanted=wanted)
            self.assertIsNone(reason(client.call("payments__refund", arguments)))
        self.assertEqual(len(world.calls()), 1)

    def test_what_turns_text_around_is_shown_escaped_in_what_is_signed(self) -> None:
        world = self.world(approval="manager")
        world.trust("ada@example.com")
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, {"payment": "p\u202e001", "amount": 50})
            shown = world.gateway("approvals", "show", id)
            self.assertNotIn("\u202e", shown)
            self.assertIn("\\u202e", shown)


class RecordTests(Case):
    def logged(self) -> World:
        world = self.world()
        with Client(world, "--run", "r1") as client:
            for amount in (10, 20, 4000):
                client.call("payments__refund", {"payment": "p", "amount": amount})
        world.gateway("verify")
        return world

    def file(self, world: World) -> Any:
        (file,) = [f for f in (world.state / "log").iterdir() if f.name[:2] == "20"]
        return file

    def test_a_line_that_was_flipped_removed_moved_or_cut_is_named(self) -> None:
        world = self.logged()
        file = self.file(world)
        whole = file.read_text()
        lines = whole.splitlines(keepends=True)
        edits = {
            "flipped": [lines[0], lines[1].replace("refund", "lookup"), *lines[2:]],
            "removed": lines[:2] + lines[3:],
            "moved": [lines[0], lines[2], lines[1], *lines[3:]],
        }
        for name, edited in edits.items():
            file.write_text("".join(edited))
            self.assertIn(file.name, world.gateway("verify", wanted=5), name)
        file.write_text("".join(lines[:2]))
        self.assertIn("it was cut" if len(lines) > 2 else "", world.gateway("verify", wanted=None))
        file.write_text(whole)
        world.gateway("verify")
        # Files by themselves, and two of them: the chain, and the heads with the public key.
        one, two = world.folder / "one.jsonl", world.folder / "two.jsonl"
        one.write_text("".join(lines[:3]))
        two.write_text("".join(lines[3:]))
        heads, key = world.state / "log/heads.jsonl", world.state / "gateway.pub"
        options = ["--heads", str(heads), "--key", str(key)]
        world.run([GATEWAY, "verify", str(one), str(two), *options])
        world.run([GATEWAY, "verify", str(two), str(one), *options], wanted=5)
        world.run([GATEWAY, "replay", str(one), str(two), "--live", str(world.live)])

    def test_a_log_that_was_cut_with_its_heads_is_named_by_a_head_that_was_kept_elsewhere(self) -> None:
        world = self.world()
        keeper, kept = world.folder / "keep", world.folder / "kept.jsonl"
        keeper.write_text(f"#!/bin/sh\ncat >> {kept}\n")
        keeper.chmod(0o755)
        world.configure(anchors=[[str(keeper)]])
        with Client(world) as client:
            client.call("payments__refund", {"payment": "p", "amount": 10})
        world.gateway("verify", "--heads", str(kept))
        file = self.file(world)
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:1]))
        heads = world.state / "log/heads.jsonl"
        heads.write_text(heads.read_text().splitlines(keepends=True)[0])
        world.gateway("verify")
        self.assertIn("it was cut", world.gateway("verify", "--heads", str(kept), wanted=5))
        # Stock tools check a head.
        head = json.loads(kept.read_text().splitlines()[-1])
        signature = world.folder / "head.sig"
        signature.write_text(head.pop("signature"))
        text = json.dumps(head, sort_keys=True, separators=(",", ":")) + "\n"
        (world.folder / "signers").write_text("gateway " + (world.state / "gateway.pub").read_text())
        words_ = ["-Y", "verify", "-f", "signers", "-I", "gateway", "-n", "ensign-log", "-s", str(signature)]
        world.run(["ssh-keygen", *words_], world.folder, text=text)

    def test_with_a_full_disk_what_only_reads_goes_on_and_the_rest_is_refused(self) -> None:
        world = self.world()
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        full = ["prlimit", f"--fsize={self.file(world).stat().st_size}", "--"]
        with Client(world, under=full) as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 10})), "unavailable")
        self.assertEqual([call["name"] for call in world.calls()], ["lookup", "lookup"])
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 10})))
        world.gateway("verify")

    def test_recorded_verdicts_follow_from_their_bundles_and_a_changed_one_does_not(self) -> None:
        world = self.logged()
        arguments = world.folder / "arguments.jsonl"
        arguments.write_text("".join(json.dumps({"payment": "p", "amount": n}) + "\n" for n in (10, 20, 4000)))
        without = json.loads(world.gateway("replay", "-o", "json"))
        self.assertEqual((without["same"], without["undecided"]["arguments"]), (0, 3))
        replayed = json.loads(world.gateway("replay", "--arguments", str(arguments), "-o", "json"))
        self.assertEqual((replayed["same"], replayed["different"]), (3, 0))
        file = self.file(world)
        file.write_text(file.read_text().replace('"reason":"arguments"', '"reason":"not-granted"'))
        self.assertIn("not-granted", world.gateway("replay", "--arguments", str(arguments), wanted=5))


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
        world.run([*stdio, AGENT, "--run", "a\nb"], wanted=64)
        world.run([*stdio, AGENT, "--key", "k" * 300], wanted=64)
        with Client(world, agent="support/triag") as client:
            self.assertEqual(client.tools(), [])
        self.assertIn("did you mean support/triage?", "".join(client.errors))


class ServeTests(Case):
    def port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def serving(self, world: World, **listen: Any) -> int:
        port = self.port()
        token = hashlib.sha256(b"open-sesame").hexdigest()
        world.configure(
            listen={"http": f"127.0.0.1:{port}", **listen}, agents=[{"agent": AGENT, "tokenSHA256": token}]
        )
        return port

    def post(self, port: int, message: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(
            "POST", "/mcp", json.dumps(message),
            {
                "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                "Authorization": "Bearer open-sesame", **(headers or {}),
            },
        )
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, json.loads(body) if body else None

    def call(self, port: int, name: str, arguments: dict[str, Any], **headers: str) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        status, body = self.post(port, message, {"MCP-Protocol-Version": "2025-11-25", **headers})
        self.assertEqual(status, 200, body)
        return body["result"]

    def test_a_token_is_asked_for_and_calls_of_http_are_decided_as_all_others(self) -> None:
        world = self.world()
        port = self.serving(world)
        with Serving(world):
            self.assertEqual(self.post(port, {}, {"Authorization": "Bearer wrong"})[0], 401)
            self.assertEqual(self.post(port, {}, {"Origin": "https://evil.example.com"})[0], 403)
            self.assertIsNone(reason(self.call(port, "payments__refund", {"payment": "p", "amount": 5})))
            self.assertEqual(reason(self.call(port, "payments__refund", {"payment": "p", "amount": 500})), "arguments")
        self.assertEqual(len(world.calls()), 1)
        kinds = [entry["kind"] for entry in world.decisions()]
        self.assertEqual((kinds[0], kinds[-1]), ("start", "stop"))

    def test_not_one_call_starts_after_a_halt_returned(self) -> None:
        world = self.world()
        port = self.serving(world)
        over = threading.Event()
        reasons: list[tuple[float, str | None]] = []

        def agent(number: int) -> None:
            while not over.is_set():
                started = time.monotonic()
                result = self.call(port, "payments__lookup", {}, **{"Ensign-Run": f"r{number}"})
                reasons.append((started, reason(result)))
                time.sleep(0.15)

        with Serving(world):
            threads = [threading.Thread(target=agent, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(1)
            world.ensign("halt", AGENT, "--env", "prod", "--reason", "test")
            halted = time.monotonic()
            count = len(world.calls())
            time.sleep(1)
            over.set()
            for thread in threads:
                thread.join()
        after = {value for started, value in reasons if started > halted}
        self.assertEqual(after, {"halted"})
        self.assertLessEqual(len(world.calls()) - count, 8)

    def test_the_socket_takes_accounts_and_answers_approvers_and_stdio_never_works_alone_beside_it(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        path = str(world.folder / "gateway.sock")
        world.configure(listen={"socket": path}, agents=[{"agent": AGENT, "uid": os.getuid()}])
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

    def test_a_file_is_read_again_on_sighup_and_one_that_is_not_valid_changes_nothing(self) -> None:
        world = self.world()
        port = self.serving(world)
        with Serving(world) as serving:
            self.assertIsNone(reason(self.call(port, "payments__lookup", {})))
            upstreams = world.spec["upstreams"]
            world.configure(upstreams={})
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("the file was read again")
            self.assertEqual(reason(self.call(port, "payments__lookup", {})), "unavailable")
            world.config.write_text("nonsense: [")
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("the file was not taken")
            world.configure(upstreams=upstreams, keys=str(world.folder / "nowhere"))
            serving.process.send_signal(signal.SIGHUP)
            serving.wait_for("the file before still counts")
            world.configure(upstreams=upstreams)

    def test_a_call_that_was_under_way_when_the_gateway_was_killed_is_recorded_as_unknown(self) -> None:
        world = self.world("hang")
        port = self.serving(world)
        serving = Serving(world)
        thread = threading.Thread(
            target=lambda: self.assertRaises(Exception, self.call, port, "payments__refund", {"payment": "p", "amount": 5})
        )
        thread.start()
        end = time.monotonic() + 10
        while not world.calls() and time.monotonic() < end:
            time.sleep(0.02)
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


class DevelopingTests(Case):
    path = "environments/prod/agents/support/triage.yaml"

    def own(self, **spec: Any) -> World:
        """A world whose operator's file has no place of its own: `ensign dev` makes them."""
        world = self.world()
        for name in ("live", "keys", "state"):
            del world.spec[name]
        world.configure(**spec)
        return world

    def test_what_is_saved_holds_at_the_next_call_and_what_is_invalid_changes_nothing(self) -> None:
        world = self.own()
        (tip,) = world.git("rev-parse", "refs/ensign/ledger/prod").split()
        with Developing(world, "--gateway", str(world.config)) as dev:
            self.assertEqual(dev.snippet(), dev.line())
            (folder,) = dev.temporary.iterdir()
            self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
            with Client(world, command=dev.snippet()) as client:
                refund = {"payment": "p1", "amount": 90}
                self.assertEqual([tool["name"] for tool in client.tools()], ["payments__lookup", "payments__refund"])
                self.assertIsNone(reason(client.call("payments__refund", refund)))
                world.replace(self.path, "maximum: 100", "maximum: 50")
                dev.wait_for("entry 3: support/triage 1.0.0: may call payments.refund with fewer arguments")
                self.assertEqual(reason(client.call("payments__refund", {**refund, "payment": "p2"})), "arguments")
                good = (world.repository / self.path).read_text()
                world.write(self.path, good.replace("operations: [lookup]", "operations: [lokup]"))
                dev.wait_for("entry 3 stays live")
                self.assertRegex(dev.said(), self.path + r":\d+:\d+: error: .*lokup")
                self.assertIsNone(reason(client.call("payments__lookup", {})))
                world.write(self.path, good.replace("    - {tool: payments, operations: [lookup]}\n", ""))
                dev.wait_for("entry 4: support/triage 1.0.0: may no longer call payments.lookup")
                self.assertEqual(reason(client.call("payments__lookup", {})), "not-granted")
                world.write("environments/prod/agents/support/new.yaml", "nothing of this agent: [")
                (world.repository / self.path).unlink()
                dev.wait_for("is not deployed in prod")
                self.assertEqual(reason(client.call("payments__refund", {"payment": "p3", "amount": 1})), "halted")
            self.assertEqual(dev.end(), 0)
            self.assertEqual(list(dev.temporary.iterdir()), [])
        self.assertEqual(len(world.calls()), 2)
        self.assertEqual(world.git("rev-parse", "refs/ensign/ledger/prod").split(), [tip])

    def test_an_operators_file_that_listens_is_served_until_the_end_and_read_again_when_it_is_saved(self) -> None:
        world = self.own()
        path = str(world.folder / "gateway.sock")
        world.configure(listen={"socket": path}, agents=[{"agent": AGENT, "uid": os.getuid()}])
        with Developing(world, "--gateway", str(world.config)) as dev:
            dev.wait_for("claim ")
            with Client(world, command=dev.line()) as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.configure(limits={"callsInFlight": 8})
            dev.wait_for("the file was read again")
            self.assertEqual(dev.end(signal.SIGINT), 0)
            self.assertIn("stopped", dev.said())
            self.assertFalse(Path(path).exists())
            self.assertEqual(list(dev.temporary.iterdir()), [])

    def test_wrong_use_is_named_and_a_committed_operators_file_is_not_taken(self) -> None:
        world = self.own()

        def dev(*arguments: str) -> tuple[int, str]:
            result = subprocess.run(
                [ENSIGN, "dev", *arguments], cwd=world.repository, env=world.environment, capture_output=True, text=True,
                timeout=60,
            )
            return result.returncode, result.stderr

        for arguments, status, message in [
            (["support/triag"], 64, "did you mean 'support/triage'?"),
            ([AGENT, "--env", "prot"], 64, "environments: prod"),
            ([AGENT, "--config", "gateway.yaml"], 64, "did you mean '--gateway gateway.yaml'?"),
            ([AGENT, "--version", "next-one"], 64, "is not a version"),
            ([AGENT], 1, "upstreams: {TOOL: {command:"),
        ]:
            code, errors = dev(*arguments)
            self.assertEqual(code, status, errors)
            self.assertIn(message, errors)
        world.write("gateway.yaml", world.config.read_text())
        world.commit("Whoever clones this runs my program")
        code, errors = dev(AGENT)
        self.assertEqual(code, 4, errors)
        world.config.write_text("kind: Gateway\nspecs: {}\n")
        code, errors = dev(AGENT, "--gateway", str(world.config))
        self.assertEqual(code, 3, errors)
        self.assertIn("gateway.yaml:2:1: error: unknown field 'specs'", errors)


if __name__ == "__main__":
    unittest.main()
