"""Says what the official parser (protobuf's json_format with OpenTelemetry's own definitions) makes of lines of OTLP.

    official.py FILE        # a line for each line: [status code, start, end] of its first span, or null
"""

import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

for line in open(sys.argv[1], encoding="utf-8"):
    try:
        span = json_format.Parse(line, TracesData()).resource_spans[0].scope_spans[0].spans[0]
        print(json.dumps([span.status.code, span.start_time_unix_nano, span.end_time_unix_nano]))
    except (json_format.ParseError, ValueError):
        print("null")
