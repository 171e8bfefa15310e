"""Tests of `Session.tools_for`: which of a program's tools an agent gets, whatever kind of thing they are."""

from __future__ import annotations

import datetime
import logging
import unittest
from types import SimpleNamespace
from typing import Any
from unittest import mock

import ensign
from test_ensign import FleetTestCase, make_bundle

GRANTED, OTHER = "payments__refund", "mail__send"
BEFORE, AFTER = datetime.date(2027, 6, 1), datetime.date(2027, 7, 1)


def function(name: str) -> Any:
    def made() -> None: ...

    made.__name__ = name
    return made


def kinds(name: str) -> dict[str, Any]:
    """One tool of each kind that programs have."""
    return {
        "name": name,
        "function": function(name),
        "LangChain, MCP, CrewAI, OpenAI Agents, Pydantic AI, ADK": SimpleNamespace(name=name, description="..."),
        "Strands": SimpleNamespace(tool_name=name, tool_type="function"),
        "OpenAI chat": {"type": "function", "function": {"name": name, "parameters": {}}},
        "OpenAI chat, object": SimpleNamespace(type="function", function=SimpleNamespace(name=name)),
        "OpenAI responses": {"type": "function", "name": name, "parameters": {}},
        "Anthropic": {"name": name, "input_schema": {"type": "object"}},
        "MCP": {"name": name, "inputSchema": {"type": "object"}},
        "Bedrock": {"toolSpec": {"name": name, "inputSchema": {"json": {}}}},
    }


class ToolsTests(FleetTestCase):
    def setUp(self) -> None:
        super().setUp()
        silence = logging.NullHandler()
        ensign._log.addHandler(silence)
        self.addCleanup(ensign._log.removeHandler, silence)

    def open(self, **changes: Any) -> ensign.Session:
        self.live.deploy(make_bundle(**changes))
        ensign._said.clear()
        return self.fleet.session("support/refund-triage", key="ticket-1")

    def test_a_tool_of_any_kind_is_kept_if_it_was_granted_and_left_out_if_not(self) -> None:
        session = self.open()
        for (kind, granted), other in zip(kinds(GRANTED).items(), kinds(OTHER).values()):
            with self.subTest(kind), self.assertLogs("ensign", "WARNING"):
                tools = session.tools_for([other, granted], today=BEFORE)
                self.assertEqual((list(tools), tools.dropped, tools.missing), ([granted], (OTHER,), ("crm.lookup",)))
                self.assertIs(tools[0], granted)
                self.assertTrue(session.allows(granted, today=BEFORE))
                self.assertFalse(session.allows(granted, today=AFTER))
                self.assertFalse(session.allows(other, today=BEFORE))
                ensign._said.clear()

    def test_order_stays_and_nothing_is_said_when_all_fits(self) -> None:
        session = self.open()
        with mock.patch.object(ensign._log, "warning") as said:
            tools = session.tools_for(["payments__refund", "crm__lookup"], today=BEFORE)
        said.assert_not_called()
        self.assertEqual((tools, tools.dropped, tools.missing), (["payments__refund", "crm__lookup"], (), ()))
        self.assertEqual(session.tools_for(iter(tools), today=BEFORE), tools)

    def test_what_has_no_name_is_left_out_and_named_for_people(self) -> None:
        session = self.open()
        for odd, said in (
            ({}, "a dict without a name"),
            ({"type": "web_search"}, "web_search"),
            ({"name": 7, "type": "x"}, "x"),
            ({"function": "crm__lookup"}, "a dict without a name"),
            (object(), "object"),
            (SimpleNamespace(name=None), "SimpleNamespace"),
            (7, "int"),
            (None, "NoneType"),
            ("", ""),
        ):
            with self.subTest(odd=odd), self.assertLogs("ensign", "WARNING"):
                tools = session.tools_for([odd])
                self.assertEqual((list(tools), tools.dropped), ([], (said,)))
                ensign._said.clear()

    def test_a_group_of_declarations_keeps_those_that_are_granted(self) -> None:
        session = self.open()
        for member in ("function_declarations", "functionDeclarations"):
            group = {member: [{"name": GRANTED}, {"name": OTHER}], "x": 1}
            tools = session.tools_for([group, {member: [{"name": OTHER}]}], today=BEFORE)
            self.assertEqual(list(tools), [{member: [{"name": GRANTED}], "x": 1}])
            self.assertEqual(tools.dropped, (OTHER, OTHER))
            self.assertEqual(len(group[member]), 2)

    def test_the_names_of_one_server_are_that_servers_alone(self) -> None:
        tools = make_bundle()["tools"]
        tools[1]["operations"]["lookup"] = {"access": "read", "risk": "low", "approval": "none"}
        session = self.open(tools=tools)
        found = session.tools_for(["lookup", "refund"], of="payments", today=BEFORE)
        self.assertEqual((list(found), found.dropped, found.missing), (["lookup", "refund"], (), ()))
        for names in (["refund"], ["payments__lookup"]):
            self.assertEqual(list(session.tools_for(names, of="crm", today=BEFORE)), [])
        with self.assertLogs("ensign", "WARNING") as logged:
            self.assertEqual(list(session.tools_for(["lookup"], today=BEFORE)), [])
        self.assertIn("several operations can be meant by 'lookup': say of=TOOL", logged.output[0])
        self.assertFalse(session.allows("lookup", today=BEFORE))
        self.assertTrue(session.allows("lookup", of="crm", today=BEFORE))
        self.assertEqual(list(session.tools_for(["lookup"], of="mail", today=BEFORE)), [])

    def test_it_is_said_once_for_each_bundle_and_set_of_names_in_bounded_words(self) -> None:
        session = self.open()
        many = ["crm__lookup", *(f"no\n{number}" + "x" * 500 for number in range(1_000))]
        with self.assertLogs("ensign", "WARNING") as logged:
            for _ in range(3):
                self.assertEqual(len(session.tools_for(many, today=AFTER).dropped), 1_000)
            session.tools_for(["mail__send"], today=AFTER)
        self.assertEqual(len(logged.output), 2)
        self.assertLess(len(logged.output[0]), 4_000)
        self.assertNotIn("\n", logged.output[0])
        self.assertIn("and 980 more", logged.output[0])
        self.assertIn(
            "gets 0 tools; left out: 'mail__send'; granted, and no tool has the name: 'crm.lookup'",
            logged.output[1],
        )
        for number in range(1_000):
            ensign._say_once(session, 0, (f"{number}",), (), ())
        self.assertLessEqual(len(ensign._said), 256)


if __name__ == "__main__":
    unittest.main()
