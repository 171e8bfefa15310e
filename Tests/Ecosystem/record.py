"""Makes a fixture of what a pair wrote: its spans with texts blanked, and what must be counted of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures" / "spans"

# Which tickets are kept: one and two calls, a model that fails, a tool that fails.
KEPT = (0, 1, 2, 3, 8, 9)
# What people and models said, what programs are made of, and where they ran: not for a repository.
_TEXT = re.compile(
    r"message|prompt|completion|instructions|definitions|description|goal|backstory|^input\.|^output\.|\.(input|output)$"
    r"|stacktrace|entity\.|schema|^crewai\.(?!crew\.token_usage)|retrieval|metadata|\.result|invocation_parameters|\.host|instance\.id|parameters"
)


def record(pair: str, spans: Path, truth: list[dict[str, Any]], tokens: Counter[int], live: Path) -> None:
    """Writes `<pair>.jsonl` and `<pair>.json`."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in spans.read_text(encoding="utf-8").splitlines()]
    every = [
        span
        for line in lines
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    # A ticket's run is the root span that names its session; what begins before it and has no run is kept with the first.
    order = sorted(
        (int(span["startTimeUnixNano"]), span["traceId"])
        for span in every
        if not span.get("parentSpanId") and _bundle(span)
    )
    kept = {trace for number, (_, trace) in enumerate(order) if number in KEPT}
    others = {span["traceId"] for span in every} - {trace for _, trace in order}
    kept |= set(sorted(others)[:2])
    with open(FIXTURES / f"{pair}.jsonl", "w", encoding="utf-8") as file:
        for line in lines:
            for resource in line["resourceSpans"]:
                _blank(resource["resource"].get("attributes", []))
                for scope in resource["scopeSpans"]:
                    scope["spans"] = [_blanked(span) for span in scope["spans"] if span["traceId"] in kept]
                resource["scopeSpans"] = [scope for scope in resource["scopeSpans"] if scope["spans"]]
            if any(resource["scopeSpans"] for resource in line["resourceSpans"]):
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
    route = json.loads((live / "agents" / "support" / "refund-triage.json").read_text(encoding="utf-8"))
    expected = {}
    for version in sorted({run["version"] for run in truth}):
        runs = [(number, run) for number, run in enumerate(truth) if number in KEPT and run["version"] == version]
        expected[version] = {
            "runs": len(runs),
            "failures": sum(run["failed"] for _, run in runs),
            "calls": sum(run["calls"] for _, run in runs),
            "tokens": sum(tokens[number] for number, _ in runs),
        }
    value = {"route": route, "granted": ["payments.get_payment", "payments.refund_payment"], "expected": expected}
    (FIXTURES / f"{pair}.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _bundle(span: dict[str, Any]) -> bool:
    return any(attribute["key"] == "ensign.bundle" for attribute in span.get("attributes", []))


def _blanked(span: dict[str, Any]) -> dict[str, Any]:
    _blank(span.get("attributes", []))
    for event in span.get("events", []):
        _blank(event.get("attributes", []))
    if "message" in span.get("status", {}):
        span["status"]["message"] = "..."
    return span


def _blank(attributes: list[dict[str, Any]]) -> None:
    for attribute in attributes:
        key, value = attribute["key"], attribute["value"]
        if (
            key != "gen_ai.tool.call.arguments"
            and _TEXT.search(key)
            and value.keys() & {"stringValue", "arrayValue", "kvlistValue"}
        ):
            attribute["value"] = {"stringValue": "..."}
