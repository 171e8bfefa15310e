"""An agent of Pydantic AI whose model is a script: it makes the calls that stand in the command, and says what it was told.

    python clerk.py gateway.yaml support/clerk NAME ARGUMENTS [NAME ARGUMENTS ...]

The gateway is its only server. Needs `pydantic-ai-slim[mcp]`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel


async def main(config: str, agent: str, *words: str) -> None:
    calls = list(zip(words[::2], words[1::2], strict=True))
    told: list[str] = []
    tools: list[str] = []

    def answer(messages: list[Any], info: Any) -> ModelResponse:
        """The model: one call after another, whatever it is told."""
        tools[:] = [tool.name for tool in info.function_tools]
        told.extend(str(part.content) for part in messages[-1].parts if part.part_kind == "tool-return")
        if len(told) < len(calls):
            return ModelResponse(parts=[ToolCallPart(*calls[len(told)])])
        return ModelResponse(parts=[TextPart("That is all.")])

    gateway = StdioTransport("ensign-gateway", ["stdio", "--config", config, "--agent", agent])
    async with Agent(FunctionModel(answer), toolsets=[MCPToolset(gateway, tool_error_behavior="failed")]) as clerk:
        await clerk.run("What time is it?")
    print("its model is offered: " + ", ".join(tools))
    for (name, arguments), text in zip(calls, told, strict=True):
        print(f"it calls {name} {arguments}\n  and is told: {' '.join(text.split())}")


if len(sys.argv) < 3 or len(sys.argv) % 2 == 0:
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
