"""Clients of the gateway: each lists its tools and makes a call as its framework does, up to what the model reads.

Each is made from what docs/gateway.md calls `remote` or `local`, and is used with `async with`. `listed()` gives the tools as
the framework has them; `call` gives the text for the model. What `call` raises would have ended the framework's run.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Self


@dataclass
class Tool:
    name: str
    description: str
    schema: dict[str, Any] | None = None
    """What the gateway sent; none where the framework keeps something else."""


class Client:
    package = "mcp"
    """What is tried."""
    direct = False
    """Whether it can call what it was not shown."""
    own_check = "\n"
    """What it says of itself of arguments that do not fit the schema it was shown, where it does not ask the server."""

    def __init__(self, way: Any) -> None:
        self.way = way
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.stack.aclose()

    async def connect(self) -> None:
        pass

    def shown(self, name: str) -> str:
        """The name that the framework makes of a tool's name."""
        return name

    def impatient(self) -> None:
        """Makes it give up before a call of seven seconds is done, where it can be told how long to wait."""

    async def listed(self) -> list[Tool]:
        raise NotImplementedError

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        raise NotImplementedError

    @classmethod
    def versions(cls) -> str:
        names = dict.fromkeys([cls.package, "mcp"])
        return ", ".join(f"{name} {version(name)}" for name in names)


def text(blocks: Any) -> str:
    """The texts of a result's content, whatever the framework has made of its blocks."""
    if isinstance(blocks, str):
        return blocks
    if isinstance(blocks, dict):
        return str(blocks["text"])
    if isinstance(blocks, list):
        return "".join(map(text, blocks))
    return str(getattr(blocks, "text", blocks))


def camel(tool: Any) -> Any:
    return tool.model_dump(by_alias=True, exclude_none=True)["inputSchema"]


class Modern(Client):
    """`mcp` 2.x, which asks for the stateless era first."""

    direct = True
    mode = "auto"
    protocol = "2026-07-28"

    async def connect(self) -> None:
        from mcp import Client as Session

        self.session = await self.stack.enter_async_context(Session(self.way, mode=self.mode))
        spoken = self.session.session.protocol_version
        assert spoken == self.protocol, f"{spoken} is spoken"

    async def listed(self) -> list[Tool]:
        answer = await self.session.list_tools()
        assert not answer.next_cursor
        return [Tool(tool.name, tool.description or "", camel(tool)) for tool in answer.tools]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        return text((await self.session.call_tool(name, arguments)).content)


class Legacy(Modern):
    """`mcp` 2.x, told to begin with `initialize`."""

    mode = "legacy"
    protocol = "2025-11-25"


class Classic(Client):
    """`mcp` 1.x."""

    direct = True

    async def connect(self) -> None:
        from mcp import ClientSession

        read, write, *_ = await self.stack.enter_async_context(self.way)
        self.session = await self.stack.enter_async_context(ClientSession(read, write))
        await self.session.initialize()

    async def listed(self) -> list[Tool]:
        answer = await self.session.list_tools()
        return [Tool(tool.name, tool.description or "", camel(tool)) for tool in answer.tools]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        return text((await self.session.call_tool(name, arguments)).content)


class LangChain(Client):
    """A graph whose only node runs tools, as an agent's does."""

    package = "langchain-mcp-adapters"

    async def connect(self) -> None:
        from langgraph.graph import END, START, MessagesState, StateGraph
        from langgraph.prebuilt import ToolNode

        self.tools = await self.way.get_tools()
        graph = StateGraph(MessagesState)
        graph.add_node("tools", ToolNode(self.tools))
        graph.add_edge(START, "tools")
        graph.add_edge("tools", END)
        self.graph = graph.compile()

    async def listed(self) -> list[Tool]:
        return [Tool(tool.name, tool.description, tool.args_schema) for tool in self.tools]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        from langchain_core.messages import AIMessage

        wish = {"name": name, "args": arguments, "id": "1", "type": "tool_call"}
        state = await self.graph.ainvoke({"messages": [AIMessage(content="", tool_calls=[wish])]})
        return text(state["messages"][-1].content)


class OpenAIAgents(Client):
    package = "openai-agents"

    async def connect(self) -> None:
        from agents import Agent, RunContextWrapper
        from agents.mcp import MCPUtil

        self.way.client_session_timeout_seconds = 5  # Its default, which the page's lines raise.
        await self.stack.enter_async_context(self.way)
        agent = Agent(name="test", mcp_servers=[self.way])
        tools = await MCPUtil.get_all_function_tools([self.way], False, RunContextWrapper(context=None), agent)
        self.tools = {tool.name: tool for tool in tools}

    async def listed(self) -> list[Tool]:
        listed = await self.way.list_tools()
        assert list(self.tools) == [tool.name for tool in listed]
        return [Tool(tool.name, tool.description, camel(listed[at])) for at, tool in enumerate(self.tools.values())]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        from agents.tool_context import ToolContext

        words = json.dumps(arguments)
        context = ToolContext(None, tool_name=name, tool_call_id="1", tool_arguments=words)
        return text(await self.tools[name].on_invoke_tool(context, words))


class PydanticAI(Client):
    """An agent whose model is a function: it makes one call, and keeps what comes back."""

    package = "pydantic-ai-slim"

    async def connect(self) -> None:
        from pydantic_ai import Agent

        self.agent = await self.stack.enter_async_context(Agent(toolsets=[self.way]))

    async def _run(self, parts: list[Any]) -> tuple[list[Any], Any]:
        from pydantic_ai.messages import ModelResponse, TextPart
        from pydantic_ai.models.function import FunctionModel

        seen: list[Any] = []

        def answer(messages: Any, info: Any) -> Any:
            seen.append((messages[-1].parts, info.function_tools))
            return ModelResponse(parts=parts if len(seen) == 1 and parts else [TextPart("done")])

        await self.agent.run("go", model=FunctionModel(answer))
        return seen[-1]

    async def listed(self) -> list[Tool]:
        _, tools = await self._run([])
        return [Tool(tool.name, tool.description, tool.parameters_json_schema) for tool in tools]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        from pydantic_ai.messages import ToolCallPart

        parts, _ = await self._run([ToolCallPart(name, arguments)])
        answer = parts[-1]
        content = answer.content
        return content if isinstance(content, str) else json.dumps(content)


def sanitized(name: str) -> str:
    """CrewAI's names are of letters, digits and single underscores."""
    return re.sub("_+", "_", re.sub("[^a-z0-9_]", "_", name.lower()))


class CrewAI(Client):
    package = "crewai"
    own_check = "less than or equal to 100"

    async def connect(self) -> None:
        from crewai import LLM, Agent

        llm = LLM(model="openai/gpt-5", api_key="none")
        agent = Agent(role="test", goal="test", backstory="test", llm=llm, mcps=[self.way])
        tools = await asyncio.to_thread(agent.get_mcp_tools, agent.mcps)
        self.tools = {tool.original_tool_name: tool for tool in tools}

    def impatient(self) -> None:
        for tool in self.tools.values():
            make = tool._client_factory

            def patched(make: Any = make) -> Any:
                client = make()
                client.execution_timeout = 2  # Instead of 30: three tries within a call of seven seconds.
                return client

            tool._client_factory = patched

    async def listed(self) -> list[Tool]:
        return [Tool(name, tool.description) for name, tool in self.tools.items()]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        # In Python 3.11 its connections by HTTP end with an exception, which counts outside a running loop.
        async def run() -> Any:
            return self.tools[name].run(**arguments)

        answer = await asyncio.to_thread(asyncio.run, run())
        return str(getattr(answer, "message", answer))


class CrewAITools(Client):
    package = "crewai-tools"
    own_check = "less than or equal to 100"

    async def connect(self) -> None:
        from crewai_tools import MCPServerAdapter

        adapter = await asyncio.to_thread(MCPServerAdapter, self.way)
        self.stack.push_async_callback(asyncio.to_thread, adapter.stop)
        self.tools = {tool.name: tool for tool in adapter.tools}

    def shown(self, name: str) -> str:
        return sanitized(name)

    async def listed(self) -> list[Tool]:
        return [Tool(name, tool.description) for name, tool in self.tools.items()]

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        return str(await asyncio.to_thread(lambda: self.tools[sanitized(name)].run(**arguments)))


@dataclass(frozen=True)
class Kind:
    client: type[Client]
    block: str
    """The lines of docs/gateway.md."""
    packages: str
    """Names the file in `requirements`."""


CLIENTS = {
    "mcp-modern": Kind(Modern, "mcp", "openai-agents"),
    "mcp-legacy": Kind(Legacy, "mcp", "openai-agents"),
    "mcp-classic": Kind(Classic, "mcp-classic", "langgraph"),
    "langchain": Kind(LangChain, "langchain", "langgraph"),
    "openai-agents": Kind(OpenAIAgents, "openai-agents", "openai-agents"),
    "pydantic-ai": Kind(PydanticAI, "pydantic-ai", "pydantic-ai"),
    "crewai": Kind(CrewAI, "crewai", "crewai"),
    "crewai-tools": Kind(CrewAITools, "crewai-tools", "crewai"),
}
