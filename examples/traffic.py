"""Runs many sessions of an agent with a scripted model, and writes the telemetry that a runtime writes.

    python3 examples/traffic.py LIVE_DIR TELEMETRY_DIR support/refund-triage --rate 40 --seconds 30
    python3 examples/traffic.py LIVE_DIR TELEMETRY_DIR sales/crm-hygiene

The sessions, their routing, the checks of each call and the telemetry are real: the lines are those of OpenTelemetry's
file exporter, and Ensign judges canaries and trips kill switches on them (docs/telemetry.md). The models and the tools
are scripts. Nothing here knows which version is good: a model does what its instructions say and has two weaknesses that
real ones have. The tickets are the same each time, with the same good and bad luck.

- Told to answer with JSON only, it does. Told to be charming instead, it forgets the JSON now and then, and whoever waits
  for the contract's JSON has a failed run.
- Asked for all records by a tool that says there are more and has no way to ask for the next page, it asks again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

from agent import decide
from ensign import AgentHalted, EnsignError, Fleet, Session

Attributes = dict[str, Any]
# Yields calls as (operation, arguments), is sent what the tool said, and returns its answer.
Model = Generator[tuple[str, dict[str, Any]], dict[str, Any], str]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run sessions of an agent, with a scripted model and real telemetry.")
    parser.add_argument("live", metavar="LIVE_DIR", help="the live directory, which holds fleet.json")
    parser.add_argument("telemetry", metavar="TELEMETRY_DIR", help="what ensign.<env>.telemetry names")
    parser.add_argument("agent", metavar="AGENT", choices=sorted(MODELS), help=" or ".join(sorted(MODELS)))
    parser.add_argument("--rate", type=float, default=1, help="sessions a second (default: 1)")
    parser.add_argument("--seconds", type=float, default=0, help="for how long (default: one session)")
    options = parser.parse_args()
    exporter = Exporter(options.telemetry, options.agent)
    fleet, runs, failed = Fleet(options.live), Counter[str](), Counter[str]()
    start = time.monotonic()
    try:
        while True:
            number = runs.total()
            session = fleet.session(options.agent, key=f"ticket-{number}")
            runs[session.version] += 1
            failed[session.version] += not work(session, number, exporter)
            pause = start + (number + 1) / options.rate - time.monotonic()
            if time.monotonic() - start >= options.seconds:
                break
            time.sleep(max(0, pause))
    except AgentHalted as problem:
        waited = time.time() - exporter.written
        print(f"stopped after {exporter.lines} calls, {waited:.2f} s after the last one was written: {problem}")
        return 4
    except EnsignError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    for version in sorted(runs):
        print(f"{options.agent} {version}: {runs[version]} session(s), {failed[version]} failed")
    return 0


def work(session: Session, number: int, exporter: Exporter) -> bool:
    """Runs one session to its end and says whether it came to what its contract asks for."""
    trace, run, began, steps = secrets.token_hex(16), secrets.token_hex(8), time.time(), 0
    model, answer = MODELS[session.agent](session, number), None
    answered: dict[str, Any] | None = None
    try:
        while not session.limits.exceeded(steps=steps + 1):
            name, given = model.send(answered) if answered is not None else next(model)
            session.raise_if_halted()  # A kill switch stops this run too, not only the next one.
            steps += 1
            said = decide(session, name, given)
            # At once, and with whose call it is: a kill switch cannot wait for the end of the run.
            attributes: Attributes = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.call.arguments": json.dumps(given),
            }
            if said.startswith("refused"):
                attributes["error.type"] = "permission_denied"
            exporter.write(session, trace, secrets.token_hex(8), run, time.time(), attributes)
            answered = {} if said.startswith("refused") else tool(name, given)
    except StopIteration as end:
        answer = end.value
    succeeded = answer is not None and keeps(session.contract["output"], answer)
    tokens = (900 + 60 * steps) * random.Random(number).lognormvariate(0, 0.25)
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.usage.input_tokens": int(tokens),
        "gen_ai.usage.output_tokens": int(tokens / 20),
    }
    exporter.write(session, trace, run, "", began, attributes, failed=not succeeded)
    return succeeded


def keeps(contract: dict[str, Any], answer: str) -> bool:
    """Whether an answer is what the contract asks for; a real agent uses the `jsonschema` package."""
    try:
        value = json.loads(answer)
    except ValueError:
        return False
    return isinstance(value, dict) and all(name in value for name in contract.get("required", []))


# ---------------------------------------------------------------------------------------------------- models and tools


def triage(session: Session, number: int) -> Model:
    luck = random.Random(f"luck of {number}")
    ticket = {"ticket": f"T-{20_000 + number}"}
    said = yield "tickets__get", ticket
    payment = yield "payments__lookup", {"payment": said["payment"]}
    yield "crm__lookup", {"customer": payment["customer"]}
    if luck.random() < 0.02:
        return ""  # The provider was overloaded, as happens with every version.
    yield "payments__refund", {"payment": said["payment"], "amount": payment["amount"], "reason": "damaged", **ticket}
    reply = "We are sorry that it arrived broken. The money is on its way and arrives within three days."
    yield "tickets__comment", {"visibility": "public", "body": reply, **ticket}
    if "JSON only" in session.instructions or luck.random() < 0.5:
        return json.dumps({"action": "refund", "reason": "damaged: refund in full", "policy": "KB-104", "reply": reply})
    return f"Dear customer, {reply} Do write to us again!"


def hygiene(session: Session, number: int) -> Model:
    examined = 0
    while True:
        found = yield "crm__search", {"missing": "country", "limit": 200}
        examined += len(found["customers"])
        if not found["more"]:
            return json.dumps({"task": "report", "examined": examined, "changes": 0, "proposals": []})


MODELS = {"support/refund-triage": triage, "sales/crm-hygiene": hygiene}


def tool(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the tools of this shop say: nobody is called."""
    time.sleep(0.03 if name == "crm__search" else 0.001)
    if name == "tickets__get":
        return {"payment": f"pay_{given['ticket'][2:]:0>8}", "body": "My kettle arrived damaged."}
    if name == "payments__lookup":
        return {"customer": f"cus_{given['payment'][4:]}", "amount": 5 + sum(given["payment"].encode()) % 90}
    if name == "crm__search":
        return {"customers": [{"customer": f"cus_{index:08}"} for index in range(given["limit"])], "more": True}
    return {}


# --------------------------------------------------------------------------------------------------------- telemetry


class Exporter:
    """Writes spans as OpenTelemetry's file exporter does: one JSON object a line, complete when its newline is there."""

    def __init__(self, directory: str, agent: str) -> None:
        os.makedirs(directory, exist_ok=True)
        self._file = open(os.path.join(directory, f"{agent.replace('/', '-')}-{os.getpid()}.jsonl"), "a", encoding="utf-8")
        self.written, self.lines = time.time(), 0

    def write(
        self,
        session: Session,
        trace: str,
        span: str,
        parent: str,
        began: float,
        attributes: Attributes,
        failed: bool = False,
    ) -> None:
        everything = {**session.telemetry_attributes(), **attributes}
        self.written, self.lines = time.time(), self.lines + 1
        value = {
            "traceId": trace,
            "spanId": span,
            "parentSpanId": parent,
            "name": f"{attributes['gen_ai.operation.name']} {session.agent}",
            "startTimeUnixNano": str(int(began * 1e9)),
            "endTimeUnixNano": str(int(self.written * 1e9)),
            "attributes": [{"key": key, "value": _value(everything[key])} for key in everything],
            "status": {"code": 2} if failed else {},
        }
        line = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "traffic"}, "spans": [value]}]}]}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def _value(value: Any) -> dict[str, str]:
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is not a failure.
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
