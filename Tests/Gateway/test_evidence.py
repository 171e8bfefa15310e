"""What a gateway's spans are worth without any instrumentation of the agent: evidence of canaries, and the kill switch's rules.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import json
import time
import unittest
from typing import Any

from clients import Client, reason
from world import AGENT, DEPLOYMENT, FLEET, Case, World

ENVIRONMENT = "environments/prod/environment.yaml"
VERSIONS = "fleet/agents/support/triage"
CANARY = """
  rollout:
    canary:
      steps: [{weight: 50, hold: 1h}]
      analysis:
        metrics:
          - {name: denied-calls, kind: rate, margin: 0.3}
          - {name: steps, kind: count, margin: 50%}
"""


class EvidenceTests(Case):
    def instrumented(self) -> World:
        world = self.world()
        self.telemetry = world.folder / "telemetry"
        self.telemetry.mkdir()
        world.git("config", "ensign.prod.telemetry", str(self.telemetry))
        world.configure(telemetry=str(self.telemetry))
        return world

    def spans(self) -> list[dict[str, Any]]:
        """What the gateway wrote."""
        lines = [line for file in sorted(self.telemetry.glob("gateway-*.jsonl")) for line in file.read_text().splitlines()]
        return [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines]

    def attribute(self, span: dict[str, Any], name: str) -> str:
        found = [entry["value"]["stringValue"] for entry in span["attributes"] if entry["key"] == name]
        return str(found[0])

    def instrument(self, span: dict[str, Any], number: int) -> None:
        """Writes what a runtime and a server would of a call, in traces of their own."""
        tool, operation = self.attribute(span, "gen_ai.tool.name").split(".")
        error = {entry["key"]: entry["value"]["stringValue"] for entry in span["attributes"] if entry["key"] == "error.type"}
        kinds = (("runtime", f"{tool}__{operation}", {}), ("server", operation, {"mcp.method.name": "tools/call"}))
        for file, name, extra in kinds:
            texts = {
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, **error,
                "gen_ai.agent.name": AGENT, "ensign.bundle": self.attribute(span, "ensign.bundle"),
                "ensign.run": self.attribute(span, "ensign.run"), **extra,
            }
            copy = {
                **span, "traceId": f"{number:016x}{len(file):016x}", "spanId": f"{number + 1:016x}",
                "attributes": [{"key": key, "value": {"stringValue": text}} for key, text in texts.items()],
            }
            copy.pop("parentSpanId", None)
            with (self.telemetry / f"{file}.jsonl").open("a") as lines:
                lines.write(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [copy]}]}]}) + "\n")

    def test_a_canary_is_judged_by_the_calls_that_the_gateway_saw_each_counted_once(self) -> None:
        world = self.instrumented()
        world.write(f"{VERSIONS}/1.1.0/agent.yaml", FLEET[f"{VERSIONS}/1.0.0/agent.yaml"].lstrip("\n"))
        world.write(f"{VERSIONS}/1.1.0/prompt.md", "Sort with care.\n")
        world.write(ENVIRONMENT, (world.repository / ENVIRONMENT).read_text() + CANARY.lstrip("\n"))
        text = (world.repository / ENVIRONMENT).read_text()
        world.write(ENVIRONMENT, text.replace("spec: {trustDomain: agents.example.com}", "spec:\n  trustDomain: agents.example.com"))
        world.replace(DEPLOYMENT, "version: 1.0.0", "version: 1.1.0")
        world.commit("Triage with care")
        world.reconcile()
        counts = {"1.0.0": 0, "1.1.0": 0}
        number = 0
        while min(counts.values()) < 3 and number < 100:
            number += 1
            with Client(world, "--run", f"run-{number}", "--key", f"key-{number}") as client:
                self.assertFalse(client.call("payments__lookup", {}).get("isError", False))
                self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 4000})), "arguments")
                self.assertFalse(client.call("payments__lookup", {}).get("isError", False))
            counts[self.attribute(self.spans()[-1], "gen_ai.agent.version")] += 1
        spans = self.spans()
        self.assertEqual(len(spans), 3 * number)
        for index, span in enumerate(spans):
            self.instrument(span, index + 1)

        checked = json.loads(world.ensign("telemetry", "check", str(self.telemetry), "--env", "prod", "-o", "json", wanted=None))
        self.assertEqual({entry["version"]: entry["runs"] for entry in checked["versions"]}, counts)

        world.reconcile()
        self.assertIn("no-data", world.ensign("evidence", AGENT, "--env", "prod"))
        # A run is over when nothing came for a while.
        world.later(1900)
        world.reconcile()
        canary = json.loads(world.ensign("evidence", AGENT, "--env", "prod", "-o", "json"))["canary"]
        # Metrics of calls count from the run after the first one with calls.
        samples = {"canary": counts["1.1.0"] - 1, "stable": counts["1.0.0"] - 1}
        for name, mean in (("steps", 3), ("denied-calls", 1)):
            metric = canary["analysis"]["metrics"][name]
            self.assertEqual(metric["samples"], samples, metric)
            self.assertEqual(metric["mean"], {"canary": mean, "stable": mean}, metric)

    def test_refusals_at_the_gateway_break_a_rule_and_the_halt_holds_at_its_next_call(self) -> None:
        world = self.instrumented()
        world.write(DEPLOYMENT, (world.repository / DEPLOYMENT).read_text() + "  killSwitch: [{deniedCalls: 3, within: 1m}]\n")
        world.commit("Whoever is refused three times is stopped")
        world.reconcile()
        with Client(world, "--run", "r1") as client:
            for amount in (1000, 2000):
                self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": amount})), "arguments")
            for number, span in enumerate(self.spans()):
                self.instrument(span, number + 1)
            world.reconcile()
            self.assertFalse(client.call("payments__lookup", {}).get("isError", False))
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 3000})), "arguments")
            world.reconcile()
            end = time.monotonic() + 10
            while reason(client.call("payments__lookup", {})) != "halted" and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(reason(client.call("payments__lookup", {})), "halted")
        self.assertIn("made 3 calls that were denied within 1m", world.ensign("log", "--env", "prod", AGENT))


if __name__ == "__main__":
    unittest.main()
