"""Holds the client for JavaScript against the one for Python: whatever is on the disk, both say the same.

    python3 clients/javascript/agreement.py

Live directories with random damage, random grants and names; ENSIGN_TEST_SEED=<number> repeats a run.
"""

from __future__ import annotations

import collections
import functools
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

import ensign
from test_ensign import AGENT, Live, canonical, make_bundle

ROUNDS = 400
seen: collections.Counter[str] = collections.Counter()
PIECES = (
    b"",
    b"\0",
    b"{",
    b'"',
    b"[]",
    b"9",
    b"\xc3",
    b"null",
    b"1.0",
    b"\\ud800",
    b"\xf0\x9f\x99\x82",
    b",",
    b":",
    b"e9",
)
ASK = """
import { EnsignError, Fleet } from %s;
import { readFileSync } from "node:fs";
const silent = { warn() {} };
for (const [live, key, names, calls] of JSON.parse(readFileSync(%s, "utf8"))) {
  let answer;
  const attempt = (work) => { try { return work(); } catch (problem) { return problem.name; } };
  try {
    const session = await new Fleet(live, silent).session(%s, { key });
    const day = { today: "2026-01-01" };
    const operations = names.map((name) => session.candidates(name).map((each) => `${each.tool}.${each.name}`));
    const said = attempt(() => session.instructions);
    const decided = calls.map(([name, args]) => {
      const { verdict, operation, reason } = session.decide(name, args, day);
      return [verdict, operation && `${operation.tool}.${operation.name}`, reason];
    });
    answer = [decided, session.digest, session.bucket, said, session.alias, session.prompts, session.triggers, session.toolSchemas(day), operations, session.telemetryAttributes()];
  } catch (problem) {
    if (!(problem instanceof EnsignError)) throw problem;
    answer = problem.name;
  }
  console.log(JSON.stringify(answer));
}
"""


def damaged(source: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(source.randrange(3)):
        at = source.randrange(len(changed))
        changed[at : at + source.randrange(4)] = source.choice(PIECES)
    return bytes(changed)


def word(source: random.Random) -> str:
    return "".join(source.choice("ab_-.AB0") for _ in range(source.choice((1, 2, 3, 5, 60))))


PATTERNS = ("^a", "b$", "^[ab]+$", ".", "(a|b)*c", "(a+)+b", "(?=a)", "^\\w{1,3}$", "[^a-c]", "\\p{L}", "a{2,1}", "(ab){2}", "x|")
NUMBERS = (-1, 0, 1, 1.5, 2, 3, 0.1, 0.3, 1e-7, 100)
NAMED = ("a", "b", "c", "ab", "1")


def some_value(source: random.Random, depth: int) -> Any:
    kind = source.randrange(10 if depth > 0 else 6)
    if kind < 2:
        return source.choice((None, True, False))
    if kind < 4:
        return source.choice((*NUMBERS, 0.0, 2.0, 1 << 53))
    if kind < 6:
        return source.choice(("", "a", "b", "ab", "abc", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "🙂🙂"))
    if kind == 6:
        return [some_value(source, depth - 1) for _ in range(source.randrange(4))]
    return {name: some_value(source, depth - 1) for name in source.sample(NAMED, source.randrange(4))}


def some_schema(source: random.Random, depth: int) -> Any:
    if source.random() < 0.1:
        return source.random() < 0.7
    schema: dict[str, Any] = {}
    for _ in range(source.randrange(4)):
        inner = functools.partial(some_schema, source, depth - 1)
        words: dict[str, Any] = {
            "type": lambda: source.choice(("object", "string", "number", "integer", "array", ["null", "boolean"], "int")),
            "enum": lambda: [some_value(source, 1) for _ in range(source.randrange(4))],
            "const": lambda: some_value(source, 1),
            **dict.fromkeys(("maximum", "exclusiveMinimum", "multipleOf"), lambda: source.choice(NUMBERS)),
            **dict.fromkeys(("maxLength", "minItems", "maxProperties", "minContains"), lambda: source.randrange(-1, 4)),
            "pattern": lambda: source.choice(PATTERNS),
            "uniqueItems": lambda: True,
            "required": lambda: source.sample(NAMED, source.randrange(3)),
            "title": lambda: "x",
            "$ref": lambda: source.choice(("#/$defs/d", "#/$defs/e", "#", "#/properties/a", "other.json")),
            "$schema": lambda: "https://json-schema.org/draft/2020-12/schema",
            "strange": lambda: 1,
        }
        if depth > 0:
            words.update(
                {
                    **dict.fromkeys(("not", "contains", "propertyNames", "additionalProperties", "if", "then"), inner),
                    **dict.fromkeys(("allOf", "anyOf", "oneOf"), lambda: [inner() for _ in range(source.randrange(1, 4))]),
                    "items": lambda: inner() if source.random() < 0.7 else [inner()],
                    "additionalItems": inner,
                    "prefixItems": lambda: [inner()],
                    "properties": lambda: {name: inner() for name in source.sample(NAMED, 2)},
                    "patternProperties": lambda: {source.choice(PATTERNS): inner()},
                    "dependencies": lambda: {"a": ["b"], "c": inner()},
                    "dependentRequired": lambda: {"a": ["b"]},
                    "$defs": lambda: {"d": inner(), "e": inner()},
                }
            )
        word = source.choice(list(words))
        schema[word] = words[word]()
    return schema


def made(source: random.Random, folder: Path) -> list[Any]:
    """Writes one live directory; returns what is asked about it."""
    folder.mkdir()
    live = Live(folder)
    tools = []
    for tool in sorted({source.choice(("a", "b", "a-b", "a--b", "crm")) for _ in range(source.randrange(1, 4))}):
        operation = {"access": "read", "risk": "low", "approval": "none"}
        operations: dict[str, dict[str, Any]] = {word(source): dict(operation) for _ in range(source.randrange(1, 5))}
        for each in operations.values():
            each["approval"] = source.choice(("none", "none", "none", "manager"))
            if source.random() < 0.8:
                each["input"] = some_schema(source, 3)
            if source.random() < 0.05:
                each["rate"] = "3/m"
        if source.random() < 0.3:
            source.choice(list(operations.values()))["mcp"] = {"tool": word(source)}
        tools.append({"tool": tool, "version": "1.0.0", "operations": operations})
    changes: dict[str, Any] = {"tools": tools}
    if source.random() < 0.3:
        changes |= {"model": None, "instructions": None, "prompts": {"reply": "a"}, "name": "x", "triggers": [{"cron": "@"}]}
    bundles = [make_bundle(version, **changes) for version in ("1.5.0", "1.4.0")]
    weight = source.randrange(101)
    whole = source.random() < 0.3
    digests = [live.bundle(canonical(bundle) if whole else damaged(source, canonical(bundle))) for bundle in bundles]
    routes = [
        {"version": bundle["version"], "digest": digest, "weight": part}
        for bundle, digest, part in zip(bundles, digests, (weight, 100 - weight))
    ]
    live.route(routes, phase="canary")
    if source.random() < 0.3:
        path = folder / live.route_path()
        path.write_bytes(damaged(source, path.read_bytes()))
    known = [
        f"{tool['tool']}{source.choice(('__', '.', '_', '/', '-'))}{name}"
        for tool in tools
        for name in tool["operations"]
    ]  # type: ignore
    names = [*known, *(word(source) for _ in range(6)), *(f"mcp__{name}" for name in known[:2])]
    calls = []
    for tool in tools:
        for name in tool["operations"]:  # type: ignore[attr-defined]
            for _ in range(8):
                calls.append([f"{tool['tool']}__{name}", some_value(source, 3) if source.random() < 0.1 else arguments(source)])
    return [str(folder), f"key {source.random()} 🙂", names, calls]


def arguments(source: random.Random) -> dict[str, Any]:
    return {name: some_value(source, 2) for name in source.sample(NAMED, source.randrange(4))}


def answered(live: str, key: str, names: list[str], calls: list[list[Any]]) -> Any:
    try:
        session = ensign.Fleet(live).session(AGENT, key=key)
    except ensign.EnsignError as problem:
        return type(problem).__name__
    day = ensign.datetime.date(2026, 1, 1)
    operations = [[f"{each.tool}.{each.name}" for each in session.candidates(name)] for name in names]
    try:
        said = session.instructions
    except ensign.NotDeclared as problem:
        said = type(problem).__name__
    decisions = [session.decide(name, given, today=day) for name, given in calls]
    for decision in decisions:
        seen[f"{decision.verdict} {decision.reason}"] += 1
    decided = [
        [each.verdict, each.operation and f"{each.operation.tool}.{each.operation.name}", each.reason] for each in decisions
    ]
    more = [said, session.alias, session.prompts, list(session.triggers)]
    return [decided, session.digest, session.bucket, *more, session.tool_schemas(today=day), operations, session.telemetry_attributes()]


def main() -> int:
    logging.disable()
    seed = int(os.environ.get("ENSIGN_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"agreement of the clients: ENSIGN_TEST_SEED={seed}", file=sys.stderr)
    source = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="ensign agreement ") as root:
        asked = [made(source, Path(root) / str(number)) for number in range(ROUNDS)]
        (Path(root) / "asked.json").write_text(json.dumps(asked))
        told = ((HERE / "ensign.mjs").as_uri(), f"{root}/asked.json", AGENT)
        node = ["node", "--input-type=module", "--eval", ASK % tuple(map(json.dumps, told))]
        run = subprocess.run(node, capture_output=True, encoding="utf-8", timeout=300, check=False)
        if run.returncode != 0:
            print(run.stderr, file=sys.stderr)
            return 1
        theirs = [json.loads(line) for line in run.stdout.splitlines()]
        ours = [answered(*each) for each in asked]
        wrong = [(each, mine, other) for each, mine, other in zip(asked, ours, theirs) if mine != other]
        for each, mine, other in wrong[:5]:
            print(f"they differ about {each}:\n  Python     {mine}\n  JavaScript {other}", file=sys.stderr)
    opened = sum(isinstance(answer, list) for answer in ours)
    print(", ".join(f"{count} {kind}" for kind, count in sorted(seen.items())))
    print(f"{opened} sessions and {ROUNDS - opened} refusals: {len(wrong)} differences")
    return 1 if wrong or len(theirs) != ROUNDS or not 0 < opened < ROUNDS else 0


if __name__ == "__main__":
    sys.exit(main())
