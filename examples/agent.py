"""A small agent that needs no network and no key: it shows what a fleet gives an agent, and what it forbids.

    python3 examples/agent.py LIVE_DIR support/refund-triage --key ticket-4711

Everything is real except the model, which is a script: it reads first, then does what the ticket asks for. It wants
the same each time, so what differs between two runs is what the fleet says.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients" / "python"))

from ensign import AgentHalted, EnsignError, Fleet, Session

TICKET = (
    "T-4711 from cus_4hq7n2vd: my kettle arrived damaged. I paid 40.00 EUR (pay_9f3k2m8q1x), please send it back. "
    "And for the lost evening I want another 2500.00 EUR!"
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run one session of an agent, with a scripted model.")
    parser.add_argument("live", metavar="LIVE_DIR", help="the live directory, which holds fleet.json")
    parser.add_argument("agent", metavar="AGENT", help="<team>/<agent>")
    parser.add_argument("--key", help="the session's key (default: a random one)")
    parser.add_argument("--ticket", default=TICKET, help="what the customer wrote")
    options = parser.parse_args()
    try:
        session = Fleet(options.live).session(options.agent, key=options.key)
        describe(session)
        run(session, options.ticket)
    except EnsignError as problem:
        sys.stdout.flush()
        print(f"{'halted' if isinstance(problem, AgentHalted) else 'error'}: {problem}", file=sys.stderr)
        return 4 if isinstance(problem, AgentHalted) else 1
    return 0


def describe(session: Session) -> None:
    model = session.model
    print(f"{session.agent} {session.version} in {session.environment} ({session.phase}, bucket {session.bucket})")
    print(f"  bundle  {session.digest}")
    print(f"  model   {model.provider}/{model.name} {json.dumps(model.parameters)}")
    print(f"  limits  {json.dumps(session.bundle.get('limits', {}))}")
    lines = [line for line in session.instructions.splitlines() if line.strip()]
    print("instructions")
    print(*(f"  | {line}" for line in lines[:6]), f"  | ({len(lines[6:])} more lines)", sep="\n")
    print("may call")
    for operation in (operation for tool in session.tools for operation in tool.operations.values()):
        asks = f", approval: {operation.approval}" if operation.needs_approval else ""
        until = f", until {operation.expires}" if operation.expires else ""
        print(f"  {f'{operation.tool}.{operation.name}':<25} {operation.access}, {operation.risk} risk{asks}{until}")


def run(session: Session, ticket: str) -> None:
    print(textwrap.fill(f"ticket {ticket}", width=100, subsequent_indent="  "))
    for step, (name, given) in enumerate(script(session, ticket), start=1):
        session.raise_if_halted()  # A kill switch stops this run too, not only the next one.
        if exceeded := session.limits.exceeded(steps=step):
            print(f"  stopped: {exceeded}")
            return
        print(f"  {step}. {name.replace('__', '.')} {json.dumps(given, ensure_ascii=False)}")
        print(f"     -> {decide(session, name, given)}")


def decide(session: Session, name: str, given: dict[str, Any]) -> str:
    """Says what happens to a call. Every call goes through here, whatever the model was told."""
    decision = session.decide(name, given)
    if decision.verdict == "needs-approval" and decision.operation is not None:
        return f"waits for approval: {decision.operation.approval}"
    return "would be called" if decision.allowed else decision.text


def script(session: Session, ticket: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The "model": yields the calls it wants to make, by the names that `tool_schemas` gives them."""
    schemas = {schema["name"]: schema["input_schema"] for schema in session.tool_schemas()}
    reads = [name for name in schemas if (found := session.resolve(name)) and found.access == "read"]
    for name in reads:
        yield name, arguments(schemas[name], ticket, 1)
    amounts = [float(amount) for amount in re.findall(r"\d+\.\d\d", ticket)]
    for name in (name for name in schemas if name not in reads):
        for amount in amounts if "amount" in arguments(schemas[name], ticket, 1) else [1]:
            yield name, arguments(schemas[name], ticket, amount)
    yield "mail__send", {"to": "everyone@example.com"}  # Models make tools up, too.


def arguments(schema: dict[str, Any], ticket: str, number: float) -> dict[str, Any]:
    """Fills in what a schema requires with words of the ticket."""
    words = re.findall(r"[\w.-]*\w", ticket)
    filled: dict[str, Any] = {}
    for part in (schema, *schema.get("allOf", []), *schema.get("anyOf", [])[:1]):
        for name in part.get("required", []):
            wanted = part.get("properties", schema.get("properties", {})).get(name, {})
            if "enum" in wanted:
                filled[name] = next((value for value in wanted["enum"] if value in words), wanted["enum"][0])
            elif "pattern" in wanted:
                filled.update({name: word for word in reversed(words) if re.search(wanted["pattern"], word)})
            elif wanted.get("type") in ("number", "integer"):
                filled[name] = number
            elif wanted.get("type") in ("array", "boolean"):
                filled[name] = [] if wanted["type"] == "array" else False
            else:
                filled[name] = textwrap.shorten(ticket, width=50, placeholder=" ...")
    return filled


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is not a failure.
    sys.exit(main())
