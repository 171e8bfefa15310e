"""Plays the lines of docs/runtimes.md with a real framework, in that framework's own environment, and writes its spans.

    python play.py PAIR LIVE_DIR OUT_DIR [TICKETS]

OUT_DIR gets `spans.jsonl`, written by OpenTelemetry's exporter, and `truth.json`: for each ticket which version it took,
how often a tool really ran, and whether an exception left the run's block. run.py compares that with what Ensign counts.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "clients" / "python")]

from document import lines, setups
from pairs import AGENT, PAIRS

# What each ticket makes the scripted model do: see model.py. The eighth and ninth go wrong.
TICKETS = [f"calls={1 + number % 2}" for number in range(8)] + ["model=fails", "calls=1 tool=fails"]


class ToolFailed(Exception):
    pass


def main() -> None:
    name, live, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    pair = PAIRS[name]
    logging.basicConfig(level=logging.ERROR)
    (out / "telemetry").mkdir(parents=True, exist_ok=True)
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.json.file import FileSpanExporter

    import ensign

    code = lines()
    program: dict[str, Any] = {
        "__name__": "program",
        "exporter": FileSpanExporter(str(out / "telemetry" / "spans.jsonl")),
    }
    exec(compile(code["setup"], "docs/runtimes.md (setup)", "exec"), program)
    for line in setups().get(name, []):
        exec(compile(line, f"docs/runtimes.md ({name})", "exec"), program)
    ran: list[str] = []

    def called(operation: str, ticket: str) -> str:
        ran.append(operation)
        if "tool=fails" in current:
            raise ToolFailed("the script says so")
        return f"{operation} of {ticket}"

    def get_payment(payment: str) -> str:
        """Looks a payment up."""
        return called("get_payment", payment)

    def refund_payment(payment: str, reason: str) -> str:
        """Gives money back."""
        return called("refund_payment", payment)

    def export_payments(path: str) -> str:
        """Copies all payments to a file."""
        raise AssertionError("a tool that was not granted was called")

    functions = [get_payment, export_payments, refund_payment]
    framework = importlib.import_module(f"frameworks.{pair.framework.replace('-', '_')}")
    for block in framework.BLOCKS:
        exec(compile(code[block], f"docs/runtimes.md ({block})", "exec"), program)
    if "checked" in framework.BLOCKS:
        functions = [program["checked"](function) for function in functions]
    program.update(fleet=ensign.Fleet(live), TOOLS=framework.tools(functions))
    program.update(framework.names(functions) if hasattr(framework, "names") else {})
    block = compile(code[pair.framework], f"docs/runtimes.md ({pair.framework})", "exec")
    truth = []
    for number, text in enumerate(TICKETS):
        ran.clear()
        current = text
        program["ticket"] = SimpleNamespace(id=f"ticket-{number}", text=f"ticket-{number}: {text}")
        failure = None
        try:
            exec(block, program)
        except Exception as problem:  # What the program sees of a run that failed.
            failure = f"{type(problem).__name__}: {problem}"[:300]
        session = program["session"]
        truth.append({"version": session.version, "calls": len(ran), "failed": failure is not None, "why": failure})
        assert ensign.current_session() is None
        if dropped := {"export_payments"} - set(session.tools_for(program["TOOLS"]).dropped):
            raise AssertionError(f"{dropped} was not left out")
    trace.get_tracer_provider().shutdown()  # type: ignore[attr-defined]
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Frameworks leave threads behind that report to their makers.
