"""Tests of ensign.py. Hermetic: each builds a live directory of its own in a temporary one.

Run with `python3 -m unittest discover clients/python`. ENSIGN_TEST_SEED=<number> repeats a property's run.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Optional
from unittest import mock

import ensign
from ensign import (
    AgentHalted,
    AgentNotFound,
    CorruptBundle,
    CorruptRoute,
    EnsignError,
    Fleet,
    FleetUnavailable,
    InvalidArgument,
    Session,
)

AGENT = "support/refund-triage"
AMOUNT = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "maximum": 100}}}
ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "Tests" / "Vectors"
EXAMPLE = ROOT / "examples" / "agent.py"


def canonical(value: object) -> bytes:
    """Canonical JSON and a final newline, as Ensign writes every file."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def make_bundle(version: str = "1.4.0", /, **changes: Any) -> dict[str, Any]:
    """A bundle with every member; `changes` replaces members, and removes those that are `...`."""
    bundle: dict[str, Any] = {
        "agent": AGENT,
        "version": version,
        "environment": "prod",
        "artifact": digest_of(version.encode()),
        "owner": "support",
        "identity": f"spiffe://agents.example.com/prod/{AGENT}",
        "description": "Decides refund requests below the automatic limit.",
        "labels": {"domain": "refunds"},
        "model": {"provider": "anthropic", "name": "claude-sonnet-4-5", "parameters": {"temperature": 0.2}},
        "instructions": f"You are version {version}.\nBe kind – and brief. 🙂\n",
        "contract": {"input": {"type": "object"}, "output": {"type": "object"}},
        "tools": [
            {
                "tool": "crm",
                "version": "2.1.0",
                "server": {"mcp": {"command": ["crm-mcp"]}},
                "credentials": {"ref": "vault:crm"},
                "operations": {"lookup": {"access": "read", "risk": "low", "approval": "none"}},
            },
            {
                "tool": "payments",
                "version": "1.3.0",
                "server": {"mcp": {"command": ["payments-mcp"]}},
                "credentials": {"ref": "vault:payments"},
                "operations": {
                    "refund": {
                        "access": "execute",
                        "risk": "high",
                        "approval": "manager",
                        "description": "Give money back.",
                        "input": AMOUNT,
                        "output": {"type": "object"},
                        "timeout": "20s",
                        "idempotent": True,
                        "expires": "2027-06-30",
                    }
                },
            },
        ],
        "delegates": ["it/escalation-desk"],
        "autonomy": "full",
        "limits": {"steps": 8, "tokens": 20000, "costUSD": 0.5, "seconds": 90, "costUSDPerDay": 40},
        "runtime": {"kind": "langgraph", "graph": "refunds:graph"},
    }
    bundle.update(changes)
    return {name: value for name, value in bundle.items() if value is not ...}


class Live:
    """Writes a live directory the way Ensign does: bundles first, every file complete by rename."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("fleet.json", canonical({"environment": "prod"}))

    def write(self, path: str, data: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".ensign-{threading.get_ident()}"
        temporary.write_bytes(data)
        temporary.replace(target)

    def bundle(self, bundle: object) -> str:
        data = bundle if isinstance(bundle, bytes) else canonical(bundle)
        digest = digest_of(data)
        self.write(self.bundle_path(digest), data)
        return digest

    def route(self, routes: list[dict[str, Any]], phase: str = "stable", agent: str = AGENT) -> None:
        route = {"agent": agent, "environment": "prod", "phase": phase, "routes": routes}
        self.write(self.route_path(agent), canonical(route))

    def deploy(self, *bundles: dict[str, Any], weights: tuple[int, ...] = (100,)) -> list[str]:
        """Publishes bundles and the route that names them, candidate first; returns their digests."""
        digests = [self.bundle(bundle) for bundle in bundles]
        routes = [
            {"version": bundle["version"], "digest": digest, "weight": weight}
            for bundle, digest, weight in zip(bundles, digests, weights)
        ]
        self.route(routes, phase="stable" if len(bundles) == 1 else "canary", agent=bundles[0]["agent"])
        return digests

    @staticmethod
    def route_path(agent: str = AGENT) -> str:
        return f"agents/{agent}.json"

    @staticmethod
    def bundle_path(digest: str) -> str:
        hexadecimal = digest.split(":")[1]
        return f"bundles/{hexadecimal[:2]}/{hexadecimal[2:]}.json"


class FleetTestCase(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="ensign test ")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "live – prod"
        self.root.mkdir()
        self.live = Live(self.root)
        self.fleet = Fleet(self.root)

    def refuses(self, error: type[EnsignError], *words: str, agent: str = AGENT) -> None:
        """A session is refused with exactly this kind of error, and a message with these words."""
        with self.assertRaises(EnsignError) as caught:
            self.fleet.session(agent, key="ticket-1")
        self.assertIs(type(caught.exception), error, caught.exception)
        for word in words:
            self.assertIn(word, str(caught.exception))


class RoutingTests(FleetTestCase):
    def test_the_shared_vectors(self) -> None:
        vectors = json.loads((VECTORS / "routing.json").read_text(encoding="utf-8"))
        self.assertEqual(len(vectors), 20)
        for vector in vectors:
            with self.subTest(agent=vector["agent"], key=vector["key"][:40]):
                routes = tuple(ensign.WeightedVersion(**route) for route in vector["routes"])
                bucket, choice = ensign.Route(vector["agent"], "prod", "canary", routes).select(vector["key"])
                self.assertEqual(bucket, vector["bucket"])
                self.assertIs(choice, routes[vector["index"]])

    def test_sessions_are_sticky_and_the_candidate_only_gains_as_its_weight_grows(self) -> None:
        seed = int(os.environ.get("ENSIGN_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
        print(f"routing property: ENSIGN_TEST_SEED={seed}", file=sys.stderr)
        source = random.Random(seed)
        keys = [f"{source.random()}" for _ in range(2_000)]
        for _ in range(5):
            candidate, stable = (digest_of(source.randbytes(8)) for _ in range(2))
            agent = f"team-{source.randrange(100)}/agent-{source.randrange(100)}"
            before: set[str] = set()
            for weight in sorted({0, 100, *(source.randrange(101) for _ in range(6))}):
                route = ensign.Route(
                    agent,
                    "prod",
                    "canary",
                    (
                        ensign.WeightedVersion("2.0.0", candidate, weight),
                        ensign.WeightedVersion("1.0.0", stable, 100 - weight),
                    ),
                )
                taken = {key for key in keys if route.select(key)[1].version == "2.0.0"}
                self.assertEqual(taken, {key for key in keys if route.select(key)[1].version == "2.0.0"})
                self.assertLessEqual(before, taken, f"sessions went back at weight {weight}")
                # Six standard deviations: 2,000 keys would miss this once in 500 million weights.
                self.assertAlmostEqual(len(taken) / len(keys), weight / 100, delta=6 * 0.5 / len(keys) ** 0.5)
                before = taken
            self.assertEqual(before, set(keys))

    def test_each_candidate_meets_other_sessions(self) -> None:
        keys = [f"ticket-{number}" for number in range(1_000)]
        first, second = (
            {key for key in keys if ensign.bucket(AGENT, digest_of(name), key) < 10} for name in (b"1", b"2")
        )
        self.assertLess(len(first & second), len(first) // 2)

    def test_a_key_keeps_its_version_and_no_key_draws_one(self) -> None:
        self.live.deploy(make_bundle("1.5.0"), make_bundle("1.4.0"), weights=(50, 50))
        for key in ("", "ticket-4711", "Zoë 🚢", "a\nb", "k" * 10_000):
            first = self.fleet.session(AGENT, key=key)
            self.assertEqual(self.fleet.session(AGENT, key).version, first.version)
            self.assertEqual((first.phase, first.key), ("canary", key))
        drawn = [self.fleet.session(AGENT) for _ in range(64)]
        self.assertEqual({session.version for session in drawn}, {"1.4.0", "1.5.0"})
        self.assertEqual(len({session.key for session in drawn}), 64)

    def test_keys_that_are_no_text_are_refused(self) -> None:
        self.live.deploy(make_bundle())
        for key in (b"ticket", 4711, "half \ud83d"):
            with self.subTest(key=key), self.assertRaises(InvalidArgument):
                self.fleet.session(AGENT, key=key)  # type: ignore[arg-type]


class SessionTests(FleetTestCase):
    def open(self, **changes: Any) -> Session:
        self.live.deploy(make_bundle(**changes))
        return self.fleet.session(AGENT, key="ticket-1")

    def test_everything_in_the_bundle_has_a_type(self) -> None:
        session = self.open()
        self.assertEqual((session.agent, session.version, session.environment), (AGENT, "1.4.0", "prod"))
        self.assertEqual(session.digest, digest_of(canonical(make_bundle())))
        self.assertEqual(session.instructions, "You are version 1.4.0.\nBe kind – and brief. 🙂\n")
        self.assertEqual(session.model, ensign.Model("anthropic", "claude-sonnet-4-5", {"temperature": 0.2}))
        self.assertEqual((session.owner, session.autonomy, session.phase), ("support", "full", "stable"))
        self.assertEqual(session.identity, f"spiffe://agents.example.com/prod/{AGENT}")
        self.assertEqual(session.artifact, digest_of(b"1.4.0"))
        self.assertEqual((session.labels, session.delegates), ({"domain": "refunds"}, ("it/escalation-desk",)))
        self.assertEqual(session.limits, ensign.Limits(8, 20_000, 0.5, 90, 40))
        self.assertEqual(session.runtime["graph"], "refunds:graph")
        self.assertEqual(session.contract["input"], {"type": "object"})
        self.assertEqual(session.bundle, make_bundle())
        crm, payments = session.tools
        self.assertEqual((crm.name, crm.version, crm.server), ("crm", "2.1.0", {"mcp": {"command": ["crm-mcp"]}}))
        self.assertEqual(payments.credentials, {"ref": "vault:payments"})
        refund = payments.operations["refund"]
        self.assertEqual((refund.access, refund.risk, refund.approval), ("execute", "high", "manager"))
        self.assertEqual((refund.timeout, refund.idempotent), (20.0, True))
        self.assertEqual(refund.expires, datetime.date(2027, 6, 30))
        self.assertNotIn("You are", repr(session))

    def test_what_a_bundle_may_leave_out(self) -> None:
        for value in (..., None):
            absent = ("description", "labels", "contract", "delegates", "limits", "runtime")
            session = self.open(tools=[], **{name: value for name in absent})
            self.assertEqual((session.description, session.labels, session.contract), (None, {}, {}))
            self.assertEqual((session.delegates, session.runtime, session.limits), ((), {}, ensign.Limits()))
            self.assertEqual((session.tools, session.tool_schemas()), ((), []))
        self.assertEqual(self.open(addedLater={"x": 1}).bundle["addedLater"], {"x": 1})

    def test_an_agent_may_have_no_model_and_several_prompts(self) -> None:
        prompts = {"reply": "Reply.\n", "triage": "Sort.\n"}
        store = {"kind": "memory", "scope": "agent"}
        tools = [{**make_bundle()["tools"][0], "store": store}]
        triggers = [{"cron": "0 6 * * *"}]
        session = self.open(
            model=None, instructions=None, prompts=prompts, name="refund_triage", triggers=triggers, tools=tools
        )
        self.assertEqual((session.has_model, session.prompts, session.alias), (False, prompts, "refund_triage"))
        self.assertEqual((session.triggers, session.tools[0].store), (tuple(triggers), store))
        with self.assertRaisesRegex(ensign.NotDeclared, "no model of its own"):
            _ = session.model
        with self.assertRaisesRegex(ensign.NotDeclared, "its prompts are reply, triage"):
            _ = session.instructions
        self.assertNotIn("gen_ai.request.model", session.telemetry_attributes())
        self.assertIn("ensign.bundle", session.telemetry_attributes())
        other = {"provider": "openai", "name": "gpt-5", "parameters": {}}
        session = self.open(model={**other, "fallbacks": [{**other, "name": "gpt-4"}]})
        self.assertEqual([model.name for model in session.model.fallbacks], ["gpt-4"])
        self.assertEqual((session.alias, session.prompts, session.triggers), (None, {}, ()))

    def test_only_what_was_granted_is_allowed(self) -> None:
        session = self.open()
        today = datetime.date(2027, 6, 30)
        refund, lookup = session.allowed("payments", "refund", today=today), session.allowed("crm", "lookup")
        assert refund is not None and lookup is not None
        self.assertTrue(refund.needs_approval)
        self.assertFalse(lookup.needs_approval)
        for tool, operation in (("payments", "lookup"), ("crm", "refund"), ("mail", "send"), ("", "")):
            self.assertIsNone(session.allowed(tool, operation, today=today))
        self.assertIs(session.resolve("payments__refund", today=today), refund)
        for name in ("payments.refund", "refund", "payments_refund", "mcp__payments__refund"):
            self.assertIs(session.resolve(name, today=today), refund, name)
        for name in (
            "payments__",
            "__refund",
            "payments__lookup",
            "payments.lookup",
            "payments__refund__",
            "mail__refund",
        ):
            self.assertIsNone(session.resolve(name, today=today), name)

    def test_a_model_calls_each_operation_by_a_name_of_its_own_that_apis_accept(self) -> None:
        vectors = json.loads((VECTORS / "model-names.json").read_text(encoding="utf-8"))
        for vector in vectors:
            name = ensign.model_name(vector["tool"], vector["operation"])
            self.assertEqual(name, vector["name"])
            self.assertRegex(name, r"\A[A-Za-z0-9_-]{1,64}\Z")
        self.assertEqual(len({vector["name"] for vector in vectors}), len(vectors))

    def test_a_name_means_the_one_granted_operation_that_it_can_mean(self) -> None:
        for vector in json.loads((VECTORS / "tool-names.json").read_text(encoding="utf-8")):
            session = self.granting(vector["granted"])
            for each in vector["names"]:
                found = [f"{operation.tool}.{operation.name}" for operation in session.candidates(each["name"])]
                self.assertEqual(found, each["means"], each["name"])
                with contextlib.nullcontext() if len(found) < 2 else self.assertLogs("ensign", "WARNING"):
                    resolved = session.resolve(each["name"])
                self.assertEqual(
                    [resolved.name] if resolved else [], [one.partition(".")[2] for one in found] * (len(found) == 1)
                )

    def test_whatever_is_granted_each_schema_resolves_to_its_operation(self) -> None:
        seed = int(os.environ.get("ENSIGN_TEST_SEED", random.randrange(1 << 32)))
        random_ = random.Random(seed)
        for _ in range(200):
            granted = [
                {
                    "tool": random_.choice(["a", "b", "a-b", "a--b", "t" * 63]),
                    "operation": "".join(random_.choice("ab_-.AB0") for _ in range(random_.choice((1, 2, 3, 5, 128)))),
                }
                for _ in range(random_.randint(1, 12))
            ]
            session = self.granting(granted)
            names = [schema["name"] for schema in session.tool_schemas()]
            with self.subTest(seed=seed, granted=granted):
                self.assertEqual(len(set(names)), len({(one["tool"], one["operation"]) for one in granted}))
                for name in names:
                    self.assertRegex(name, r"\A[A-Za-z0-9_-]{1,64}\Z")
                    operation = session.resolve(name)
                    self.assertEqual(operation and operation.schema_name, name)

    def granting(self, granted: list[dict[str, str]]) -> Session:
        tools: dict[str, dict[str, Any]] = {}
        for one in granted:
            operation: dict[str, Any] = {"access": "read", "risk": "low", "approval": "none"}
            if "server" in one:
                operation["mcp"] = {"tool": one["server"]}
            tools.setdefault(one["tool"], {})[one["operation"]] = operation
        return self.open(
            tools=[{"tool": tool, "version": "1.0.0", "operations": found} for tool, found in sorted(tools.items())]
        )

    def test_a_grant_ends_after_its_last_day(self) -> None:
        session = self.open()
        after = datetime.date(2027, 7, 1)
        self.assertIsNone(session.allowed("payments", "refund", today=after))
        self.assertIsNone(session.resolve("payments__refund", today=after))
        self.assertEqual([schema["name"] for schema in session.tool_schemas(today=after)], ["crm__lookup"])
        self.assertIsNotNone(session.allowed("crm", "lookup", today=after))

    def test_an_approval_unknown_to_this_client_needs_approval(self) -> None:
        tools = make_bundle()["tools"]
        tools[0]["operations"]["lookup"]["approval"] = "board"
        operation = self.open(tools=tools).allowed("crm", "lookup")
        assert operation is not None
        self.assertTrue(operation.needs_approval)

    def test_tool_schemas_are_what_model_interfaces_want(self) -> None:
        schemas = self.open().tool_schemas(today=datetime.date(2026, 1, 1))
        self.assertEqual(
            schemas,
            [
                # It declares no input, so it takes no arguments.
                {
                    "name": "crm__lookup",
                    "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
                },
                {
                    "name": "payments__refund",
                    "description": "Give money back.",
                    "input_schema": AMOUNT,
                },
            ],
        )
        for schema in schemas:
            self.assertRegex(schema["name"], r"\A[a-zA-Z0-9_-]{1,128}\Z")

    def test_changing_what_a_session_gave_changes_no_other_session(self) -> None:
        session = self.open()
        session.tool_schemas()[1]["input_schema"]["properties"].clear()
        session.bundle["tools"].clear()
        session.model.parameters["temperature"] = 2
        other = self.fleet.session(AGENT, key="ticket-1")
        self.assertEqual((other.bundle, other.model.parameters), (make_bundle(), {"temperature": 0.2}))
        self.assertEqual(session.tool_schemas()[1], other.tool_schemas()[1])

    def test_telemetry_names_the_bundle(self) -> None:
        session = self.open()
        self.assertEqual(
            session.telemetry_attributes(),
            {
                "gen_ai.agent.id": f"spiffe://agents.example.com/prod/{AGENT}",
                "gen_ai.agent.name": AGENT,
                "gen_ai.agent.version": "1.4.0",
                "gen_ai.provider.name": "anthropic",
                "gen_ai.request.model": "claude-sonnet-4-5",
                "deployment.environment.name": "prod",
                "ensign.bundle": session.digest,
                "ensign.session": hashlib.sha256(session.key.encode()).hexdigest()[:16],
            },
        )

    def test_telemetry_names_the_session_and_not_its_key(self) -> None:
        self.open()
        one, same, other = (self.fleet.session(AGENT, key=key) for key in ("ticket-1", "ticket-1", "ticket-2"))
        names = [session.telemetry_attributes()["ensign.session"] for session in (one, same, other)]
        self.assertEqual(names[0], names[1])
        self.assertNotEqual(names[0], names[2])
        self.assertNotIn("ticket", names[0])

    def test_limits_say_which_one_is_exceeded(self) -> None:
        limits = self.open().limits
        self.assertIsNone(limits.exceeded(steps=8, tokens=20_000, cost_usd=0.5, seconds=90))
        self.assertEqual(limits.exceeded(steps=9), "9 steps, the limit is 8")
        self.assertEqual(limits.exceeded(cost_usd=0.51), "0.51 USD, the limit is 0.5")
        self.assertIsNone(ensign.Limits().exceeded(steps=10**9, tokens=10**9, cost_usd=1e9, seconds=1e9))


class ChangeTests(FleetTestCase):
    """Files that are replaced while sessions come and go."""

    def test_the_next_session_sees_the_change_and_an_open_one_does_not(self) -> None:
        self.live.deploy(make_bundle("1.4.0"))
        before = self.fleet.session(AGENT, key="ticket-1")
        self.live.deploy(make_bundle("1.5.0"))
        self.assertEqual(
            self.fleet.session(AGENT, key="ticket-1").instructions.split("\n")[0], "You are version 1.5.0."
        )
        self.assertEqual(before.instructions.split("\n")[0], "You are version 1.4.0.")
        self.live.deploy(make_bundle("1.4.0"))
        self.assertEqual(self.fleet.session(AGENT, key="ticket-1").digest, before.digest)

    def test_a_halted_agent_starts_no_session(self) -> None:
        self.live.deploy(make_bundle())
        session = self.fleet.session(AGENT)
        session.raise_if_halted()
        self.live.route([], phase="halted")
        self.refuses(AgentHalted, AGENT, "halted in prod")
        with self.assertRaises(AgentHalted):
            session.raise_if_halted()
        self.assertEqual(self.fleet.route(AGENT).routes, ())
        self.live.deploy(make_bundle())
        session.raise_if_halted()
        self.fleet.session(AGENT)

    def test_halted_decides_whatever_else_the_route_says(self) -> None:
        digest = self.live.bundle(make_bundle())
        for routes in ([{"version": "1.4.0", "digest": digest, "weight": 100}], "none", None, [7]):
            self.live.route(routes, phase="halted")  # type: ignore[arg-type]
            self.refuses(AgentHalted)

    def test_a_removed_agent_stops_its_sessions_too(self) -> None:
        self.live.deploy(make_bundle())
        session = self.fleet.session(AGENT)
        (self.root / self.live.route_path()).unlink()
        self.refuses(AgentNotFound, AGENT)
        with self.assertRaises(AgentHalted):
            session.raise_if_halted()

    def test_a_bundle_removed_after_the_route_was_read_sends_us_back_to_the_route(self) -> None:
        (old,) = self.live.deploy(make_bundle("1.4.0"))
        read: Callable[..., Optional[bytes]] = ensign._read
        waits: list[float] = []

        def read_late(path: str, *rest: Any) -> Optional[bytes]:
            if path.endswith(self.live.bundle_path(old)):
                self.live.deploy(make_bundle("1.5.0"))
                (self.root / self.live.bundle_path(old)).unlink(missing_ok=True)
            return read(path, *rest)

        with mock.patch.object(ensign, "_read", read_late), mock.patch("ensign.time.sleep", waits.append):
            self.assertEqual(self.fleet.session(AGENT, key="ticket-1").version, "1.5.0")
        self.assertEqual(len(waits), 1)

    def test_an_agent_halted_while_its_bundle_vanishes_is_halted(self) -> None:
        (digest,) = self.live.deploy(make_bundle())
        (self.root / self.live.bundle_path(digest)).unlink()
        with mock.patch("ensign.time.sleep", lambda _: self.live.route([], phase="halted")):
            self.refuses(AgentHalted)

    def test_a_bundle_that_stays_away_is_an_error_after_a_bounded_wait(self) -> None:
        (digest,) = self.live.deploy(make_bundle())
        (self.root / self.live.bundle_path(digest)).unlink()
        waits: list[float] = []
        with mock.patch("ensign.time.sleep", waits.append):
            self.refuses(FleetUnavailable, digest, "ensign reconcile --env prod")
        self.assertLess(sum(waits), 0.5)

    def test_changed_bytes_are_never_used(self) -> None:
        data = canonical(make_bundle())
        (digest,) = self.live.deploy(make_bundle())
        for changed in (data[:-1], data + b"\n", data.replace(b"100", b"900"), data[: len(data) // 2], b"", b"\0" * 99):
            with self.subTest(changed=changed[:20]):
                self.live.write(self.live.bundle_path(digest), changed)
                self.refuses(CorruptBundle, "ensign drift", digest_of(changed))
        self.live.write(self.live.bundle_path(digest), data)
        self.assertEqual(self.fleet.session(AGENT).digest, digest)

    def test_verified_bundles_are_kept_within_bounds(self) -> None:
        bundles = [make_bundle(f"1.{minor}.0", instructions="x" * 1_000) for minor in range(10)]
        size = len(canonical(bundles[0]))
        self.fleet = Fleet(self.root, cache_bytes=3 * size + 10)
        reads: list[str] = []
        read: Callable[..., Optional[bytes]] = ensign._read

        def counting(path: str, *rest: Any) -> Optional[bytes]:
            reads.append(path)
            return read(path, *rest)

        def bundle_reads(index: int) -> int:
            self.live.deploy(bundles[index])
            reads.clear()
            self.assertEqual(self.fleet.session(AGENT).version, f"1.{index}.0")
            return sum("bundles" in path for path in reads)

        with mock.patch.object(ensign, "_read", counting):
            self.assertEqual([bundle_reads(index) for index in range(10)], [1] * 10)
            self.assertEqual([bundle_reads(index) for index in (9, 8, 7)], [0, 0, 0])
            self.assertEqual(bundle_reads(6), 1)  # Pushes out 9, the least recently used.
            self.assertEqual([bundle_reads(index) for index in (8, 7, 9)], [0, 0, 1])
            self.fleet = Fleet(self.root, cache_bytes=0)
            self.assertEqual([bundle_reads(0), bundle_reads(0)], [1, 1])

    def test_readers_and_a_fast_writer(self) -> None:
        """For a second, one thread publishes versions and removes old bundles while others open sessions."""
        versions, opened = [f"1.{minor}.0" for minor in range(7)], [0] * 4
        problems: list[str] = []
        self.live.deploy(make_bundle(versions[0]))
        self.fleet = Fleet(self.root, cache_bytes=2_000)  # Too small for two bundles: most reads go to the disk.
        deadline = time.monotonic() + 1

        def write() -> None:
            published: list[str] = []
            turn = 0
            while time.monotonic() < deadline:
                turn += 1
                candidate, stable = (make_bundle(versions[(turn + step) % 7], serial=turn) for step in (1, 0))
                published += self.live.deploy(candidate, stable, weights=(turn % 101, 100 - turn % 101))
                while len(published) > 6:
                    (self.root / self.live.bundle_path(published.pop(0))).unlink()

        def read(reader: int) -> None:
            while time.monotonic() < deadline:
                try:
                    session = self.fleet.session(AGENT, key=f"{reader}-{opened[reader] % 10}")
                    if session.instructions.split("\n")[0] != f"You are version {session.version}.":
                        problems.append(f"mixed: {session!r}")
                    opened[reader] += 1
                except Exception as problem:
                    problems.append(repr(problem))

        threads = [threading.Thread(target=write), *(threading.Thread(target=read, args=(n,)) for n in range(4))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])
        self.assertTrue(all(opened), opened)


class MalformedTests(FleetTestCase):
    """Whatever is on the disk, the answer is one of our errors with the reason in it."""

    def test_names_are_checked_before_any_file_is_touched(self) -> None:
        secret = self.root.parent / "secret.json"
        secret.write_bytes(canonical({"agent": "../secret"}))
        names: list[object] = [
            "", "/", "a", "a/", "/a", "a/b/c", "../secret", "../../secret", "support/..", "./a", "support/.",
            "support/../support/refund-triage", "/etc/passwd", "support//refund-triage", "Support/refund-triage",
            "support/refund_triage", "support/-a", "support/a-", "support/a.json", "support/a\n", "support/a\0",
            "support\\a", "support/" + "a" * 64, "süpport/a", "support/а", "support/a ", None, 7, b"a/b", ["a/b"],
        ]  # fmt: skip
        with mock.patch("ensign.os.open", side_effect=AssertionError("touched the file system")):
            for name in names:
                with self.subTest(name=name), self.assertRaises(InvalidArgument):
                    self.fleet.session(name, key="k")  # type: ignore[arg-type]
        self.live.deploy(make_bundle(agent="a/" + "b" * 63))
        self.fleet.session("a/" + "b" * 63)

    def test_missing_fleets_and_agents_differ(self) -> None:
        self.refuses(AgentNotFound, AGENT)
        (self.root / "fleet.json").unlink()
        self.refuses(FleetUnavailable, "fleet.json")
        for path in (self.root / "no-such-folder", self.root / "a\0b", self.root / "file" / "below"):
            (self.root / "file").write_bytes(b"")
            self.fleet = Fleet(path)
            self.refuses(FleetUnavailable)

    def test_files_that_are_no_files(self) -> None:
        (digest,) = self.live.deploy(make_bundle())
        for path in (self.live.bundle_path(digest), self.live.route_path()):
            (self.root / path).unlink()
            (self.root / path).mkdir()
            self.refuses(FleetUnavailable, path)
            (self.root / path).rmdir()
            os.mkfifo(self.root / path)
            self.refuses(FleetUnavailable, "not a regular file")
            (self.root / path).unlink()
            os.symlink(path.rsplit("/", 1)[1], self.root / path)
            self.refuses(FleetUnavailable, path)

    def test_files_that_cannot_be_read(self) -> None:
        self.live.deploy(make_bundle())
        for problem in (PermissionError(13, "Permission denied"), OSError(5, "Input/output error")):
            with mock.patch("ensign.os.open", side_effect=problem):
                self.refuses(FleetUnavailable, "cannot read", str(problem.strerror))

    def test_no_descriptor_is_left_open(self) -> None:
        folder = Path("/proc/self/fd")
        if not folder.exists():
            self.skipTest("no /proc here")
        self.live.deploy(make_bundle())
        count = len(list(folder.iterdir()))
        self.test_files_that_are_no_files()
        self.assertEqual(len(list(folder.iterdir())), count)

    def test_malformed_json(self) -> None:
        digest = self.live.bundle(make_bundle())
        routes = b'[{"version":"1.4.0","digest":"%s","weight":100}]' % digest.encode()
        good = b'{"agent":"support/refund-triage","environment":"prod","phase":"stable","routes":%s}'
        self.live.write(self.live.route_path(), good % routes)
        self.fleet.session(AGENT)
        cases: dict[str, tuple[bytes, str]] = {
            "empty": (b"", "not valid JSON"),
            "cut off": ((good % routes)[:-5], "not valid JSON"),
            "two documents": (good % routes * 2, "not valid JSON"),
            "not UTF-8": (b"\xff\xfe{}", "not valid JSON"),
            "byte-order mark": (b"\xef\xbb\xbf" + good % routes, "not valid JSON"),
            "duplicate key": (b'{"agent":"a/b",' + (good % routes)[1:], "duplicate key 'agent'"),
            "NaN": (good % b'[{"weight":NaN}]', "NaN is not a JSON number"),
            "half a character": (good.replace(b"prod", b"\\uD83D") % routes, "not valid JSON"),
            "deep": (b'{"a":' + b"[" * 60_000, "not valid JSON"),
            "long number": (good % b'[{"weight":%s}]' % (b"9" * 10_000), ""),
            "an array": (b"[]", "expected an object, found an array"),
            "null": (b"null", "expected an object, found null"),
            "large": (b" " * (64 << 10) + good % routes, "larger than 65536 bytes"),
        }
        for name, (data, words) in cases.items():
            with self.subTest(name):
                self.live.write(self.live.route_path(), data)
                self.refuses(CorruptRoute, words, self.live.route_path())

    def test_malformed_routes(self) -> None:
        digest = self.live.bundle(make_bundle())
        entry = {"version": "1.4.0", "digest": digest, "weight": 100}
        good = {"agent": AGENT, "environment": "prod", "phase": "stable", "routes": [entry]}
        cases: list[tuple[dict[str, Any], str]] = [
            ({"agent": ...}, "agent: missing"),
            ({"agent": "it/other"}, "names 'it/other'"),
            ({"agent": 7}, "agent: expected text, found a number"),
            ({"environment": ...}, "environment: missing"),
            ({"environment": None}, "environment: expected text, found null"),
            ({"phase": ...}, "phase: missing"),
            ({"phase": "paused"}, "unknown phase 'paused'"),
            ({"phase": "Halted"}, "unknown phase 'Halted'"),
            ({"phase": ["halted"]}, "phase: expected text, found an array"),
            ({"routes": ...}, "routes: missing"),
            ({"routes": {}}, "routes: expected an array, found an object"),
            ({"routes": []}, "weights add up to 0, not to 100"),
            ({"routes": [7]}, "routes[0]: expected an object"),
            ({"routes": [entry, None]}, "routes[1]: expected an object, found null"),
        ]
        changes: list[tuple[dict[str, Any], str]] = [
            ({"version": ...}, "routes[0]: version: missing"),
            ({"version": 1.4}, "version: expected text, found a decimal"),
            ({"digest": ...}, "routes[0]: digest: missing"),
            ({"digest": digest[7:]}, "is not sha256:"),
            ({"digest": digest.upper()}, "is not sha256:"),
            ({"digest": digest + "\n"}, "is not sha256:"),
            ({"digest": "sha256:../../../../etc/passwd"}, "is not sha256:"),
            ({"digest": "sha256:" + "/" * 64}, "is not sha256:"),
            ({"weight": ...}, "routes[0]: weight: missing"),
            ({"weight": "100"}, "weight: expected a whole number, found text"),
            ({"weight": 100.0}, "weight: expected a whole number, found a decimal"),
            ({"weight": True}, "weight: expected a whole number, found a boolean"),
            ({"weight": 99}, "weights add up to 99, not to 100"),
            ({"weight": 101}, "101 is not in 0...100"),
            ({"weight": -1}, "-1 is not in 0...100"),
        ]

        def changed(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in {**base, **change}.items() if value is not ...}

        cases += [({"routes": [changed(entry, change)]}, words) for change, words in changes]
        cases += [({"routes": [{**entry, "weight": weight}, entry]}, "weights add up") for weight in (1, 100)]
        cases.append(({"routes": [{**entry, "weight": -50}, {**entry, "weight": 150}]}, "is not in 0...100"))
        for change, words in cases:
            with self.subTest(change=change):
                self.live.write(self.live.route_path(), canonical(changed(good, change)))
                self.refuses(CorruptRoute, words, self.live.route_path())

    def test_malformed_bundles(self) -> None:
        def tool(**changes: Any) -> dict[str, Any]:
            return {"tools": [{**make_bundle()["tools"][1], **changes}]}

        def operation(**changes: Any) -> dict[str, Any]:
            base = {**make_bundle()["tools"][1]["operations"]["refund"], **changes}
            kept = {name: value for name, value in base.items() if value is not ...}
            return tool(operations={"refund": kept})

        required = ("agent", "version", "environment", "artifact", "owner", "identity", "instructions", "model")
        cases: list[tuple[dict[str, Any], str]] = [
            *(({name: ...}, f"{name}: missing") for name in (*required, "tools", "autonomy")),
            *(({name: 7}, f"{name}: expected") for name in (*required, "tools", "autonomy", "labels", "limits")),
            ({"agent": "it/other"}, "is 'it/other', and the route says"),
            ({"environment": "dev"}, "is 'dev', and the route says 'prod'"),
            ({"model": {"provider": "anthropic"}}, "model: name: missing"),
            ({"model": {"provider": "anthropic", "name": "m", "parameters": []}}, "model: parameters: expected an obj"),
            ({"labels": {"a": 1}}, "labels: a: expected text"),
            ({"prompts": {"a": 1}}, "prompts: a: expected text"),
            ({"triggers": ["daily"]}, "triggers[0]: expected an object"),
            (
                {"model": {"provider": "a", "name": "b", "fallbacks": [{"name": "c"}]}},
                "fallbacks[0]: provider: missing",
            ),
            (tool(store="memory"), "tools[0]: store: expected an object"),
            ({"delegates": "it/desk"}, "delegates: expected an array, found text"),
            ({"delegates": [None]}, "delegates[0]: expected text, found null"),
            ({"limits": {"steps": 1.5}}, "limits: steps: expected a whole number"),
            ({"limits": {"costUSD": "1"}}, "limits: costUSD: expected a whole number"),
            ({"tools": {"crm": {}}}, "tools: expected an array"),
            ({"tools": ["crm"]}, "tools[0]: expected an object"),
            (tool(tool=None), "tools[0]: tool: expected text"),
            (tool(server="x"), "tools[0]: server: expected an object"),
            (tool(credentials="vault:x"), "tools[0]: credentials: expected an object"),
            (tool(operations=["refund"]), "tools[0]: operations: expected an object"),
            (tool(operations={"refund": None}), "tools[0]: operations: refund: expected an object"),
            (operation(approval=...), "tools[0]: operations: refund: approval: missing"),
            (operation(access=True), "refund: access: expected text"),
            (operation(input=7), "refund: input: expected an object"),
            (operation(timeout=20), "refund: timeout: expected text"),
            (operation(timeout="20 s"), "refund: timeout: '20 s' is not a whole number and"),
            (operation(idempotent="yes"), "refund: idempotent: expected a boolean"),
            (operation(expires="2027-02-30"), "refund: expires: '2027-02-30' is not a date"),
            (operation(expires="20270630"), "refund: expires: '20270630' is not a date"),
        ]
        for change, words in cases:
            with self.subTest(change=change):
                digest = self.live.bundle(make_bundle(**change))
                self.live.route([{"version": "1.4.0", "digest": digest, "weight": 100}])
                self.refuses(CorruptBundle, words, digest)

    def test_a_route_that_names_another_version_or_agent_is_caught(self) -> None:
        self.live.route([{"version": "1.5.0", "digest": self.live.bundle(make_bundle()), "weight": 100}])
        self.refuses(CorruptBundle, "version: is '1.4.0', and the route says '1.5.0'")
        self.live.route([{"version": "1.4.0", "digest": self.live.bundle(make_bundle(agent="it/root")), "weight": 100}])
        self.refuses(CorruptBundle, "agent: is 'it/root'")

    def test_content_with_the_right_digest_that_is_no_bundle(self) -> None:
        for data in (b"", b"null", b"[" * 200_000, b"\xff", b'{"agent":"a","agent":"b"}'):
            self.live.route([{"version": "1.4.0", "digest": self.live.bundle(data), "weight": 100}])
            self.refuses(CorruptBundle, digest_of(data))

    def test_any_bytes_give_a_session_or_one_of_our_errors(self) -> None:
        seed = int(os.environ.get("ENSIGN_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
        print(f"malformed property: ENSIGN_TEST_SEED={seed}", file=sys.stderr)
        source = random.Random(seed)
        bundle = canonical(make_bundle())
        self.live.deploy(make_bundle())
        route = (self.root / self.live.route_path()).read_bytes()
        for _ in range(400):
            changed = bytearray(source.choice((route, bundle)))
            of_route = changed == route
            for _ in range(source.randrange(1, 6)):
                at = source.randrange(len(changed))
                changed[at : at + source.randrange(4)] = source.choice((b"", b"\0", b"{", b'"', b"[]", b"9", b"\xc3"))
            if of_route:
                self.live.write(self.live.route_path(), bytes(changed))
            else:
                self.live.route([{"version": "1.4.0", "digest": self.live.bundle(bytes(changed)), "weight": 100}])
            with contextlib.suppress(EnsignError), mock.patch("ensign.time.sleep"):
                self.fleet.session(AGENT)


class CommandLineTests(FleetTestCase):
    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            try:
                code = ensign.main(arguments)
            except SystemExit as exit:
                code = int(exit.code or 0)
        return code, out.getvalue(), error.getvalue()

    def test_it_prints_the_route_as_json(self) -> None:
        digests = self.live.deploy(make_bundle("1.5.0"), make_bundle("1.4.0"), weights=(50, 50))
        for number in range(20):
            code, out, error = self.run_main(str(self.root), AGENT, "--key", f"ticket-{number}")
            bucket = ensign.bucket(AGENT, digests[0], f"ticket-{number}")
            index = 0 if bucket < 50 else 1
            self.assertEqual((code, error), (0, ""))
            self.assertEqual(
                json.loads(out),
                {
                    "agent": AGENT,
                    "environment": "prod",
                    "phase": "canary",
                    "version": ("1.5.0", "1.4.0")[index],
                    "digest": digests[index],
                    "bucket": bucket,
                },
            )
        self.assertEqual(self.run_main(str(self.root), AGENT)[0], 0)

    def test_exit_codes(self) -> None:
        self.assertEqual(self.run_main(str(self.root), AGENT, "--key", "k")[0], 1)
        self.assertEqual(self.run_main(str(self.root / "none"), AGENT, "--key", "k")[0], 1)
        self.live.route([], phase="halted")
        code, out, error = self.run_main(str(self.root), AGENT, "--key", "k")
        self.assertEqual((code, out), (4, ""))
        self.assertRegex(error, "^error: agent support/refund-triage is halted in prod")
        self.live.write(self.live.route_path(), b"{}")
        self.assertEqual(self.run_main(str(self.root), AGENT, "--key", "k")[0], 5)
        self.assertEqual(self.run_main(str(self.root), "../x", "--key", "k")[0], 64)
        self.assertEqual(self.run_main(str(self.root))[0], 64)

    def test_it_runs_as_a_program(self) -> None:
        self.live.deploy(make_bundle())
        program = [sys.executable, "-B", str(Path(ensign.__file__)), str(self.root), AGENT, "--key", "Zoë"]
        run = subprocess.run(program, capture_output=True, timeout=60, check=True)
        self.assertEqual(json.loads(run.stdout)["version"], "1.4.0")
        self.assertEqual(run.stderr, b"")


class ExampleTests(FleetTestCase):
    def run_example(self, *arguments: str) -> tuple[int, str, str]:
        program = [sys.executable, "-B", str(EXAMPLE), str(self.root), AGENT, "--key", "ticket-4711", *arguments]
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        run = subprocess.run(program, capture_output=True, timeout=60, encoding="utf-8", env=environment, check=False)
        return run.returncode, run.stdout, run.stderr

    def test_the_next_run_has_the_new_prompt(self) -> None:
        for version in ("1.4.0", "1.5.0", "1.4.0"):
            (digest,) = self.live.deploy(make_bundle(version))
            code, out, error = self.run_example()
            self.assertEqual((code, error), (0, ""))
            for words in (f"{AGENT} {version} in prod", digest, f"| You are version {version}."):
                self.assertIn(words, out)

    def test_each_call_is_checked(self) -> None:
        tools = make_bundle()["tools"]
        tools[1]["operations"]["refund"]["expires"] = "9999-12-31"
        self.live.deploy(make_bundle(tools=tools))
        _, out, _ = self.run_example("--ticket", "Please send back 40.00 EUR, no: 2500.00 EUR")
        self.assertIn('payments.refund {"amount": 40.0}\n     -> waits for approval: manager\n', out)
        self.assertIn('{"amount": 2500.0}\n     -> refused: payments.refund: amount: maximum: 100. Nothing was done.\n', out)
        self.assertIn("mail.send {", out)
        self.assertTrue(out.endswith(f"-> refused: {AGENT} is not granted 'mail__send'\n"), out)
        self.live.deploy(make_bundle(tools=tools, limits={"steps": 2}))
        self.assertTrue(self.run_example()[1].endswith("stopped: 3 steps, the limit is 2\n"))

    def test_a_halted_agent_does_not_run(self) -> None:
        self.live.route([], phase="halted")
        code, out, error = self.run_example()
        self.assertEqual((code, out), (4, ""))
        self.assertRegex(error, "^halted: agent support/refund-triage is halted in prod")


if __name__ == "__main__":
    unittest.main()
