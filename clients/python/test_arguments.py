"""Tests of what the client says of a call's arguments: python3 -m unittest discover -s clients/python

Nothing it calls allowed may be refused by the gateway; Tests/EnsignGatewayTests/Calls/AgreementTests.swift holds both, and
`ensign check`, against each other on thousands of calls.
"""

from __future__ import annotations

import datetime
import enum
import random
import re
import tempfile
import unittest
from pathlib import Path
from typing import Any, Optional

import ensign
from test_ensign import AGENT, Live, canonical, make_bundle

DAY = datetime.date(2026, 1, 1)
LABEL = "https://json-schema.org/draft/2020-12/schema"
OLD = "http://json-schema.org/draft-07/schema#"


def holds(schema: Any, value: Any) -> Optional[bool]:
    return ensign._Schema(schema).holds(value)


class DecisionTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.live = Live(Path(folder.name))
        self.fleet = ensign.Fleet(folder.name)

    def session(self, **changes: Any) -> ensign.Session:
        bundle = make_bundle(**changes.pop("bundle", {}))
        bundle["tools"][1]["operations"]["refund"].update({"approval": "none", "expires": None, **changes})
        digest = self.live.bundle(canonical(bundle))
        self.live.route([{"version": "1.4.0", "digest": digest, "weight": 100}])
        return self.fleet.session(AGENT, key="k")

    def verdict(self, name: str, arguments: Any, **changes: Any) -> tuple[str, Optional[str]]:
        decision = self.session(**changes).decide(name, arguments, today=DAY)
        return decision.verdict, decision.reason

    def test_a_call_is_held_against_grant_day_schema_and_approval_in_this_order(self) -> None:
        schema = {"type": "object", "properties": {"amount": {"type": "number", "maximum": 100}}}
        self.assertEqual(self.verdict("payments__refund", {"amount": 100}, input=schema), ("allowed", None))
        self.assertEqual(self.verdict("payments__refund", {"amount": 101}, input=schema), ("refused", "arguments"))
        self.assertEqual(self.verdict("payments__refund", {"amount": "50"}, input=schema), ("refused", "arguments"))
        self.assertEqual(self.verdict("payments__drop", {}), ("refused", "not-granted"))
        self.assertEqual(
            self.verdict("refund", {"amount": 101}, input=schema, expires="2025-12-31"), ("refused", "expired")
        )
        for approval in ("manager", "dual", "somebody"):
            self.assertEqual(self.verdict("refund", {}, input=schema, approval=approval), ("needs-approval", None))
            self.assertEqual(
                self.verdict("refund", {"amount": 101}, input=schema, approval=approval), ("refused", "arguments")
            )

    def test_what_is_refused_is_said_with_its_place_and_limit(self) -> None:
        schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {"amount": {"type": "number", "maximum": 100}},
        }
        session = self.session(input=schema)
        text = session.decide("refund", {"amount": 4000}, today=DAY).text
        self.assertEqual(text, "refused: payments.refund: amount: maximum: 100. Nothing was done.")
        both = self.session(input={"allOf": [{"type": "object"}, schema]})
        self.assertEqual(both.decide("refund", {"amount": 4000}, today=DAY).text, text)
        self.assertIn("unexpected property 'more'", session.decide("refund", {"more": 1}, today=DAY).text)

    def test_without_input_there_are_no_arguments_and_false_takes_nothing(self) -> None:
        self.assertEqual(self.verdict("refund", {}, input=None), ("allowed", None))
        self.assertEqual(self.verdict("refund", {"a": 1}, input=None), ("refused", "arguments"))
        self.assertEqual(self.verdict("refund", {}, input=False), ("refused", "arguments"))
        self.assertEqual(self.verdict("refund", {"a": 1}, input=True), ("allowed", None))
        self.assertEqual(self.verdict("refund", {"a": 1}, input={}), ("allowed", None))
        schemas = {each["name"]: each["input_schema"] for each in self.session(input=False).tool_schemas(today=DAY)}
        self.assertEqual(schemas["payments__refund"], {"type": "object", "not": {}})

    def test_conditions_that_need_counting_are_unknown_here(self) -> None:
        after = {"operation": "crm.lookup", "within": "10m"}
        self.assertEqual(self.verdict("refund", {}, input=True, after=after), ("unknown", "after"))
        self.assertEqual(self.verdict("refund", {}, input=True, rate="30/m"), ("unknown", "rate"))
        self.assertEqual(self.verdict("refund", {"a": 1}, input=None, rate="30/m"), ("refused", "arguments"))

    def test_what_json_does_not_have_is_refused(self) -> None:
        for value in (float("nan"), float("inf"), (1 << 53) + 1, -(1 << 60), 1e300, b"x", {1: 2}, "\ud800", {"\udfff": 1}):
            self.assertEqual(self.verdict("refund", {"a": value}, input=True), ("refused", "arguments"), repr(value))
        for value in ([1], "x", None, 7):
            self.assertEqual(self.verdict("refund", value, input=True), ("refused", "arguments"))
        for value in (1 << 53, -(1 << 53), 2.0**53):
            self.assertEqual(self.verdict("refund", {"a": value}, input=True), ("unknown", "schema"), repr(value))
        deep: Any = {}
        for _ in range(5_000):
            deep = {"a": deep}
        self.assertEqual(self.verdict("refund", deep, input=True), ("unknown", "schema"))
        self.assertEqual(self.verdict("refund", {"a": [0] * 30_000}, input=True), ("unknown", "schema"))

    def test_what_a_subclass_makes_of_itself_is_not_what_is_sent(self) -> None:
        class Text(str, enum.Enum):
            ADMIN = "admin"

            def __str__(self) -> str:
                return "user"

        class Big(enum.IntEnum):
            MANY = 5_000

        class Liar(int):
            def __int__(self) -> int:
                return 1

            def __abs__(self) -> int:
                return 1

            def __eq__(self, other: object) -> bool:
                return True

            def __lt__(self, other: object) -> bool:
                return True

            def __gt__(self, other: object) -> bool:
                return True

            __hash__ = int.__hash__

        class Share(float):
            def __float__(self) -> float:
                return 1.0

            def __int__(self) -> int:
                return 1

        schema = {
            "type": "object",
            "properties": {"role": {"enum": ["user"]}, "amount": {"type": "number", "maximum": 100}},
            "additionalProperties": False,
        }
        session = self.session(input=schema)
        bad: list[dict[Any, Any]] = [
            {"role": Text.ADMIN}, {Text.ADMIN: 1}, {"amount": Big.MANY}, {"amount": Liar(5_000)}, {"amount": Share(5_000.5)},
            {"amount": Liar(1 << 60)},
        ]
        for arguments in bad:
            with self.subTest(arguments=repr(arguments)):
                self.assertEqual(session.decide("refund", arguments, today=DAY).verdict, "refused")
        self.assertEqual(session.decide("refund", {"amount": Liar(7)}, today=DAY).verdict, "allowed")
        self.assertEqual(self.verdict("refund", {"role": Text.ADMIN}, input={"properties": {"role": {"enum": ["admin"]}}}), ("allowed", None))

    def test_the_mode_says_whether_the_gateway_only_observes(self) -> None:
        self.assertEqual(self.session().mode, "enforce")
        self.assertEqual(self.session(bundle={"mode": "observe"}).mode, "observe")


class SchemaTests(unittest.TestCase):
    def test_keywords(self) -> None:
        cases: list[tuple[Any, list[Any], list[Any]]] = [
            ({"type": "integer"}, [1, 1.0, -0.0], [1.5, "1", True, None]),
            ({"type": ["null", "string"]}, [None, ""], [0, False]),
            ({"enum": [1, True, [1.0], {"a": 1}]}, [1.0, True, [1], {"a": 1.0}], [False, 2, [True], {"a": True}]),
            ({"const": 0}, [-0.0, 0], [False, None]),
            ({"multipleOf": 0.1}, [0.3, 1, 0], [0.35]),
            ({"multipleOf": 1e-07}, [3e-07, 1], [1.5e-07]),
            ({"exclusiveMinimum": 0, "maximum": 2.5}, [1, 2.5, "x"], [0, 2.6]),
            ({"minLength": 2, "maxLength": 2}, ["ab", "🙂🙂", 7], ["🙂", "abc"]),
            ({"minItems": 1, "maxItems": 2, "uniqueItems": True}, [[1], [1, True]], [[], [1, 1.0], [1, 2, 3]]),
            ({"items": [{"type": "null"}], "additionalItems": False}, [[], [None]], [[1], [None, None]]),
            ({"prefixItems": [{"type": "null"}], "items": {"const": 1}}, [[None, 1]], [[1], [None, 2]]),
            ({"contains": {"const": 1}, "minContains": 2, "maxContains": 3}, [[1, 1], [1, 2, 1]], [[1], [1] * 4]),
            ({"contains": {"const": 1}, "minContains": 0}, [[], [2]], []),
            ({"required": ["a"], "maxProperties": 1}, [{"a": 1}, 7], [{}, {"a": 1, "b": 1}]),
            ({"patternProperties": {"^x": {"type": "null"}}, "additionalProperties": False}, [{"xa": None}], [{"xa": 1}, {"a": 1}]),
            ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
            ({"dependencies": {"a": ["b"], "c": {"minProperties": 2}}}, [{"a": 1, "b": 1}, {}], [{"a": 1}, {"c": 1}]),
            ({"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 1}], [{"a": 1}]),
            ({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"const": 1}}, ["a", 1], ["", 2]),
            ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, [1.5], [1, "x"]),
            ({"anyOf": [{"const": 1}, {"const": 2}], "not": {"const": 2}}, [1], [2, 3]),
            ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 1}}}, [1], [2]),
            ({"properties": {"a": {"$ref": "#"}}, "additionalProperties": False}, [{"a": {"a": {}}}], [{"a": {"b": 1}}]),
            ({"$schema": LABEL, "$ref": "#/$defs/a", "minimum": 1, "$defs": {"a": {"maximum": 2}}}, [1, 2], [0, 3]),
            ({"format": "date", "title": "x", "x-own": [1]}, ["no date"], []),
            (True, [1], []),
            (False, [], [1]),
        ]
        for schema, good, bad in cases:
            for value in good:
                self.assertIs(holds(schema, value), True, (schema, value))
            for value in bad:
                self.assertIs(holds(schema, value), False, (schema, value))

    def test_a_schema_that_ensign_refuses_lets_nothing_through(self) -> None:
        cyclic = {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}
        for schema in (
            7, {"unevaluatedProperties": False}, {"maximum": "1"}, {"type": "int"}, {"type": []}, {"enum": []},
            {"then": {}}, {"additionalItems": {}}, {"maxContains": 1}, {"required": ["a", "a"]}, {"allOf": []},
            {"items": [{}], "prefixItems": [{}]}, {"$schema": OLD, "prefixItems": [{}]}, {"$schema": LABEL, "items": [{}]},
            {"$schema": "http://json-schema.org/draft-04/schema#"}, {"properties": {"a": {"$schema": LABEL}}},
            {"properties": {"a": {"$ref": "#/$defs/no"}}}, {"properties": {"a": {"$ref": "other.json"}}},
            {"$ref": "#/$defs/a", "minimum": 1, "$defs": {"a": {}}}, {"properties": {"a": {"$ref": "#/properties/b/default"}, "b": {"default": {}}}},
            {"properties": {"a": cyclic}}, cyclic, {"$ref": "#"}, {"properties": {"a": {"pattern": "(?i)a"}}}, {"title": 7},
            {"properties": {"a": {"minLength": -1}}}, {"const": 1 << 60}, {"id": "x"},
        ):  # fmt: skip
            self.assertIsNot(holds(schema, {}), True, schema)

    def test_unknown_is_never_taken_for_true_and_false_decides(self) -> None:
        strange = {"type": "string", "pattern": "(?=a)"}
        self.assertIsNone(holds(strange, "a"))
        self.assertIs(holds(strange, 7), False)
        self.assertIsNone(holds({"not": strange}, "a"))
        self.assertIs(holds({"anyOf": [strange, False]}, 7), False)
        self.assertIs(holds({"allOf": [strange, False]}, "a"), False)
        self.assertIsNone(holds({"anyOf": [strange, {"const": "b"}]}, "a"))
        self.assertIsNone(holds({"additionalProperties": False, "patternProperties": {"(?=a)": {}}}, {"a": 1}))

    def test_time_is_bounded(self) -> None:
        deep: Any = {"type": "string"}
        for _ in range(200):
            deep = {"allOf": [deep, deep]}
        self.assertIsNone(holds(deep, "a"))
        wide = {"items": {"anyOf": [{"const": n} for n in range(2_000)]}}
        self.assertIsNone(holds(wide, [1_999] * 2_000))
        self.assertIsNone(holds({"type": "string", "pattern": "(a+)+b"}, "a" * 5_000))


class PatternTests(unittest.TestCase):
    def test_patterns_match_what_any_engine_matches(self) -> None:
        source = random.Random(7)
        pieces = ["a", "b", "[ab]", "[^a]", ".", "\\d", "\\w", "(?:a|b)", "(ab)", "^", "$", "a|b", "[a-c0-9_-]", "\\."]
        tried = 0
        for _ in range(3_000):
            pattern = "".join(
                source.choice(pieces) + source.choice(["", "", "*", "+", "?", "{1,2}", "{2}", "*?"])
                for _ in range(source.randrange(1, 5))
            )
            try:
                ours = ensign._Pattern(pattern)
                theirs = re.compile(pattern.replace("\\d", "[0-9]").replace("\\w", "[A-Za-z0-9_]").replace("$", "\\Z"))
            except (ValueError, re.error):
                continue
            for _ in range(4):
                text = "".join(source.choice("ab0.-\n") for _ in range(source.randrange(6)))
                found, _ = ours.search(text)
                if found is None:
                    continue
                tried += 1
                expected = theirs.search(text) is not None
                if "." not in pattern.replace("\\.", ""):
                    self.assertIs(found, expected, (pattern, text))
        self.assertGreater(tried, 3_000)

    def test_what_is_only_ecmascript_s_is_not_read(self) -> None:
        for pattern in ("(?=a)", "(?<=a)b", "\\p{L}", "\\1(a)", "\\bx", "(?<n>a)", "[a", "a{", "a{2,1}", "*", "a**", "(", ")",
                        "\\", "[b-a]", "[\\D]", "\\x41", "a" * 600, "(" * 20 + ")" * 20, "((a{9}){999}){999}", "^*", "{", "]"):  # fmt: skip
            with self.assertRaises(ValueError, msg=pattern):
                ensign._Pattern(pattern)

    def test_white_space_and_dots_are_ecmascript_s(self) -> None:
        for text, found in (("\u2028", True), ("\ufeff", True), ("\x1c", False), ("\u180e", False), ("a", False)):
            self.assertIs(ensign._Pattern("^\\s$").search(text)[0], found, repr(text))
        for text, found in (("\u2029", False), ("\x85", True), ("\n", False), ("🙂", True)):
            self.assertIs(ensign._Pattern("^.$").search(text)[0], found, repr(text))
        self.assertIs(ensign._Pattern("^\\d$").search("٣")[0], False)


if __name__ == "__main__":
    unittest.main()
