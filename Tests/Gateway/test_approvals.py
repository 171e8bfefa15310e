"""People who agree to calls, and what counts as that.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import unittest
from pathlib import Path
from typing import Any

from clients import Client, reason, words
from world import AGENT, DEPLOYMENT, ROOT, Case, World, eventually


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
        text = world.gateway("approvals", "show", id)
        self.assertEqual(text, (world.state / f"approvals/requests/{id}.json").read_text())
        return self.signed(world, id, text, key, namespace)

    def signed(self, world: World, id: str, text: str, key: Any, namespace: str = "ensign-approval") -> str:
        file = world.folder / f"{id}.json"
        file.write_text(text)
        signature = world.folder / f"{id}.json.sig"
        signature.unlink(missing_ok=True)
        world.run(["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(file)])
        return str(signature)

    def test_the_list_says_which_run_asks_and_who_may_agree(self) -> None:
        world = self.world(approval="manager")
        world.trust("ada@example.com")
        with self.client(world, "--run", "r1") as client:
            self.request(client, {"payment": "p", "amount": 50})
        (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
        self.assertEqual((request["run"], request["version"], request["environment"]), ("r1", "1.0.0", "prod"))
        self.assertTrue(request["bundle"].startswith("sha256:"))
        self.assertIn("ada@example.com", request["mayAgree"])

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

    def test_whoever_asks_again_and_again_gets_what_was_agreed_to_once_an_hour(self) -> None:
        world = self.world(approval="manager, rate: 1/h", limits={"repeatedCalls": 3})
        ada = world.trust("ada@example.com")
        arguments = {"payment": "p", "amount": 50}
        for _ in range(3):
            # A process for each call, as some clients begin it.
            with self.client(world, "--run", "r1") as client:
                for _ in range(3):
                    id, _ = self.request(client, arguments)
        world.gateway("approvals", "approve", id, "--key", str(ada))
        with self.client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__refund", arguments)))
            self.assertEqual(reason(client.call("payments__refund", arguments)), "budget")
        self.assertEqual(len(world.calls()), 1)

    def test_an_approval_outlives_the_ten_minutes_of_a_run_that_nobody_has_named(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        arguments = {"payment": "p", "amount": 50}
        with self.client(world) as client:
            client.call("payments__lookup", {})
        world.later(540)
        with self.client(world) as client:
            id, _ = self.request(client, arguments)
        world.gateway("approvals", "approve", id, "--key", str(ada))
        world.later(620)
        with self.client(world) as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            self.assertIsNone(reason(client.call("payments__refund", arguments)))
        runs = [line["run"] for line in world.decisions() if line["kind"] == "intent"]
        self.assertTrue(runs[0] == runs[2] != runs[1], runs)

    def test_a_file_with_another_name_is_refused_and_the_hint_says_how_it_is_called(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        with self.client(world) as client:
            id, _ = self.request(client, {"payment": "p", "amount": 50})
            own = Path(self.sign(world, id, ada)).rename(world.folder / "mine.sig")
            said = world.failing("approvals", "submit", str(own), wanted=4)
        self.assertIn("there is no request mine", said)
        self.assertIn("  hint: the file's name says which request: ID.sig or ID.jwt", said)

    def test_the_commands_of_the_page_check_an_approval_that_was_used(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        with self.client(world) as client:
            id, _ = self.request(client, {"payment": "p", "amount": 50})
            world.gateway("approvals", "submit", self.sign(world, id, ada))
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 50})))
        page = (ROOT / "docs" / "approvals.md").read_text(encoding="utf-8").partition("## Checking an approval")[2]
        (command, *_) = [line[2:] for line in page.splitlines() if line.startswith("$ ")]
        variables = f"state='{world.state}'; id='{id}'; "
        good = ["sh", "-euc", variables + command]
        self.assertIn('Good "ensign-approval" signature for ada@example.com', world.run(good, world.repository))
        request = world.state / f"approvals/requests/{id}.json"
        request.write_text(request.read_text().replace("50", "51"))
        world.run(good, world.repository, wanted=255)

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
            eventually(world.starts)
            world.replace("fleet/teams/support.yaml", "ada@example.com, ", "")
            world.commit("Ada left")
            world.reconcile()
            (world.folder / "server.log.go").touch()
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
            # An address that its issuer has not verified is nobody's.
            said = '"sub": "mallory", "email": arguments.person, "email_verified": False'
            unverified = world.folder / "unverified.py"
            unverified.write_text(Path(script).read_text(encoding="utf-8").replace('"sub": arguments.person', said))
            for by, person, wanted in (
                (script, "eve@example.com", 4), (str(unverified), "bo@example.com", 4), (script, "bo@example.com", 0),
            ):
                token = world.run([sys.executable, by, "answer", str(key), str(file), "--person", person])
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

    def test_a_request_is_good_until_it_expires_and_so_is_what_was_agreed_to(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        world.configure(approvals={"wait": "1m"})
        arguments = {"payment": "p", "amount": 50}
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, arguments)
            world.gateway("approvals", "approve", id, "--key", str(ada))
        world.later(100)
        with self.client(world, "--run", "r1") as client:
            again, _ = self.request(client, arguments)
            self.assertNotEqual(again, id)
            world.gateway("approvals", "approve", id, "--key", str(ada), wanted=4)
        self.assertEqual(world.calls(), [])

    def test_a_denial_is_no_approval_whatever_its_file_is_called_and_neither_is_a_signature_over_another_request(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        granted = world.state / "approvals/granted"
        with self.client(world, "--run", "r1") as client:
            one, _ = self.request(client, {"payment": "p", "amount": 50})
            two, _ = self.request(client, {"payment": "q", "amount": 50})
            # What was said of one request is put beside another, where it would suit somebody.
            (granted / f"{two}.1.sig").write_text(Path(self.sign(world, one, ada)).read_text())
            self.assertEqual(reason(client.call("payments__refund", {"payment": "q", "amount": 50})), "approval-pending")
            (granted / f"{one}.1.sig").write_text(Path(self.sign(world, one, ada, "ensign-denial")).read_text())
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 50})), "approval-denied")
            # And what is asked is not what somebody wrote into its file.
            three, _ = self.request(client, {"payment": "r", "amount": 50})
            file = world.state / f"approvals/requests/{three}.json"
            file.write_text(file.read_text().replace('"amount": 50', '"amount": 1').replace('"amount":50', '"amount":1'))
            listed = {each["id"]: each["state"] for each in json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]}
            self.assertEqual(listed[three], "changed")
            for words in (["show", three], ["approve", three, "--key", str(ada)], ["submit", self.signed(world, three, file.read_text(), ada)]):
                self.assertIn("was changed", world.failing("approvals", *words, wanted=4))
            self.assertNotIn("agreed", [line.get("note") for line in world.decisions() if line.get("approval", {}).get("id") == three])
            self.assertEqual(reason(client.call("payments__refund", {"payment": "r", "amount": 50})), "approval-pending")
        self.assertEqual(world.calls(), [])

    def test_at_most_eight_requests_of_an_agent_are_open_and_the_same_call_asks_once(self) -> None:
        world = self.world(approval="manager")
        world.trust("ada@example.com")
        with self.client(world, "--run", "r1") as client:
            for payment in (*"aabbccddeeffgghh", "i"):
                answer = client.call("payments__refund", {"payment": payment, "amount": 50})
                self.assertEqual(reason(answer), "approval-pending")
            self.assertIn("8 requests of this agent are open", words(answer))
        self.assertEqual(len(json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]), 8)

    def test_a_key_for_something_else_agrees_to_nothing_and_a_grant_may_name_who_agrees(self) -> None:
        world = self.world(approval="manager, approvers: [cy@example.com]")
        ada, cy = world.trust("ada@example.com"), world.trust("cy@example.com")
        bo = world.trust("bo@example.com", 'namespaces="git"')
        arguments = {"payment": "p", "amount": 50}
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, arguments)
            for key in (ada, bo):
                world.gateway("approvals", "approve", id, "--key", str(key), wanted=4)
            self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-pending")
            world.gateway("approvals", "approve", id, "--key", str(cy))
            self.assertIsNone(reason(client.call("payments__refund", arguments)))

    def test_a_request_says_all_that_would_be_done_and_is_handed_to_the_operators_command(self) -> None:
        world = self.world(approval="manager")
        world.trust("ada@example.com")
        asked = world.folder / "asked"
        command = world.folder / "ask"
        command.write_text(f"#!/bin/sh\ncat > {asked}.part; mv {asked}.part {asked}\n")
        command.chmod(0o755)
        world.configure(approvals={"wait": "20m", "notify": [str(command)]})
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, {"payment": "p", "amount": 50})
            eventually(asked.exists)
        text = world.gateway("approvals", "show", id)
        self.assertEqual(asked.read_text(), text)
        request = json.loads(text)
        for part in ("agent", "environment", "version", "bundle", "operation", "arguments", "run", "nonce", "until"):
            self.assertIn(part, request)
        self.assertEqual((request["agent"], request["arguments"]), (AGENT, {"payment": "p", "amount": 50}))

    def test_an_approval_of_what_is_denied_already_is_refused_and_says_so(self) -> None:
        world = self.world(approval="dual")
        ada, bo = world.trust("ada@example.com"), world.trust("bo@example.com")
        arguments = {"payment": "p", "amount": 50}
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, arguments)
            world.gateway("approvals", "approve", id, "--key", str(ada))
            world.gateway("approvals", "deny", id, "--key", str(bo))
            # The same denial again is as good as the first one.
            world.gateway("approvals", "deny", id, "--key", str(bo))
            for key in (ada, bo):
                said = world.failing("approvals", "approve", id, "--key", str(key), wanted=4)
                self.assertIn("denied already, by bo@example.com", said)
            self.assertEqual(reason(client.call("payments__refund", arguments)), "approval-denied")
        self.assertEqual(len(list((world.state / "approvals/granted").iterdir())), 2)

    def test_what_people_decide_is_on_record_when_they_hand_it_in_and_once(self) -> None:
        world = self.world(approval="dual")
        ada, bo = world.trust("ada@example.com"), world.trust("bo@example.com")
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, {"payment": "p", "amount": 50})
        world.gateway("approvals", "approve", id, "--key", str(ada))
        world.gateway("approvals", "deny", id, "--key", str(bo))

        def lines() -> list[tuple[str, list[str]]]:
            return [(line["note"], line["approval"]["by"]) for line in world.decisions() if line["kind"] == "approval"]

        wanted: list[tuple[str, list[str]]] = [("asked", []), ("agreed", ["ada@example.com"]), ("denied", ["bo@example.com"])]
        self.assertEqual(lines(), wanted)
        for _ in range(2):
            with self.client(world, "--run", "r1") as client:
                self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 50})), "approval-denied")
        self.assertEqual(lines(), wanted)
        world.gateway("verify")

    def test_what_only_the_present_grant_keeps_in_clear_is_in_the_lines_of_an_open_run_too(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        with self.client(world, "--run", "r1") as client:
            client.call("payments__lookup", {})
            world.replace(DEPLOYMENT, "approval: manager", "approval: manager, record: [/payment]")
            world.commit("keep the payment")
            world.reconcile()
            id, _ = self.request(client, {"payment": "p", "amount": 50})
            world.gateway("approvals", "approve", id, "--key", str(ada))
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 50})))
        lines = [line for line in world.decisions() if line["kind"] in ("approval", "intent") and "refund" in line["operation"]]
        self.assertEqual([line.get("note") for line in lines], ["asked", "agreed", "used", None])
        self.assertEqual([line.get("record") for line in lines], [{"/payment": "p"}] * 4)

    def test_what_is_denied_takes_no_place_and_is_listed_as_denied(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        with self.client(world, "--run", "r1") as client:
            def asked(number: int) -> str:
                said = words(client.call("payments__refund", {"payment": f"p{number}", "amount": 50}))
                return said.partition("approval ")[2].split()[0]

            ids = [asked(number) for number in range(8)]
            world.gateway("approvals", "deny", ids[0], "--key", str(ada))
            last = asked(8)
            self.assertIn("8 requests", words(client.call("payments__refund", {"payment": "p9", "amount": 50})))
        listed = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
        states = {request["id"]: request["state"] for request in listed}
        self.assertEqual(states, {**{id: "open" for id in [*ids[1:], last]}, ids[0]: "denied"})
        self.assertIn("denied", world.gateway("approvals", "list"))
        self.assertEqual(json.loads(world.gateway("approvals", "show", ids[0], "-o", "json"))["state"], "denied")

    def test_check_names_what_needs_an_approval_that_nobody_can_give(self) -> None:
        world = self.world(approval="dual")
        words_ = "refund: needs an approval that nobody can give now, for support/triage"
        self.assertIn(words_, world.gateway("check", wanted=4))
        world.trust("ada@example.com")
        world.trust("bo@example.com", 'namespaces="git"')
        # One of two, and a key for something else.
        self.assertIn(words_, world.gateway("check", wanted=4))
        operations = json.loads(world.gateway("check", "-o", "json", wanted=4))["survey"]["tools"][0]["operations"]
        self.assertEqual({each["operation"]: each["nobodyApproves"] for each in operations}, {"lookup": [], "refund": [AGENT]})
        mine = {"agent": AGENT, "uid": os.getuid(), "principal": "ADA@example.com"}
        world.trust("bo@example.com")
        self.assertNotIn("nobody can give", world.gateway("check"))
        world.configure(agents=[mine])
        self.assertIn(words_, world.gateway("check", wanted=4))

    def test_nobody_agrees_through_the_protocol(self) -> None:
        world = self.world(approval="manager")
        world.trust("ada@example.com")
        with self.client(world, "--run", "r1") as client:
            id, _ = self.request(client, {"payment": "p", "amount": 50})
            self.assertFalse([tool for tool in client.tools() if "approv" in tool["name"]])
            for method in ("approvals/approve", "ensign/admin", "admin"):
                self.assertEqual(client.ask(method, {"id": id})["error"]["code"], -32601)


if __name__ == "__main__":
    unittest.main()
