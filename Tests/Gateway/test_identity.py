"""Who may speak for an agent, and what the client's own words about runs and keys are worth.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import unittest
from pathlib import Path
from typing import Any

from clients import Client, Issuer, Serving, reason, words
from web import Web
from world import AGENT, DEPLOYMENT, FLEET, Case, World, eventually

READER = "support/reader"
VERSION = "fleet/agents/support/triage/1.0.0"
# A second agent, which may only look things up.
BOTH = {
    **FLEET,
    "fleet/agents/support/reader/1.0.0/agent.yaml": FLEET[f"{VERSION}/agent.yaml"],
    "fleet/agents/support/reader/1.0.0/prompt.md": "Read.\n",
    "environments/prod/agents/support/reader.yaml": FLEET[DEPLOYMENT].split("    - {tool: payments, operations: [refund]")[0],
}


def lines(**tokens: str) -> list[dict[str, Any]]:
    """Lines of the operator's file, an agent of `support` and its token each."""
    return [
        {"agent": f"support/{name}", "tokenSHA256": hashlib.sha256(token.encode()).hexdigest()}
        for name, token in tokens.items()
    ]


class TokenTests(Case):
    def test_a_token_of_an_issuer_proves_the_agent_of_its_subject_and_none_that_is_not_its_own_proves_anything(self) -> None:
        world = self.world(fleet=BOTH)
        issuer, other = Issuer(world), Issuer(world, "evil")
        web = world.listens(agents=[
            {"agent": AGENT, "jwt": {**issuer.line, "subject": "triage"}},
            {"agent": READER, "jwt": {**issuer.line, "subject": "reader"}},
        ])
        forged = other.token("triage", iss=issuer.url)
        head, body, signature = issuer.token("triage").split(".")
        changed = issuer.token("reader").split(".")[1]
        with Serving(world) as serving:
            for subject, wanted in (("triage", None), ("reader", "not-granted")):
                web.token = issuer.token(subject)
                self.assertEqual(reason(web.call("payments__refund", {"payment": "p", "amount": 5})), wanted)
            for name, token in {
                "nobody's subject": issuer.token("cleaner"),
                "another audience": issuer.token("triage", aud="payroll"),
                "expired": issuer.token("triage", exp=int(time.time()) - 300),
                "not yet": issuer.token("triage", nbf=int(time.time()) + 300),
                "without an end": issuer.token("triage", exp=None),
                "another issuer's key": forged,
                "changed": f"{head}.{changed}.{signature}",
                "no algorithm": f"{Issuer.encode(json.dumps({'alg': 'none'}).encode())}.{body}.",
                "a key for another algorithm": issuer.token("triage", algorithm="HS256"),
            }.items():
                web.token = token
                self.assertEqual(web.post({})[0], 401, name)
            # Keys of the issuer that are exchanged count at once.
            web.token = issuer.token("triage")
            self.assertIsNone(reason(web.call("payments__lookup", {})))
            issuer.keys.write_text(other.keys.read_text())
            self.assertEqual(web.post({})[0], 401)
            web.token = forged
            self.assertIsNone(reason(web.call("payments__lookup", {})))
            # Keys that cannot be read prove nobody, and the operator is told once.
            issuer.keys.write_text('{"keys": [{"kty"')
            for _ in range(2):
                self.assertEqual(web.post({})[0], 401)
            serving.wait_for("no token of that issuer counts")
            self.assertEqual(serving.output.read_text().count("no token of that issuer counts"), 1)
        self.assertEqual([line["agent"] for line in world.decisions() if line["kind"] == "refused"], [READER])

    def test_a_token_gives_the_tools_of_its_own_agent_whatever_its_holder_says(self) -> None:
        world = self.world(fleet=BOTH)
        web = world.listens(agents=lines(triage="t", reader="r"), listen={"socket": str(world.folder / "gateway.sock")})
        web.token = "r"
        with Serving(world):
            self.assertEqual(reason(web.call("payments__refund", {"payment": "p", "amount": 5})), "not-granted")
            _, answer = web.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
            self.assertEqual([tool["name"] for tool in answer["result"]["tools"]], ["payments__lookup"])
            # On the socket, too: neither another agent's name nor an account without a line helps.
            world.environment["ENSIGN_TOKEN"] = "r"
            with Client(world, agent=READER) as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
            for token in ("r", "", "wrong"):
                world.environment["ENSIGN_TOKEN"] = token
                with self.assertRaises((AssertionError, OSError)):
                    Client(world, agent=AGENT)
        self.assertEqual({line["agent"] for line in world.decisions() if "agent" in line}, {READER})

    def test_who_is_taken_out_is_refused_at_the_next_call_of_an_open_connection_too(self) -> None:
        world = self.world(fleet=BOTH)
        issuer = Issuer(world)
        listen = {"socket": str(world.folder / "gateway.sock")}
        own, other = lines(reader="r"), [{"agent": AGENT, "jwt": {**issuer.line, "subject": "triage"}}]
        world.configure(agents=own + other, listen=listen)
        with Serving(world) as serving:
            world.environment["ENSIGN_TOKEN"] = issuer.token("triage")
            with Client(world, agent=AGENT) as by_token:
                world.environment["ENSIGN_TOKEN"] = "r"
                with Client(world, agent=READER) as reader:
                    for client in (by_token, reader):
                        self.assertIsNone(reason(client.call("payments__lookup", {})))
                    world.configure(agents=other, listen=listen)
                    serving.reload()
                    self.assertEqual(reason(reader.call("payments__lookup", {})), "not-granted")
                self.assertIsNone(reason(by_token.call("payments__lookup", {})))
                # A token counts as long as its issuer's keys do.
                issuer.keys.write_text('{"keys": []}')
                self.assertEqual(reason(by_token.call("payments__lookup", {})), "not-granted")
        self.assertEqual(len(world.calls()), 3)
        self.assertEqual([line["agent"] for line in world.decisions() if line["kind"] == "refused"], [READER, AGENT])

    def test_an_account_without_a_line_is_nobody_on_the_socket(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root becomes somebody else")
        world = self.world()
        path = world.listens_on_socket()
        world.folder.chmod(0o755)
        with Serving(world):
            os.chmod(path, 0o666)
            with Client(world) as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
            with self.assertRaises((AssertionError, OSError)):
                Client(world, under=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])

    def test_whoever_starts_stdio_without_a_socket_is_served_and_told_where_no_such_agent_is_live(self) -> None:
        world = self.world(agents=[{"agent": AGENT, "uid": 4711}])
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        with Client(world, agent="support/triag") as client:
            self.assertEqual(reason(client.call("payments__lookup", {})), "halted")
            eventually(lambda: "support/triag is not live here; did you mean support/triage?" in "".join(client.errors))

    def test_who_asked_is_on_record_by_a_verified_token_only_and_the_token_nowhere(self) -> None:
        world = self.world()
        issuer, other = Issuer(world), Issuer(world, "evil")
        web = world.listens(asked=[issuer.line])
        good = issuer.token("grace@example.com")
        with Serving(world):
            for token in (good, other.token("grace@example.com"), other.token("g", iss=issuer.url), "nonsense"):
                self.assertIsNone(reason(web.call("payments__lookup", {}, Ensign_For=token)))
            meta = {"name": "payments__lookup", "arguments": {}, "_meta": {"dev.ensign/for": good}}
            web.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": meta})
        intents = [line for line in world.decisions() if line["kind"] == "intent"]
        who = {"iss": issuer.url, "sub": "grace@example.com"}
        self.assertEqual([line.get("for") for line in intents], [who, None, None, None, who])
        self.assertTrue(all("nobody is taken for who asked" in line["note"] for line in intents[1:4]))
        for file in world.state.rglob("*"):
            if file.is_file():
                self.assertNotIn(good.encode(), file.read_bytes(), file)
        self.assertNotIn(good, world.log.read_text())

    def test_whoever_asked_does_not_agree_to_it(self) -> None:
        world = self.world(approval="manager")
        ada, bo = world.trust("ada@example.com"), world.trust("bo@example.com")
        issuer = Issuer(world)
        web = world.listens(asked=[issuer.line], listen={"socket": str(world.folder / "gateway.sock")})
        refund = lambda **head: web.call("payments__refund", {"payment": "p", "amount": 5}, Ensign_Run="r1", **head)
        call = lambda: refund(Ensign_For=issuer.token("ADA@example.com"))
        with Serving(world):
            self.assertEqual(reason(call()), "approval-pending")
            (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
            said = world.failing("approvals", "approve", request["id"], "--key", str(ada), wanted=4)
            self.assertIn("ada@example.com asked for this call", said)
            # Without the header it is another question.
            self.assertEqual(reason(call()), "approval-pending")
            self.assertEqual(reason(refund()), "approval-pending")
            world.gateway("approvals", "approve", request["id"], "--key", str(bo))
            self.assertEqual(reason(refund()), "approval-pending")
            self.assertIsNone(reason(call()))

    def test_whoever_asked_does_not_agree_by_another_token_of_the_same_account(self) -> None:
        world = self.world(approval="manager")
        world.trust("ada@example.com")
        issuer, other = Issuer(world), Issuer(world, "other")
        web = world.listens(
            asked=[issuer.line], approvals={"issuers": [issuer.line, other.line]}, listen={"socket": str(world.folder / "gateway.sock")}
        )
        head = {"Ensign_Run": "r1", "Ensign_For": issuer.token("u-1")}
        call = lambda: reason(web.call("payments__refund", {"payment": "p", "amount": 5}, **head))
        with Serving(world):
            self.assertEqual(call(), "approval-pending")
            (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
            own = issuer.answer(request["id"], "u-1", email="bo@example.com")
            said = world.failing("approvals", "submit", own, wanted=4)
            self.assertIn("bo@example.com asked for this call", said)
            # Put there by hand it counts as little.
            (world.state / "approvals/granted" / f"{request['id']}.1.jwt").write_text(Path(own).read_text())
            self.assertEqual(call(), "approval-pending")
            # The account of the same name at another issuer is somebody else's.
            world.gateway("approvals", "submit", other.answer(request["id"], "u-1", email="bo@example.com"))
            self.assertIsNone(call())

    def test_an_address_counts_only_if_its_issuer_does_not_say_otherwise(self) -> None:
        world = self.world(approval="manager")
        world.trust("ada@example.com")
        issuer = Issuer(world)
        web = world.listens(approvals={"issuers": [issuer.line]}, listen={"socket": str(world.folder / "gateway.sock")})
        with Serving(world):
            web.call("payments__refund", {"payment": "p", "amount": 5}, Ensign_Run="r1")
            (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
            for verified in (False, "false", 0, 1, None, "no", [True]):
                answer = issuer.answer(request["id"], "u-1", email="ada@example.com", email_verified=verified)
                world.gateway("approvals", "submit", answer, wanted=4)
            for subject, verified in (("u-1", True), ("u-2", "true")):
                answer = issuer.answer(request["id"], subject, email="ada@example.com", email_verified=verified)
                world.gateway("approvals", "submit", answer)

    def test_two_tokens_of_one_account_are_one_person_and_the_log_says_whose(self) -> None:
        world = self.world(approval="dual")
        world.trust("ada@example.com")
        issuer = Issuer(world)
        web = world.listens(approvals={"issuers": [issuer.line]}, listen={"socket": str(world.folder / "gateway.sock")})
        call = lambda: reason(web.call("payments__refund", {"payment": "p", "amount": 5}, Ensign_Run="r1"))
        with Serving(world):
            self.assertEqual(call(), "approval-pending")
            (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
            for subject, address, wanted in (
                ("u-1", "ada", "approval-pending"), ("u-1", "bo", "approval-pending"), ("u-2", "bo", "approval-pending"),
            ):
                world.gateway("approvals", "submit", issuer.answer(request["id"], subject, email=f"{address}@example.com"))
                self.assertEqual(call(), wanted)
            (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
        account = {"issuer": issuer.url, "subject": "u-1"}
        self.assertEqual(request["answers"][0], {"agreed": "ada@example.com", "account": account})
        said = [line["approval"] for line in world.decisions() if line.get("note") == "agreed"]
        self.assertEqual([(one["by"], one["account"]) for one in said], [
            ([f"{address}@example.com"], {"iss": issuer.url, "sub": subject}) for subject, address in (("u-1", "ada"), ("u-1", "bo"), ("u-2", "bo"))
        ])


class RunTests(Case):
    def served(self, fleet: dict[str, str] = BOTH, **spec: Any) -> tuple[World, Web, Web]:
        world = self.world(fleet=fleet)
        mine = world.listens(agents=lines(triage="t", reader="r"), **spec)
        mine.token = "t"
        return world, mine, Web(mine.port, "r")

    def test_the_clients_own_word_neither_replaces_nor_erases_whom_the_header_names(self) -> None:
        team = "fleet/teams/support.yaml"
        three = FLEET[team].replace("bo@example.com]", "bo@example.com, cy@example.com]")
        world = self.world(approval="manager", fleet={**FLEET, team: three})
        ada, bo, _ = (world.trust(f"{name}@example.com") for name in ("ada", "bo", "cy"))
        issuer = Issuer(world)
        web = world.listens(asked=[issuer.line])
        header = {"MCP-Protocol-Version": "2025-03-26", "Ensign-Run": "r", "Ensign-For": issuer.token("ada@example.com")}

        def refund(amount: int, meta: str) -> Any:
            params = {"name": "payments__refund", "arguments": {"payment": "p", "amount": amount}, "_meta": {"dev.ensign/for": meta}}
            body = web.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, header)[1]
            return body["result"]

        def requests() -> list[dict[str, Any]]:
            return list(json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"])

        with Serving(world):
            other = issuer.token("bo@example.com")
            self.assertEqual(reason(refund(50, other)), "approval-pending")
            (request,) = requests()
            self.assertEqual((request["for"]["subject"], request["alsoFor"]["subject"]), ("ada@example.com", "bo@example.com"))
            self.assertEqual(request["mayAgree"], ["cy@example.com"])
            for key in (ada, bo):
                world.gateway("approvals", "approve", request["id"], "--key", str(key), wanted=4)
            self.assertEqual(reason(refund(50, other)), "approval-pending")
            # What cannot be verified changes nothing.
            self.assertEqual(reason(refund(60, "nonsense")), "approval-pending")
            request = next(each for each in requests() if each["id"] != request["id"])
            self.assertEqual((request["for"]["subject"], request["mayAgree"]), ("ada@example.com", ["bo@example.com", "cy@example.com"]))
            world.gateway("approvals", "approve", request["id"], "--key", str(ada), wanted=4)
            world.gateway("approvals", "approve", request["id"], "--key", str(bo))
            self.assertIsNone(reason(refund(60, "nonsense")))
        self.assertEqual(len(world.calls()), 1)
        names = {line["for"]["sub"] for line in world.decisions() if line["kind"] in ("refused", "intent")}
        self.assertEqual(names, {"ada@example.com"})

    def test_a_run_with_the_name_of_another_agents_run_is_another_run(self) -> None:
        fleet = {**BOTH, "environments/prod/agents/support/reader.yaml": BOTH[DEPLOYMENT].replace("APPROVAL", "none")}
        after = "after: {operation: payments.lookup, within: 10m}, approval: none}"
        fleet = {path: text.replace("approval: none}", after).replace("approval: APPROVAL}", after) for path, text in fleet.items()}
        fleet[f"{VERSION}/agent.yaml"] = fleet[f"{VERSION}/agent.yaml"].replace("steps: 50", "steps: 3")
        world, triage, reader = self.served(fleet)
        refund = {"payment": "p", "amount": 5}
        with Serving(world):
            # What one agent has done in a run is nothing that another one has done.
            self.assertIsNone(reason(triage.call("payments__lookup", {}, Ensign_Run="r1")))
            self.assertEqual(reason(reader.call("payments__refund", refund, Ensign_Run="r1")), "precondition")
            # What another one uses up is its own.
            for _ in range(5):
                self.assertIsNone(reason(reader.call("payments__lookup", {}, Ensign_Run="r1")))
            self.assertIsNone(reason(triage.call("payments__refund", refund, Ensign_Run="r1")))
            self.assertIsNone(reason(triage.call("payments__lookup", {}, Ensign_Run="r1")))
            self.assertEqual(reason(triage.call("payments__lookup", {}, Ensign_Run="r1")), "budget")

    def test_whatever_runs_an_agent_names_its_own_limits_hold_for_refused_calls_too(self) -> None:
        world, triage, reader = self.served(limits={"stepsPerMinute": 6})
        with Serving(world):
            answers = [
                reason(triage.call(f"payments__{name}", {}, Ensign_Run=f"run-{number}", Ensign_Key=f"key-{number}"))
                for number, name in enumerate(["lookup", "wipe"] * 4)
            ]
            self.assertEqual(answers, [None, "not-granted"] * 3 + ["budget", "not-granted"])
            self.assertIsNone(reason(reader.call("payments__lookup", {})), "another agent has its own")

    def test_an_agent_that_begins_one_run_after_another_is_stopped_and_so_is_one_that_goes_round_in_circles(self) -> None:
        world, triage, reader = self.served(limits={"runsPerHour": 3, "repeatedCalls": 4, "refusals": 3})
        with Serving(world):
            answers = [reason(triage.call("payments__lookup", {}, Ensign_Run=f"run-{number}")) for number in range(5)]
            self.assertEqual(answers, [None] * 3 + ["budget"] * 2)
            again = triage.call("payments__lookup", {}, Ensign_Run="run-0")
            self.assertEqual(reason(again), "loop", words(again))
            for number in range(3):
                self.assertEqual(reason(reader.call("payments__wipe", {"n": number}, Ensign_Run=f"r{number}")), "not-granted")
            self.assertEqual(reason(reader.call("payments__lookup", {}, Ensign_Run="r0")), "loop")

    def test_a_chosen_key_picks_one_of_the_reviewed_versions_once_for_a_run_and_gets_around_no_rate(self) -> None:
        canary = "  rollout: {canary: {steps: [{weight: 50, hold: 1h}]}}\n"
        new = {path.replace("1.0.0", "1.1.0"): text for path, text in FLEET.items() if path.startswith(VERSION)}
        world = self.world()
        for path, text in new.items():
            world.write(path, text.lstrip("\n").replace("Sort.", "Sort with care."))
        world.replace(DEPLOYMENT, "version: 1.0.0", "version: 1.1.0")
        world.replace(DEPLOYMENT, "operations: [lookup]}", "operations: [lookup], rate: 12/m}")
        world.write(DEPLOYMENT, (world.repository / DEPLOYMENT).read_text() + canary)
        world.commit("With care")
        world.reconcile()
        web = world.listens()
        with Serving(world):
            for number in range(8):
                self.assertIsNone(reason(web.call("payments__lookup", {}, Ensign_Run=f"r{number}", Ensign_Key=f"k{number}")))
            for number in range(4):
                # The run goes on as it began, whatever its client says now.
                self.assertIsNone(reason(web.call("payments__lookup", {}, Ensign_Run="r0", Ensign_Key=f"other{number}")))
            limited = web.call("payments__lookup", {}, Ensign_Run="r99", Ensign_Key="k99")
            self.assertEqual(reason(limited), "budget", words(limited))
        intents = [line for line in world.decisions() if line["kind"] == "intent"]
        for number, line in enumerate(intents[:8]):
            route = json.loads(world.ensign("route", AGENT, "--env", "prod", "--key", f"k{number}", "-o", "json"))
            self.assertEqual(line["version"], route["version"])
        self.assertEqual({line["version"] for line in intents[:8]}, {"1.0.0", "1.1.0"})
        self.assertEqual({line["bundle"] for line in intents if line["run"] == "r0"}, {intents[0]["bundle"]})


if __name__ == "__main__":
    unittest.main()
