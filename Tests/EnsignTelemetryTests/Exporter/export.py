"""Writes telemetry of a small fleet with OpenTelemetry's own SDK and its OTLP/JSON file exporter.

    export.py DIRECTORY --agent support/desk --bundle sha256:... --runs 3 [--record]

Writes DIRECTORY/traces.jsonl, logs.jsonl and metrics.jsonl, and prints what was done as JSON. `--record` fixes ids and
times, so that the files are the same each time: they are checked in beside this program.
"""

import argparse
import json
import pathlib

from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.json.file import FileMetricExporter, FileSpanExporter
from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Status, StatusCode, set_span_in_context

START = 1_790_000_000_000_000_000  # 2026-09-21


class CountingIds(IdGenerator):
    def __init__(self):
        self.count = 0

    def generate_span_id(self):
        self.count += 1
        return 0xA000_0000_0000_0000 + self.count

    def generate_trace_id(self):
        self.count += 1
        return (0xB000_0000_0000_0000 << 64) + self.count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--agent", default="support/desk")
    parser.add_argument("--bundle", default="sha256:" + "a" * 64)
    parser.add_argument("--environment", default="prod")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)

    attributes = {"service.name": "desk", "deployment.environment.name": options.environment}
    resource = Resource(attributes | {"service.instance.id": "1"}) if options.record else Resource.create(attributes)
    ids = {"id_generator": CountingIds()} if options.record else {}
    tracing = TracerProvider(resource=resource, **ids)
    spans = FileSpanExporter(options.directory / "traces.jsonl")
    # A simple processor writes each span on a line of its own, a batch all that ended together.
    tracing.add_span_processor(SimpleSpanProcessor(spans) if options.record else BatchSpanProcessor(spans))
    logging = LoggerProvider(resource=resource)
    logging.add_log_record_processor(BatchLogRecordProcessor(FileLogExporter(options.directory / "logs.jsonl")))
    tracer, logger = tracing.get_tracer("desk", "1.0"), logging.get_logger("evaluator")

    now = START

    def tick(milliseconds):
        nonlocal now
        now += milliseconds * 1_000_000
        return now if options.record else None

    for number in range(options.runs):
        identity = {
            "gen_ai.agent.name": options.agent,
            "gen_ai.agent.version": "1.0.0",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "ensign.bundle": options.bundle,
        }
        run = tracer.start_span(
            f"invoke_agent {options.agent}",
            attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.system_instructions": 'Say "hi"\n\u00fc', **identity},
            start_time=tick(0),
        )
        inside = set_span_in_context(run)
        step = tracer.start_span("step", context=inside, start_time=tick(10))
        within = set_span_in_context(step)
        chat = tracer.start_span(
            "chat claude-sonnet-4-5",
            context=within,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "anthropic",
                "gen_ai.request.model": "claude-sonnet-4-5",
                "gen_ai.usage.input_tokens": 1_000,
                "gen_ai.usage.cache_read.input_tokens": 400,
                "gen_ai.usage.output_tokens": 100,
                "gen_ai.response.finish_reasons": ["tool_calls"],
                "gen_ai.request.temperature": 0.2,
            },
            start_time=tick(10),
        )
        chat.end(tick(700))
        call = tracer.start_span(
            "execute_tool crm__lookup",
            context=within,
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "crm__lookup",
                "gen_ai.tool.call.arguments": json.dumps({"id": number, "fields": ["name"]}),
            },
            start_time=tick(1),
        )
        if number % 3 == 1:
            call.set_attribute("error.type", "permission_denied")
            call.set_status(Status(StatusCode.ERROR, "not granted"))
        call.end(tick(50))
        step.end(tick(1))
        if number % 3 == 2:
            run.set_status(Status(StatusCode.ERROR, "gave up"))
        run.add_event(
            "gen_ai.evaluation.result",
            {"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.value": 0.75, "gen_ai.evaluation.score.label": "pass"},
            timestamp=tick(0),
        )
        run.end(tick(228))
        logger.emit(
            LogRecord(
                timestamp=tick(1),
                observed_timestamp=tick(0),
                context=inside,
                event_name="gen_ai.evaluation.result",
                body={"scores": [1, 2.5, None], "raw": b"\x00\x01"},
                attributes={"gen_ai.evaluation.name": "grounded", "gen_ai.evaluation.score.value": number % 2},
            )
        )

    tracing.shutdown()
    logging.shutdown()
    metrics = MeterProvider(
        metric_readers=[PeriodicExportingMetricReader(FileMetricExporter(options.directory / "metrics.jsonl"))],
        resource=resource,
    )
    metrics.get_meter("desk").create_histogram("gen_ai.client.token.usage").record(1_100, {"gen_ai.token.type": "input"})
    metrics.shutdown()


main()
