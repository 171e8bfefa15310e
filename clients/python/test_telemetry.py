"""Tests of the two lines: `SpanProcessor`, and `with session.run():`. With OpenTelemetry's SDK where it is installed."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional

import ensign
from test_ensign import AGENT, FleetTestCase, make_bundle

try:
    from opentelemetry import baggage, context, trace
    from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import StatusCode
except ImportError:
    trace = None  # type: ignore[assignment]


class SessionTestCase(FleetTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open("support/one"), self.open("support/two")

    def open(self, agent: str, key: str = "ticket-1") -> ensign.Session:
        self.live.deploy(make_bundle(agent=agent))
        return self.fleet.session(agent, key=key)


class ContextTests(SessionTestCase):
    """Which session code is in: no OpenTelemetry is needed."""

    def test_the_innermost_block_decides_and_leaving_it_goes_back(self) -> None:
        self.assertIsNone(ensign.current_session())
        with self.one as given:
            self.assertIs(given, self.one)
            with self.two, self.one:
                self.assertIs(ensign.current_session(), self.one)
            self.assertIs(ensign.current_session(), self.one)
            with self.assertRaises(ZeroDivisionError), self.two:
                1 / 0
            self.assertIs(ensign.current_session(), self.one)
        self.assertIsNone(ensign.current_session())

    def test_threads_and_tasks_are_apart_although_they_share_a_session(self) -> None:
        barrier, seen = threading.Barrier(8), []

        def work(session: ensign.Session) -> None:
            before = ensign.current_session()
            with session:
                barrier.wait(10)
                seen.append((before, ensign.current_session() is session))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, [self.one, self.two] * 4))
        self.assertEqual(seen, [(None, True)] * 8)

        async def task(session: ensign.Session) -> bool:
            async with session:
                await asyncio.sleep(0)
                right = ensign.current_session() is session
                async with session.run():
                    await asyncio.sleep(0)
                    inner = await asyncio.to_thread(ensign.current_session)
                return right and inner is session and ensign.current_session() is session

        async def together() -> list[bool]:
            return await asyncio.gather(*(task(session) for session in [self.one, self.two] * 4))

        self.assertEqual(asyncio.run(together()), [True] * 8)

    def test_a_copied_context_does_not_keep_a_session_that_has_ended(self) -> None:
        with self.one:
            with self.two:
                copy = contextvars.copy_context()
            self.assertIs(copy.run(ensign.current_session), self.one)
        self.assertIsNone(copy.run(ensign.current_session))

    def test_run_and_call_are_blocks_that_pass_exceptions_on(self) -> None:
        for block in (self.one.run(), self.one.call("crm__lookup", {"a": object()})):
            with block as traced:
                self.assertIs(ensign.current_session(), self.one)
                traced.usage(input_tokens=1, output_tokens=2)
                traced.fail()
            with self.assertRaises(KeyError), block:
                raise KeyError
            self.assertIsNone(ensign.current_session())

    def test_a_run_has_a_name_without_opentelemetry_too(self) -> None:
        with self.one.run("ticket-7") as run, self.one.call("crm__lookup") as call:
            self.assertEqual((run.run, call.run), ("ticket-7", "ticket-7"))
        for name in ("", "x" * 257, 7):
            with self.assertRaises(ensign.InvalidArgument):
                self.one.run(name)  # type: ignore[arg-type]

    def test_names_and_keys_that_the_gateway_refuses_are_no_headers(self) -> None:
        for name in ("Ticket 7", "Fällt", "a\nb", "\t", "é", "x\x7f"):
            with self.one.run(name) as run, self.assertRaisesRegex(ensign.InvalidArgument, "^Ensign-Run is 1 to 256 printable"):
                run.gateway_headers
            with self.fleet.session("support/one", key=name).run("r") as run:
                with self.assertRaisesRegex(ensign.InvalidArgument, "^Ensign-Key is 1 to 256 printable"):
                    run.gateway_headers
        with self.fleet.session("support/one", key="!" * 256).run("~" * 256) as run:
            self.assertEqual(run.gateway_headers, {"Ensign-Run": "~" * 256, "Ensign-Key": "!" * 256})
        with self.fleet.session("support/one", key="!" * 257).run("r") as run, self.assertRaises(ensign.InvalidArgument):
            run.gateway_headers

    def test_without_opentelemetry_there_is_no_span_and_no_error(self) -> None:
        program = f"""
import sys
sys.modules["opentelemetry"] = None
import ensign
session = ensign.Fleet({str(self.root)!r}).session("support/one")
with session.run(baggage=True) as run, session.call("crm__lookup", {{}}) as call:
    assert (run.span, call.span, ensign.current_session()) == (None, None, session)
    assert len(run.run) == 32 and call.run == run.run and run.gateway_headers["Ensign-Run"] == run.run
    run.fail(); run.usage(input_tokens=1, output_tokens=1)
ensign.SpanProcessor(baggage=True)
assert not any(name.startswith("opentelemetry.") for name in sys.modules)
"""
        folder = Path(ensign.__file__).parent
        subprocess.run([sys.executable, "-B", "-c", program], cwd=folder, check=True, timeout=60)


@unittest.skipIf(trace is None, "OpenTelemetry's SDK is not installed")
class StampTests(SessionTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.provider = self.make_provider(ensign.SpanProcessor())

    def make_provider(self, processor: Any, **options: Any) -> TracerProvider:
        provider = TracerProvider(**options)
        provider.add_span_processor(processor)
        self.exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("framework")
        return provider

    def ended(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def agents(self) -> dict[str, Optional[str]]:
        """Whose each span is, by what decides."""
        names = {session.digest: session.agent for session in (self.one, self.two)}
        return {
            name: names.get(str((span.attributes or {}).get("ensign.bundle"))) for name, span in self.ended().items()
        }

    def test_every_span_inside_is_stamped_and_none_outside(self) -> None:
        with self.tracer.start_as_current_span("before"):
            pass
        with self.one:
            with self.tracer.start_as_current_span("outer"):
                self.tracer.start_span("inner").end()
        self.tracer.start_span("after").end()
        self.assertEqual(
            self.agents(), {"before": None, "outer": self.one.agent, "inner": self.one.agent, "after": None}
        )
        self.assertEqual(dict(self.ended()["inner"].attributes or {}), self.one.telemetry_attributes())

    def test_what_a_framework_sets_itself_stays_and_the_bundle_stays_too(self) -> None:
        with self.one, self.tracer.start_as_current_span("span", attributes={"gen_ai.agent.name": "helper"}) as span:
            span.set_attribute("gen_ai.request.model", "other")
        attributes = self.ended()["span"].attributes or {}
        self.assertEqual(attributes["gen_ai.agent.name"], "helper")
        self.assertEqual(attributes["gen_ai.request.model"], "other")
        self.assertEqual(attributes["ensign.bundle"], self.one.digest)
        with self.one:
            self.tracer.start_span("of another", attributes={"ensign.bundle": self.two.digest}).end()
        self.assertEqual(self.agents()["of another"], self.two.agent)

    def test_a_span_with_too_many_attributes_keeps_its_bundle(self) -> None:
        self.make_provider(ensign.SpanProcessor(), span_limits=SpanLimits(max_span_attributes=20))
        with self.assertLogs("opentelemetry"), self.one.run(tracer=self.tracer) as run:
            for number in range(300):
                run.span.set_attribute(f"llm.input_messages.{number}", "x")  # type: ignore[union-attr]
            with self.tracer.start_as_current_span("inner") as inner:
                for number in range(300):
                    inner.set_attribute(f"llm.input_messages.{number}", "x")
        self.assertEqual(set(self.agents().values()), {self.one.agent})
        for span in self.ended().values():
            self.assertIn("ensign.session", span.attributes or {})

    def test_a_thread_without_the_context_inherits_from_the_parent(self) -> None:
        def work(parent: Any) -> None:
            self.tracer.start_span("on a thread", context=trace.set_span_in_context(parent)).end()

        with self.one, self.tracer.start_as_current_span("parent") as parent:
            parent.set_attribute("gen_ai.agent.name", "helper")
            thread = threading.Thread(target=work, args=(parent,))
            thread.start()
            thread.join()
        attributes = self.ended()["on a thread"].attributes or {}
        self.assertEqual(dict(attributes), self.one.telemetry_attributes())

    def test_a_worker_that_sessions_share_stamps_by_the_parent(self) -> None:
        """As event buses and logging workers: the worker runs in the context of the session that started it."""
        same = self.open("support/one", key="ticket-2")
        for other in (self.two, same):
            with self.subTest(other=other.agent), self.one:
                worker = contextvars.copy_context()
                with ThreadPoolExecutor(1) as pool:

                    def run(session: ensign.Session) -> None:
                        with session, self.tracer.start_as_current_span("parent") as parent:
                            parents.append(parent)

                    parents: list[Any] = []
                    pool.submit(run, other).result()
                around = trace.set_span_in_context(parents[0])
                worker.run(lambda: self.tracer.start_span("late", context=around).end())
            attributes = self.ended()["late"].attributes or {}
            self.assertEqual(attributes["ensign.bundle"], other.digest)
            self.assertEqual(attributes["ensign.session"], other.telemetry_attributes()["ensign.session"])

    def test_an_agent_that_works_inside_another_ones_run_is_itself(self) -> None:
        with self.one.run(tracer=self.tracer) as outer, self.two:
            self.tracer.start_span("implicit").end()
            self.tracer.start_span("explicit", context=trace.set_span_in_context(outer.span)).end()  # type: ignore
        self.assertEqual(
            self.agents(),
            {"implicit": self.two.agent, "explicit": self.two.agent, f"invoke_agent {self.one.agent}": self.one.agent},
        )

    def test_the_runs_own_span(self) -> None:
        with self.one.run(tracer=self.tracer) as run:
            run.usage(input_tokens=100, output_tokens=20)
            self.tracer.start_span("inner").end()
        span = self.ended()[f"invoke_agent {self.one.agent}"]
        self.assertEqual(
            dict(span.attributes or {}),
            {
                **self.one.telemetry_attributes(),
                "ensign.run": run.run,
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.output_tokens": 20,
            },
        )
        self.assertEqual(span.status.status_code, StatusCode.UNSET)
        inner = self.ended()["inner"]
        assert inner.parent is not None and span.context is not None
        self.assertEqual(inner.parent.span_id, span.context.span_id)
        self.assertFalse(trace.get_current_span().get_span_context().is_valid)

    def test_a_run_has_a_name_on_all_spans_of_its_block(self) -> None:
        with self.one.run("ticket-7", tracer=self.tracer) as run:
            self.tracer.start_span("inner").end()
            with self.one.call("crm__lookup", tracer=self.tracer) as call:
                pass
            with self.one:
                self.tracer.start_span("same").end()
            with self.two:
                self.tracer.start_span("another").end()
        self.assertEqual((run.run, call.run), ("ticket-7", "ticket-7"))
        self.assertEqual(run.gateway_headers, {"Ensign-Run": "ticket-7", "Ensign-Key": "ticket-1"})
        named = {name: (span.attributes or {}).get("ensign.run") for name, span in self.ended().items()}
        self.assertEqual(named.pop("another"), None)
        self.assertEqual(set(named.values()), {"ticket-7"})
        # Without a name it is what the gateway calls it where a client passes the trace on.
        self.exporter.clear()
        block = self.one.run(tracer=self.tracer)
        names = []
        for _ in range(2):
            with block:
                self.tracer.start_span("inner").end()
            names.append(block.run)
            for span in self.exporter.get_finished_spans():
                assert span.context is not None
                self.assertEqual((span.attributes or {})["ensign.run"], f"{span.context.trace_id:032x}")
            self.exporter.clear()
        self.assertNotEqual(names[0], names[1])

    def test_a_run_fails_by_an_exception_a_cancellation_or_when_somebody_says_so(self) -> None:
        def status(problem: Optional[BaseException], reason: Optional[str] = None) -> tuple[Any, Any]:
            self.exporter.clear()
            try:
                with self.one.run(tracer=self.tracer) as run:
                    if reason is not None:
                        run.fail(reason)
                    if problem is not None:
                        raise problem
            except BaseException as raised:
                self.assertIs(raised, problem)
            (span,) = self.ended().values()
            return span.status.status_code, (span.attributes or {}).get("error.type")

        self.assertEqual(status(None), (StatusCode.UNSET, None))
        self.assertEqual(status(None, "no answer"), (StatusCode.ERROR, "no answer"))
        self.assertEqual(status(ValueError("x")), (StatusCode.ERROR, "ValueError"))
        self.assertEqual(status(asyncio.CancelledError()), (StatusCode.ERROR, "CancelledError"))
        self.assertEqual(status(KeyboardInterrupt()), (StatusCode.ERROR, "KeyboardInterrupt"))
        self.assertEqual(status(GeneratorExit()), (StatusCode.UNSET, None))

    def test_the_span_of_a_call(self) -> None:
        with self.one.run(tracer=self.tracer):
            with self.one.call("payments__refund", {"b": 1, "a": [2]}, tracer=self.tracer):
                pass
        span = self.ended()["execute_tool payments__refund"]
        attributes = span.attributes or {}
        self.assertEqual(attributes["gen_ai.operation.name"], "execute_tool")
        self.assertEqual(attributes["gen_ai.tool.name"], "payments__refund")
        self.assertEqual(attributes["gen_ai.tool.call.arguments"], '{"a": [2], "b": 1}')
        self.assertEqual(attributes["ensign.bundle"], self.one.digest)
        for problem, reason in ((PermissionError("no"), "permission_denied"), (OSError("no"), "OSError")):
            with self.assertRaises(OSError), self.one.call("crm__lookup", tracer=self.tracer):
                raise problem
            span = self.ended()["execute_tool crm__lookup"]
            self.assertEqual((span.attributes or {})["error.type"], reason)
            self.assertNotIn("gen_ai.tool.call.arguments", span.attributes or {})
            self.exporter.clear()
        round_about: list[Any] = []
        round_about.append(round_about)
        with self.one.call("crm__lookup", {"a": round_about}, tracer=self.tracer):
            pass
        self.assertNotIn("gen_ai.tool.call.arguments", self.ended()["execute_tool crm__lookup"].attributes or {})

    def test_baggage_is_passed_on_and_believed_only_when_that_is_asked_for(self) -> None:
        with self.one.run(tracer=self.tracer):
            self.assertEqual(dict(baggage.get_all()), {})
        with self.one.run(tracer=self.tracer, baggage=True):
            sent = context.get_current()
            names = {"ensign.bundle", "ensign.session"}
            self.assertEqual({name: self.one.telemetry_attributes()[name] for name in names}, dict(baggage.get_all()))
        self.assertEqual(dict(baggage.get_all()), {})
        received = baggage.set_baggage("ensign.bundle", self.one.digest, context=context.Context())
        self.assertEqual(baggage.get_baggage("ensign.bundle", sent), self.one.digest)
        self.tracer.start_span("unasked", context=received).end()
        self.assertIsNone(self.agents()["unasked"])
        self.make_provider(ensign.SpanProcessor(baggage=True))
        with self.tracer.start_as_current_span("asked", context=received) as asked:
            self.tracer.start_span("below", context=trace.set_span_in_context(asked, received)).end()
        self.assertEqual(self.agents(), {"asked": self.one.agent, "below": self.one.agent})
        for odd in ("sha256:7", "../../x", 7, "sha256:" + "0" * 64 + "\n"):
            self.tracer.start_span("odd", context=baggage.set_baggage("ensign.bundle", odd, context.Context())).end()
            self.assertEqual(self.ended()["odd"].attributes, {})
            self.exporter.clear()


if __name__ == "__main__":
    unittest.main()
