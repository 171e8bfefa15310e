"""What happens once: calls of impatient clients, approvals, and counts of several processes over one state.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import json
import signal
import threading
import time
import unittest
from contextlib import ExitStack
from typing import Any, Callable

from clients import Client, Serving, reason, words
from web import Web
from world import FLEET, TOOL, Case, World, eventually

REFUND = {"payment": "p", "amount": 50}


class ImpatientTests(Case):
    """Clients that give up and ask again; the server takes longer than they wait, and a refund must not be made twice."""

    def give_up(self, web: Web, arguments: dict[str, Any] = REFUND) -> None:
        """A client that waits for half a second."""
        with self.assertRaises(OSError):
            Web(web.port, timeout=0.5).call("payments__refund", arguments, Ensign_Run="r1")

    def leave(self, world: World) -> None:
        """A client by a process that is ended as the protocol's libraries do it: its input is closed, and it is told to go."""
        client = Client(world, "--run", "r1")
        before = len(world.calls())
        client.send({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "payments__refund", "arguments": REFUND}})
        if not before:
            eventually(world.calls)
        client.process.stdin.close()  # type: ignore[union-attr]
        client.process.terminate()
        client.process.wait(timeout=20)

    def test_by_http_a_call_is_made_once_and_whoever_asks_again_gets_its_outcome(self) -> None:
        world = self.world("slow:1.5")
        web = world.listens()
        with Serving(world):
            for _ in range(2):
                self.give_up(web)
            done = web.call("payments__refund", REFUND, Ensign_Run="r1")
            self.assertEqual((reason(done), words(done)), (None, "done"))
        self.assertEqual(len(world.calls()), 1)

    def test_by_processes_that_speak_to_the_socket_a_call_is_made_once(self) -> None:
        world = self.world("slow:1.5")
        world.listens_on_socket()
        with Serving(world):
            for _ in range(2):
                self.leave(world)
            with Client(world, "--run", "r1") as client:
                done = client.call("payments__refund", REFUND)
                self.assertEqual((reason(done), words(done)), (None, "done"))
        self.assertEqual(len(world.calls()), 1)

    def test_by_processes_that_work_alone_a_call_is_made_once(self) -> None:
        world = self.world("slow:1.5")
        self.leave(world)
        with Client(world, "--run", "r1") as client:
            again = client.call("payments__refund", REFUND)
            self.assertEqual(reason(again), "unknown-outcome", words(again))
            # Another call is none of it, and neither is the same one in another run.
            self.assertIsNone(reason(client.call("payments__refund", {**REFUND, "payment": "q"})))
        with Client(world, "--run", "r2") as client:
            self.assertIsNone(reason(client.call("payments__refund", REFUND)))
        self.assertEqual(len(world.calls()), 3)
        world.gateway("verify")

    def test_a_process_joins_what_another_one_is_doing(self) -> None:
        world = self.world("slow:1.5")
        answers: list[Any] = []
        with Client(world, "--run", "r1") as one, Client(world, "--run", "r1") as two:
            thread = threading.Thread(target=lambda: answers.append(one.call("payments__refund", REFUND)))
            thread.start()
            eventually(world.calls)
            answers.append(two.call("payments__refund", REFUND))
            thread.join()
        self.assertEqual([(reason(each), words(each)) for each in answers], [(None, "done")] * 2)
        self.assertEqual(len(world.calls()), 1)

    def test_what_a_server_says_too_late_is_told_to_whoever_asks_again_and_nothing_is_sent_twice(self) -> None:
        world = self.world("slow:2", fleet={**FLEET, TOOL: FLEET[TOOL].replace("timeout: 5s", "timeout: 1s")})
        web = world.listens()
        with Serving(world):
            self.assertEqual(reason(web.call("payments__refund", REFUND, Ensign_Run="r1")), "unknown-outcome")
            self.assertEqual(reason(web.call("payments__refund", REFUND, Ensign_Run="r1")), "unknown-outcome")
            eventually(lambda: any("late" in line.get("note", "") for line in world.decisions()))
            for _ in range(2):
                done = web.call("payments__refund", REFUND, Ensign_Run="r1")
                self.assertEqual((reason(done), words(done)), (None, "done"))
        self.assertEqual(len(world.calls()), 1)
        outcomes = [(line["intent"], line["outcome"]) for line in world.decisions() if line["kind"] == "outcome"]
        intent = outcomes[0][0]
        self.assertEqual(outcomes, [(intent, "timeout")] * 2 + [(intent, "ok")] * 3)
        world.gateway("verify")

    def test_whoever_waits_for_a_process_that_hangs_is_told_so_when_the_time_of_the_call_is_over(self) -> None:
        world = self.world("slow:30", fleet={**FLEET, TOOL: FLEET[TOOL].replace("timeout: 5s", "timeout: 2s")})
        hung = Client(world, "--run", "r1")
        try:
            hung.send({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "payments__refund", "arguments": REFUND}})
            eventually(world.calls)
            hung.process.send_signal(signal.SIGSTOP)
            with Client(world, "--run", "r1") as client:
                started = time.monotonic()
                self.assertEqual(reason(client.call("payments__refund", REFUND)), "unknown-outcome")
                self.assertLess(time.monotonic() - started, 10)
        finally:
            hung.process.kill()
            hung.process.wait()
        self.assertEqual(len(world.calls()), 1)

    def test_a_file_that_is_read_again_in_the_middle_changes_nothing_of_it(self) -> None:
        world = self.world("slow:1.5")
        web = world.listens()
        with Serving(world) as serving:
            self.give_up(web)
            serving.reload()
            done = web.call("payments__refund", REFUND, Ensign_Run="r1")
            self.assertEqual((reason(done), words(done)), (None, "done"))
        self.assertEqual(len(world.calls()), 1)

    def test_after_a_restart_or_a_crash_nobody_knows_and_nothing_is_repeated(self) -> None:
        fleet = {**FLEET, TOOL: FLEET[TOOL].replace("timeout: 5s", "timeout: 2s")}
        for number in (signal.SIGTERM, signal.SIGKILL):
            world = self.world("slow:30", fleet=fleet)
            web = world.listens()
            with Serving(world) as serving:
                self.give_up(web)
                eventually(world.calls)
                serving.end(number)
            with Serving(world):
                again = web.call("payments__refund", REFUND, Ensign_Run="r1")
                self.assertEqual(reason(again), "unknown-outcome", words(again))
            self.assertEqual(len(world.calls()), 1)
            world.gateway("verify")

    def test_whoever_waits_when_it_is_stopped_is_answered_and_nothing_new_is_begun(self) -> None:
        for by_socket, is_read_again in ((False, False), (True, False), (False, True), (True, True)):
            world = self.world("slow:1.5")
            web = None if by_socket else world.listens()
            if by_socket:
                world.listens_on_socket()
            answers: list[Any] = []
            with Serving(world) as serving, ExitStack() as stack:
                clients = [stack.enter_context(Client(world, "--run", "r1")) for _ in range(2)] if by_socket else []

                def call(client: int, payment: str) -> Any:
                    arguments = {**REFUND, "payment": payment}
                    if web:
                        return web.call("payments__refund", arguments, Ensign_Run="r1")
                    return clients[client].call("payments__refund", arguments)

                call(1, "before")
                thread = threading.Thread(target=lambda: answers.append(call(0, "p")))
                thread.start()
                eventually(lambda: len(world.calls()) == 2)
                if is_read_again:
                    serving.reload()
                serving.process.send_signal(signal.SIGTERM)
                time.sleep(0.3)
                self.assertEqual(reason(call(1, "q")), "unavailable")
                thread.join()
                self.assertEqual([(reason(each), words(each)) for each in answers], [(None, "done")])
                self.assertEqual(serving.process.wait(timeout=10), 0)
            self.assertEqual(len(world.calls()), 2)
            world.gateway("verify")

    def test_calls_that_began_before_the_file_was_read_again_end_like_all_others(self) -> None:
        world = self.world("slow:30")
        web = world.listens(limits={"callsInFlight": 1})
        answers: list[Any] = []
        with Serving(world) as serving:
            thread = threading.Thread(target=lambda: answers.append(web.call("payments__lookup", {}, Ensign_Run="r1")))
            thread.start()
            eventually(world.calls)
            for number in range(25):
                refused = web.call("payments__refund", {**REFUND, "amount": number}, Ensign_Run="r2")
                self.assertIn("at a time", words(refused), refused)
            serving.reload()
            self.assertEqual(serving.end(), 0)
            thread.join()
        self.assertEqual([reason(each) for each in answers], ["unknown-outcome"])
        self.assertIn("the gateway is being stopped", words(answers[0]))
        # Refusals without a line of their own are counted in one.
        notes = [line.get("note", "") for line in world.decisions() if line["kind"] == "refused"]
        self.assertIn("5 more calls were refused", notes[-1])
        self.assertEqual(len(notes), 21)
        world.gateway("verify")

    def test_whoever_is_answered_while_it_is_stopped_is_told_that_its_connection_ends(self) -> None:
        world = self.world("slow:1.5")
        web = world.listens()
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "payments__refund", "arguments": REFUND}}
        headers = {
            "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {web.token}", "MCP-Protocol-Version": "2025-11-25",
        }
        said: list[Any] = []
        with Serving(world) as serving:
            thread = threading.Thread(target=lambda: said.append(web.request("POST", json.dumps(call), headers)))
            thread.start()
            eventually(world.calls)
            serving.process.send_signal(signal.SIGTERM)
            thread.join()
        ((status, body, answered),) = said
        self.assertEqual((status, words(body["result"]), answered["Connection"]), (200, "done", "close"))

    def test_a_command_for_a_secret_that_hangs_holds_up_no_end(self) -> None:
        world = self.world()
        asked = world.folder / "asked"
        world.resolver.write_text(f"#!/bin/sh\ntouch {asked}\nexec sleep 60\n")
        web = world.listens()
        answers: list[Any] = []
        with Serving(world) as serving:
            call = lambda: answers.append(web.call("payments__refund", REFUND, Ensign_Run="r1"))
            threads = [threading.Thread(target=call) for _ in range(2)]
            for thread in threads:
                thread.start()
            eventually(asked.exists)
            started = time.monotonic()
            self.assertEqual(serving.end(), 0)
            self.assertLess(time.monotonic() - started, 6)
            for thread in threads:
                thread.join()
        self.assertEqual([reason(each) for each in answers], ["unavailable"] * 2)
        self.assertIn("the gateway is being stopped", words(answers[0]))
        self.assertEqual(world.calls(), [])

    def test_a_server_that_does_not_serve_yet_holds_up_no_end(self) -> None:
        world = self.world("late")
        web = world.listens()
        answers: list[Any] = []
        with Serving(world) as serving:
            def call(name: str, arguments: dict[str, Any]) -> None:
                answers.append(web.call(name, arguments, Ensign_Run="r1"))

            asked: list[tuple[str, dict[str, Any]]] = [("payments__refund", REFUND), ("payments__lookup", {})]
            threads = [threading.Thread(target=call, args=each) for each in asked]
            for thread in threads:
                thread.start()
            eventually(world.starts)
            time.sleep(0.3)
            start = time.monotonic()
            self.assertEqual(serving.end(), 0)
            self.assertLess(time.monotonic() - start, 8)
            for thread in threads:
                thread.join()
        self.assertEqual([reason(each) for each in answers], ["unavailable"] * 2)
        for each in answers:
            self.assertIn("the gateway is being stopped", words(each))
        self.assertEqual((len(world.starts()), world.calls()), (1, []))
        world.gateway("verify")

    def test_what_only_reads_may_be_made_again(self) -> None:
        world = self.world("slow:30")
        with Client(world, "--run", "r1") as client:
            client.send({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "payments__lookup"}})
            eventually(world.calls)
            client.process.kill()
        world.behave("")
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))


class KilledTests(Case):
    def test_an_approval_is_used_up_and_the_call_is_made_at_most_once_wherever_the_gateway_is_killed(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        faults = {"LD_PRELOAD": world.library("faults"), "FAULT_MODE": "kill"}
        environment = world.environment

        def ask(at: int) -> Any:
            """The answer of a process that dies before the given one of its calls that change a file; None where it died."""
            world.environment = {**environment, **faults, "FAULT_AT": str(at)} if at else environment
            try:
                with Client(world, "--run", "r1") as client:
                    return client.call("payments__refund", REFUND)
            except (AssertionError, OSError):
                return None
            finally:
                world.environment = environment

        def agree() -> str:
            """Asks, and has somebody agree."""
            self.assertEqual(reason(ask(0)), "approval-pending")
            (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
            self.assertEqual(request.get("mayHaveHappened"), doubtful)
            world.gateway("approvals", "approve", request["id"], "--key", str(ada), "--quiet")
            return str(request["id"])

        (at, used, between) = (0, 0, 0)
        doubtful: str | None = None
        answer, id = None, agree()
        while answer is None:
            at += 1
            before = len(world.calls())
            answer = ask(at)
            if (world.state / f"approvals/used/{id}").exists():
                used += 1
                between += answer is None and len(world.calls()) == before
                # What was used up is used up, whatever came of it: people are asked again, and told that it may have happened.
                ended = (world.state / f"approvals/used/{id}").read_text().endswith("ended\n")
                doubtful = doubtful if ended else id
                self.assertTrue(ended or answer is None)
                id = agree()
            self.assertLessEqual(len(world.calls()), used)
        self.assertGreaterEqual(between, 2, "before its use is on record, and before the call is")
        lines = world.decisions()
        ended = {line["intent"]: line["outcome"] for line in lines if line["kind"] == "outcome" and "intent" in line}
        self.assertEqual({line["seq"] for line in lines if line["kind"] == "intent"}, set(ended))
        self.assertIn("unknown", ended.values())
        world.gateway("verify")


class TwoGatewayTests(Case):
    def together(self, world: World, jobs: list[Callable[[Client], Any]], **named: Any) -> list[Any]:
        """Each job by a process of its own, all at once."""
        clients = [Client(world, *named.get("words", ())) for _ in jobs]
        answers: list[Any] = [None] * len(jobs)
        begin = threading.Barrier(len(jobs))

        def work(number: int) -> None:
            begin.wait()
            answers[number] = jobs[number](clients[number])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            client.end()
        return answers

    def test_calls_of_all_processes_count_together_and_their_lines_are_one_chain(self) -> None:
        path = "fleet/agents/support/triage/1.0.0/agent.yaml"
        world = self.world(fleet={**FLEET, path: FLEET[path].replace("steps: 50", "steps: 30")})

        def calls(client: Client) -> list[str | None]:
            return [reason(client.call("payments__lookup", {"n": 1} if number % 5 == 4 else {})) for number in range(10)]

        answers = [each for list_ in self.together(world, [calls] * 4, words=("--run", "r1")) for each in list_]
        self.assertEqual(answers.count("budget"), 10)
        self.assertEqual(len(world.calls()), answers.count(None))
        lines = world.decisions()
        self.assertEqual([line["seq"] for line in lines], list(range(1, len(lines) + 1)))
        world.gateway("verify")

    def test_one_approval_is_one_call_whoever_of_several_processes_comes_first(self) -> None:
        world = self.world(approval="manager")
        ada = world.trust("ada@example.com")
        with Client(world, "--run", "r1") as client:
            self.assertEqual(reason(client.call("payments__refund", REFUND)), "approval-pending")
        (request,) = json.loads(world.gateway("approvals", "list", "-o", "json"))["requests"]
        world.gateway("approvals", "approve", request["id"], "--key", str(ada))
        answers = self.together(world, [lambda client: client.call("payments__refund", REFUND)] * 4, words=("--run", "r1"))
        self.assertIn(None, [reason(answer) for answer in answers])
        self.assertEqual(len(world.calls()), 1)


if __name__ == "__main__":
    unittest.main()
