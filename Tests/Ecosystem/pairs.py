"""The pairs of framework and instrumentation that are tried."""

from __future__ import annotations

from dataclasses import dataclass

AGENT = "support/refund-triage"


@dataclass(frozen=True)
class Pair:
    framework: str
    """Names the block of docs/runtimes.md and the module in `frameworks`."""
    packages: str
    """Names the file in `requirements`: one virtual environment each."""


PAIRS = {
    "pydantic-ai": Pair("pydantic-ai", "pydantic-ai"),
    "agent-framework": Pair("agent-framework", "agent-framework"),
    "strands": Pair("strands", "strands"),
    "adk": Pair("adk", "adk"),
    "langgraph-traceloop": Pair("langgraph", "langgraph"),
    "langgraph-openinference": Pair("langgraph", "langgraph"),
    "langgraph-openinference-genai": Pair("langgraph", "langgraph"),
    "openai-agents-traceloop": Pair("openai-agents", "openai-agents"),
    "openai-agents-openinference": Pair("openai-agents", "openai-agents"),
    "openai-agents-openinference-genai": Pair("openai-agents", "openai-agents"),
    "crewai-traceloop": Pair("crewai", "crewai"),
    "crewai-openinference": Pair("crewai", "crewai"),
    "crewai-openinference-genai": Pair("crewai", "crewai"),
    "crewai-openlit": Pair("crewai", "crewai"),
    "plain": Pair("plain", "openai-agents"),
}
