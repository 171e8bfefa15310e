"""What a program with types may write. A type checker reads it; nobody runs it."""

from typing import Optional

import ensign
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider()
provider.add_span_processor(ensign.SpanProcessor(baggage=True))
session: ensign.Session = ensign.Fleet("/srv/fleet/prod").session("support/refund-triage", key="ticket-1")
names: ensign.Tools[str] = session.tools_for(["payments__refund"], of="payments")
dropped: tuple[str, ...] = names.dropped
operation: Optional[ensign.Operation] = session.resolve(names[0])
with session, session.run() as run, session.call("payments__refund", {"amount": 1}):
    run.usage(input_tokens=1, output_tokens=1)
    current: Optional[ensign.Session] = ensign.current_session()
session.version = "2.0.0"  # type: ignore[misc]  # A session never changes; without the error mypy finds the comment unused.
