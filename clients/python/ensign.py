"""Reads a fleet of AI agents from a live directory that Ensign keeps.

    fleet = Fleet("/srv/fleet/prod")
    session = fleet.session("support/refund-triage", key="ticket-4711")
    session.instructions, session.model.name, session.tool_schemas()

Copy this file into your project: one file, standard library only, Python 3.9 or newer. From a shell,
``python3 ensign.py LIVE_DIR AGENT --key KEY`` prints which version a session takes.

A session is one unit of work that must not change its mind half way: a ticket, a conversation, a run. Its key decides
which version it takes while two are live, always the same way. A session never changes once it is open; the next one
sees whatever is live then. What is live is described in docs/runtimes.md.

With OpenTelemetry two lines let Ensign count what any framework does. Without it they do nothing:

    provider.add_span_processor(SpanProcessor())      # once
    with session.run():                               # around each run; tools: session.tools_for(TOOLS)
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import contextvars
import datetime
import fractions
import functools
import hashlib
import importlib
import json
import logging
import operator
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, TypeVar, Union, cast

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor as _SpanProcessor  # type: ignore[import-not-found,unused-ignore]
else:
    _SpanProcessor = object  # The SDK asks for the methods alone, and this file works without it.

__all__ = [
    "AgentHalted",
    "AgentNotFound",
    "CorruptBundle",
    "CorruptRoute",
    "Decision",
    "EnsignError",
    "Fleet",
    "FleetUnavailable",
    "InvalidArgument",
    "InvalidKeys",
    "Limits",
    "Model",
    "NotDeclared",
    "Operation",
    "Route",
    "Session",
    "SpanProcessor",
    "Tool",
    "Tools",
    "Traced",
    "Unproven",
    "WeightedVersion",
    "bucket",
    "current_session",
    "model_name",
]

__version__ = "0.1.0"

JSONObject = dict[str, Any]
AnyTool = TypeVar("AnyTool")

_log = logging.getLogger("ensign")

# --------------------------------------------------------------------------------------------------------- errors


class EnsignError(Exception):
    """Anything that keeps a session from starting. Catch this one to catch them all."""


class InvalidArgument(EnsignError, ValueError):
    """The caller's agent name, session key or run's name cannot be one. No file was touched."""


class AgentNotFound(EnsignError):
    """The fleet does not have this agent."""


class AgentHalted(EnsignError):
    """The agent was stopped on purpose. Do not start anything for it, and do not retry until somebody resumes it."""


class FleetUnavailable(EnsignError):
    """The live directory, or a file in it, cannot be read now. This may clear by itself; try again later."""


class CorruptRoute(EnsignError):
    """A route does not say what a route must say. Ensign repairs it at its next reconcile; `ensign drift` shows it."""


class Unproven(CorruptRoute):
    """A route, or the header, is not signed by one of the keys, or is older than one that was seen. Nothing of it counts."""


class InvalidKeys(EnsignError, ValueError):
    """The keys cannot be used, or nothing here can check a signature. Nothing is believed without them."""


class CorruptBundle(EnsignError):
    """A bundle's bytes do not have the digest that the route names, or are not a bundle. No part of it was used."""


class NotDeclared(EnsignError):
    """The agent has no model, or no single prompt, of its own: its `runtime` or its `prompts` say more."""


# -------------------------------------------------------------------------------------------------------- routing

_NAME = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_AGENT = re.compile(f"{_NAME}/{_NAME}")
_DIGEST = re.compile("sha256:([0-9a-f]{2})([0-9a-f]{62})")
_PHASES = ("stable", "canary", "halted")


def bucket(agent: str, digest: str, key: str) -> int:
    """Returns the bucket, 0...99, of a session: `digest` is that of the first route, with its `sha256:`."""
    identity = f"{agent}\n{digest}\n{key}".encode("utf-8")
    return int.from_bytes(hashlib.sha256(identity).digest()[:8], "big") % 100


@dataclass(frozen=True)
class WeightedVersion:
    """One of an agent's live versions, and the whole percentage of sessions that it gets."""

    version: str
    digest: str
    weight: int


@dataclass(frozen=True)
class Route:
    """Which versions of an agent are live: the candidate first, the stable version last. None when halted."""

    agent: str
    environment: str
    phase: str
    routes: tuple[WeightedVersion, ...]

    def select(self, key: str) -> tuple[int, WeightedVersion]:
        """Returns a session's bucket and the version it takes.

        The first route whose running sum of weights exceeds the bucket. A bucket depends on the candidate, not on its
        weight, so a session keeps its version while the weight grows.

        Raises: AgentHalted; InvalidArgument if `key` is not text that UTF-8 can express.
        """
        if self.phase == "halted":
            raise AgentHalted(
                f"agent {self.agent} is halted in {self.environment}: start no session for it "
                f"(`ensign status --env {self.environment}` says since when and why)"
            )
        _check_key(key)
        number = bucket(self.agent, self.routes[0].digest, key)
        running = 0
        for choice in self.routes:
            running += choice.weight
            if running > number:
                return number, choice
        raise CorruptRoute(f"route of {self.agent}: weights add up to {running}, not to 100")


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        raise InvalidArgument(f"a session key is text, not {type(key).__name__}")
    try:
        key.encode("utf-8")
    except UnicodeEncodeError as problem:
        raise InvalidArgument(f"session key {key!r} is not valid Unicode") from problem


def _parse_route(data: bytes, agent: str, path: str) -> Route:
    fields = _Fields(_decode(data, path, CorruptRoute), path, CorruptRoute)
    if fields.text("agent") != agent:
        fields.fail("agent", f"names {fields.text('agent')!r}, in the place of {agent!r}")
    environment, phase = fields.text("environment"), fields.text("phase")
    if phase not in _PHASES:
        fields.fail("phase", f"unknown phase {phase!r}: this client knows {', '.join(_PHASES)}")
    if phase == "halted":  # Decides alone: nothing else in the file can start a halted agent.
        return Route(agent, environment, phase, ())
    routes = []
    for entry in fields.objects("routes"):
        choice = WeightedVersion(entry.text("version"), entry.text("digest"), entry.integer("weight"))
        if not _DIGEST.fullmatch(choice.digest):
            entry.fail("digest", f"{choice.digest!r} is not sha256: and 64 lower-case hexadecimal digits")
        if not 0 <= choice.weight <= 100:
            entry.fail("weight", f"{choice.weight} is not in 0...100")
        routes.append(choice)
    total = sum(choice.weight for choice in routes)
    if total != 100:
        fields.fail("routes", f"weights add up to {total}, not to 100")
    return Route(agent, environment, phase, tuple(routes))


# ------------------------------------------------------------------------------------------------- names of tools

_MODEL_NAME_LIMIT = 64
_DIGEST_DIGITS = 10
_LOOKS_DIGESTED = re.compile(f"_[0-9a-fA-F]{{{_DIGEST_DIGITS}}}\\Z")
_NAME_LIMIT = 256
_SEPARATORS = ("__", ".", "/")


def model_name(tool: str, operation: str) -> str:
    """Returns the name by which a model calls an operation: 1 to 64 of `A-Za-z0-9_-`, and no other operation's.

    `<tool>__<operation>` where that is allowed and can be nothing else; otherwise the same with `_` for each `.`, cut, and
    with a digest behind it. It depends on nothing else that is granted. `Tests/Vectors/model-names.json` has examples.
    """
    plain = f"{tool}__{operation}"
    is_clear = not (
        "." in operation or "__" in operation or operation.startswith("_") or operation.endswith("_")
    ) and not _LOOKS_DIGESTED.search(plain)
    if is_clear and len(plain) <= _MODEL_NAME_LIMIT:
        return plain
    digest = hashlib.sha256(f"{tool}.{operation}".encode()).hexdigest()[:_DIGEST_DIGITS]
    return plain.replace(".", "_")[: _MODEL_NAME_LIMIT - 1 - _DIGEST_DIGITS] + "_" + digest


class _Names:
    """Which granted operation a name means. The rules are those of docs/telemetry.md, "Names of tools";
    `Tests/Vectors/tool-names.json` has examples."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._operations = sorted(operations, key=lambda operation: (operation.tool, operation.name))
        self._tools = {operation.tool for operation in self._operations}
        self._by_model_name: dict[str, list[int]] = {}
        self._by_writing: dict[str, list[int]] = {}
        self._by_words: dict[str, list[int]] = {}
        self._model_name_words: dict[str, list[int]] = {}
        for index, operation in enumerate(self._operations):
            called = operation.schema_name
            self._by_model_name.setdefault(called, []).append(index)
            names = {operation.name, operation.server_tool}
            for name in names:
                self._by_writing.setdefault(name, []).append(index)
            for words in {words for name in names for words in _foldings(name)}:
                self._by_words.setdefault(words, []).append(index)
            for words in {_joined(words) for words in _spellings(called)}:
                self._model_name_words.setdefault(words, []).append(index)

    def find(self, name: str) -> list[Operation]:
        if not name or len(name.encode("utf-8", "surrogatepass")) > _NAME_LIMIT:
            return []
        # A model's name is certain: no other operation has it, whatever else is granted.
        found = set(self._by_model_name.get(name, ())) or self._reading(name, whole=True)
        if found is None and (rest := _without_protocol(name)):
            found = self._reading(rest, whole=False)
        return [self._operations[index] for index in sorted(found or ())]

    def _reading(self, name: str, *, whole: bool) -> Optional[set[int]]:
        """What a name can mean: as it is written, else by its words. Empty when it names what is not granted."""
        found = set(self._by_writing.get(name, ())) if whole else set()
        for tool, operation in _joints(name):
            found.update(self._of(tool, self._by_writing.get(operation, ())))
        if found:
            # A framework may have made the same of another operation's name, unless that one has a separator of its own.
            if not self._is_explicit(name):
                found.update(self._model_name_words.get(_spellings(name)[0], ()))
            return found
        for separator in _SEPARATORS:
            before, is_there, behind = name.partition(separator)
            if not is_there:
                continue
            tools = _spellings(before)
            for tool in tools:
                for words in _spellings(behind):
                    found.update(self._of(tool, self._by_words.get(words, ())))
            # It says whose operation it is, and that tool may grant none of this name.
            if found or not self._tools.isdisjoint(tools):
                return found
        for words in _spellings(name):
            if whole:
                found.update(self._by_words.get(words, ()))
            found.update(self._model_name_words.get(words, ()))
            for index in range(1, len(words) - 1):
                if words[index] == "-":
                    found.update(self._of(words[:index], self._by_words.get(words[index + 1 :], ())))
        return found or None

    def _is_explicit(self, name: str) -> bool:
        parts = (name.partition(separator) for separator in _SEPARATORS)
        return any(True for tool, _, behind in parts for _ in self._of(tool, self._by_writing.get(behind, ())))

    def _of(self, tool: str, found: Iterable[int]) -> Iterator[int]:
        return (index for index in found if self._operations[index].tool == tool)


_FOLDED = str.maketrans({**{chr(code): chr(code | 0x20) for code in range(0x41, 0x5B)}, "_": "-", ".": "-"})
_WORD_STARTS = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z0-9])")
_PROTOCOL = re.compile("[mM][cC][pP](?:__|[_./-])")


def _spellings(name: str) -> list[str]:
    """A name's words: small letters, `-` for `_` and `.`; if it has capitals inside words, also with `-` before them."""
    plain, apart = name.translate(_FOLDED), _WORD_STARTS.sub("-", name).translate(_FOLDED)
    return [plain] if plain == apart else [plain, apart]


def _foldings(name: str) -> set[str]:
    """The words of a granted name; also as frameworks fold them, with one `-` for several and none at the ends."""
    spellings = _spellings(name)
    return {*spellings, *filter(None, map(_joined, spellings))}


def _joined(words: str) -> str:
    return "-".join(filter(None, re.split("[-/]", words)))


def _without_protocol(name: str) -> str:
    """The rest after the prefix that some runtimes put before the names of a protocol's tools."""
    prefix = _PROTOCOL.match(name)
    return name[prefix.end() :] if prefix else ""


def _joints(name: str) -> Iterator[tuple[str, str]]:
    """Everything that may be a tool and its operation as they are written, with one separator between, or two `_`."""
    for index in range(1, len(name) - 1):
        if name[index] not in "_./-":
            continue
        yield name[:index], name[index + 1 :]
        if name[index : index + 2] == "__" and index + 2 < len(name):
            yield name[:index], name[index + 2 :]


# --------------------------------------------------------------------------------------------- what a bundle holds


@dataclass(frozen=True)
class Model:
    """The model an agent runs on. `parameters` are passed to the provider untouched."""

    provider: str
    name: str
    parameters: JSONObject
    fallbacks: tuple[Model, ...] = ()
    """The models that take over when this one cannot answer, in their order."""


@dataclass(frozen=True)
class Limits:
    """What one run may use, and one day may cost. None: no such limit."""

    steps: Optional[int] = None
    tokens: Optional[int] = None
    cost_usd: Optional[float] = None
    seconds: Optional[float] = None
    cost_usd_per_day: Optional[float] = None

    def exceeded(self, *, steps: int = 0, tokens: int = 0, cost_usd: float = 0, seconds: float = 0) -> Optional[str]:
        """Returns in words which limit of a run is exceeded by such use, or None."""
        uses = (
            ("steps", steps, self.steps),
            ("tokens", tokens, self.tokens),
            ("USD", cost_usd, self.cost_usd),
            ("seconds", seconds, self.seconds),
        )
        for unit, used, limit in uses:
            if limit is not None and used > limit:
                return f"{used} {unit}, the limit is {limit}"
        return None


@dataclass(frozen=True)
class Operation:
    """One operation of a tool that the agent was granted."""

    tool: str
    name: str
    access: str
    """`read`, or what it may change: `write`, `execute` ..."""
    risk: str
    approval: str
    """Who must agree to each call: `none`, `manager` or `dual`."""
    input: JSONObject
    """JSON Schema of the arguments, already narrowed to what was granted: `decide` holds each call against it. One that
    declares none takes no arguments."""
    output: Optional[JSONObject]
    timeout: Optional[float]
    """Seconds that a call may take."""
    idempotent: bool
    expires: Optional[datetime.date]
    """The last day (UTC) on which it may be called."""
    description: Optional[str]
    server_tool: str
    """What the tool's MCP server calls it: its own name, unless the tool says otherwise."""
    conditions: tuple[str, ...] = ()
    """What only the gateway can hold, because it counts: `after`, `rate`."""
    declared_input: object = field(default=None, repr=False)
    """The schema as the bundle has it: an object, true, false, or None where none is declared."""

    @functools.cached_property
    def _schema(self) -> _Schema:
        return _Schema(self.input if self.declared_input is None else self.declared_input)

    def decide(self, arguments: Mapping[str, Any], *, today: Optional[datetime.date] = None) -> Decision:
        """Says whether a call with these arguments is allowed; see `Session.decide`."""
        name = f"{self.tool}.{self.name}"
        if self.expired(today):
            return Decision("refused", self, "expired", f"refused: {name} was granted until {self.expires}")
        try:
            if not isinstance(arguments, Mapping):
                raise _NotJSON("arguments that are not an object")
            plain = _plain(arguments, [_MOST_NODES])
            fits = self._schema.holds(plain)
            why = "" if fits is not False else self._schema.culprit(plain)
        except _NotJSON as problem:
            fits, why = False, f"it has {problem}"
        except (_TooMuch, RecursionError):
            fits, why = None, ""
        if fits is False:
            what = "it takes no arguments" if self.declared_input is None else why
            return Decision("refused", self, "arguments", f"refused: {name}: {what}. Nothing was done.")
        if fits is None:
            text = f"{name}: whether its schema allows these arguments cannot be said here; the gateway can"
            return Decision("unknown", self, "schema", text)
        for condition in self.conditions:
            text = f"{name} has the condition '{condition}', which only the gateway can hold: it counts calls"
            return Decision("unknown", self, condition, text)
        if self.needs_approval:
            return Decision("needs-approval", self, None, f"{name} needs approval: {self.approval}")
        return Decision("allowed", self, None, f"{name} is allowed")

    @property
    def schema_name(self) -> str:
        """The name by which a model calls it: see `model_name`."""
        return model_name(self.tool, self.name)

    @property
    def needs_approval(self) -> bool:
        """Whether someone must agree to each call. True for an approval that this client does not know."""
        return self.approval != "none"

    def expired(self, today: Optional[datetime.date] = None) -> bool:
        """Whether its last day is over; `today` is the present day in UTC by default."""
        if self.expires is None:
            return False
        return (today or datetime.datetime.now(datetime.timezone.utc).date()) > self.expires


@dataclass(frozen=True)
class Tool:
    """A tool of the agent: where its server is, and the granted operations by name, in order."""

    name: str
    version: str
    server: JSONObject
    credentials: JSONObject
    """A reference such as `{"ref": "vault:payments"}`, never a secret. The runtime resolves it."""
    operations: dict[str, Operation]
    store: Optional[JSONObject] = None
    """Of a tool that keeps something for agents: `kind` (skills, memory, knowledge), `scope` and more."""


@dataclass(frozen=True, eq=False)
class Session:
    """What one session of an agent runs with. Made by `Fleet.session`; never changes."""

    agent: str
    environment: str
    version: str
    digest: str
    """The bundle's `sha256:...`: with it, `ensign log` answers who changed what, and when."""
    phase: str
    """`stable` or `canary`."""
    key: str = field(repr=False)
    bucket: int
    artifact: str = field(repr=False)
    owner: str
    identity: str
    description: Optional[str] = field(repr=False)
    labels: dict[str, str] = field(repr=False)
    alias: Optional[str]
    """What telemetry may call the agent too, for frameworks that cannot bear `<team>/<agent>`."""
    prompts: dict[str, str] = field(repr=False)
    """Further prompts, by name."""
    triggers: tuple[JSONObject, ...] = field(repr=False)
    """What starts a run, for the runtime: `cron`, `webhook` or `queue`."""
    contract: JSONObject = field(repr=False)
    """JSON Schemas of what the agent takes and gives, as `input` and `output`."""
    tools: tuple[Tool, ...] = field(repr=False)
    delegates: tuple[str, ...] = field(repr=False)
    """Agents that this one may hand work to."""
    autonomy: str
    limits: Limits = field(repr=False)
    runtime: JSONObject = field(repr=False)
    bundle: JSONObject = field(repr=False)
    """The whole bundle as it was read. It is this session's own copy."""
    _model: Optional[Model] = field(repr=False)
    _instructions: Optional[str] = field(repr=False)
    _live: str = field(repr=False)
    _proofs: Optional[_Proofs] = field(repr=False)

    @property
    def has_model(self) -> bool:
        """Whether the agent has a model of its own. One whose `runtime` names an image or a graph need not."""
        return self._model is not None

    @property
    def model(self) -> Model:
        """The model it runs on. Raises NotDeclared if it has none of its own."""
        if self._model is None:
            raise NotDeclared(
                f"agent {self.agent} {self.version} has no model of its own: its runtime says what it runs on"
            )
        return self._model

    @property
    def instructions(self) -> str:
        """The full text of its prompt. Raises NotDeclared if it has none, or only `prompts` by name."""
        if self._instructions is None:
            found = f"its prompts are {', '.join(self.prompts)}" if self.prompts else "it has no prompts either"
            raise NotDeclared(f"agent {self.agent} {self.version} has no instructions: {found}")
        return self._instructions

    def allowed(self, tool: str, operation: str, *, today: Optional[datetime.date] = None) -> Optional[Operation]:
        """Returns the operation if the agent may call it today, else None. Everything not granted is refused."""
        for candidate in self.tools:
            found = candidate.operations.get(operation) if candidate.name == tool else None
            if found is not None and not found.expired(today):
                return found
        return None

    def resolve(self, name: str, *, today: Optional[datetime.date] = None) -> Optional[Operation]:
        """Returns the allowed operation that a model, a framework or an MCP server means by a name, else None.

        `git__git_status` as in `tool_schemas`, `git.git_status`, `git_git_status`, `mcp__git__git_status`, or
        `git_status` alone, also as frameworks spell these. A name that can mean several granted operations means none:
        a warning of the logger `ensign` says which, and `candidates` returns them.
        """
        found = self.candidates(name)
        if len(found) > 1:
            named = ", ".join(operation.schema_name for operation in found)
            _log.warning("%s: %r is ambiguous, and resolves to nothing: say which of %s", self.agent, name, named)
        return found[0] if len(found) == 1 and not found[0].expired(today) else None

    def decide(
        self, name: str, arguments: Mapping[str, Any], *, today: Optional[datetime.date] = None
    ) -> Decision:
        """Says whether a call by a name, with these arguments, is allowed: held against the bundle before anything is done.

        `unknown` means that only the gateway can say: it is never `allowed` here and refused there, by what a bundle says
        of one call. It has no counts, and no halts since: call `raise_if_halted` too.
        """
        found = self.candidates(name)
        if len(found) != 1:
            return Decision("refused", None, "not-granted", f"refused: {self.agent} is not granted {name[:128]!r}")
        return found[0].decide(arguments, today=today)

    @property
    def mode(self) -> str:
        """`observe` where the gateway lets through, and logs, what it would refuse; else `enforce`."""
        mode = self.bundle.get("mode")
        return "enforce" if mode is None else str(mode)

    def candidates(self, name: str) -> list[Operation]:
        """Returns every granted operation that a name can mean, expired or not: none, the one, or all of several."""
        return self._names.find(name)

    @functools.cached_property
    def _names(self) -> _Names:
        return _Names(operation for tool in self.tools for operation in tool.operations.values())

    def tool_schemas(self, *, today: Optional[datetime.date] = None) -> list[JSONObject]:
        """Returns what model APIs want to know about tools: name, input_schema and, where there is one, description.

        Only operations that may be called today. Sorted as in the bundle; the caller's to change.
        """
        schemas: list[JSONObject] = []
        for tool in self.tools:
            for operation in tool.operations.values():
                if operation.expired(today):
                    continue
                schema: JSONObject = {"name": operation.schema_name}
                if operation.description:
                    schema["description"] = operation.description
                schema["input_schema"] = json.loads(json.dumps(operation.input))
                schemas.append(schema)
        return schemas

    def allows(self, tool: object, *, of: Optional[str] = None, today: Optional[datetime.date] = None) -> bool:
        """Whether the agent may call a framework's tool today: what filters of toolsets want to know.

        `tool` is a name or anything that `tools_for` takes; `of` as there.
        """
        found = self._operations_of(_tool_name(tool), of)
        return len(found) == 1 and not found[0].expired(today)

    def tools_for(
        self, tools: Iterable[AnyTool], *, of: Optional[str] = None, today: Optional[datetime.date] = None
    ) -> Tools[AnyTool]:
        """Returns those of a program's tools that the agent may call today, in their order.

        Takes what frameworks and model APIs take: tools of LangChain, CrewAI, OpenAI Agents, Pydantic AI, Strands, ADK
        and Microsoft Agent Framework, plain functions, tools of MCP, and schemas as OpenAI, Anthropic, Bedrock and Gemini
        have them, as dicts or objects. Each is known by its name, as `resolve` understands it. What has no name is left
        out. A group of Gemini's declarations is copied, with those that are granted.

        What is left out is in `dropped` of the answer, what was granted and is not there in `missing`. Both are also
        logged as a warning, by the logger `ensign`, once for each bundle and set of names.

        `of` names the tool whose server the tools come from. Their names are then that server's alone: say it where two
        tools have operations of one name.
        """
        kept: list[AnyTool] = []
        dropped: list[str] = []
        unclear: list[str] = []
        found: set[tuple[str, str]] = set()
        for tool in tools:
            group = _declarations(tool)
            members = [tool] if group is None else tool[group]  # type: ignore[index]
            granted = []
            for member in members:
                name = _tool_name(member)
                means = self._operations_of(name, of)
                if len(means) == 1 and not means[0].expired(today):
                    granted.append(member)
                    found.add((means[0].tool, means[0].name))
                else:
                    dropped.append(name)
                    unclear += [name] if len(means) > 1 else []
            if granted:
                kept.append(tool if group is None else {**tool, group: granted})  # type: ignore
        missing = [
            f"{each.name}.{operation.name}"
            for each in self.tools
            for operation in each.operations.values()
            if of in (None, each.name) and (each.name, operation.name) not in found and not operation.expired(today)
        ]
        if dropped or missing:
            _say_once(self, len(kept), tuple(dropped), tuple(unclear), tuple(missing))
        return Tools(kept, dropped, missing)

    def _operations_of(self, name: str, of: Optional[str]) -> list[Operation]:
        """Returns every granted operation that a framework's tool can be, expired or not."""
        exact = next((tool.operations.get(name) for tool in self.tools if tool.name == of), None)
        if exact is not None:
            return [exact]
        return [operation for operation in self.candidates(name) if of in (None, operation.tool)]

    def telemetry_attributes(self) -> dict[str, str]:
        """Returns the OpenTelemetry attributes that let Ensign count a span for the version that made it.

        `SpanProcessor` puts them on every span inside of `with session:`, and `run` on the run's own. Without
        `ensign.bundle` a canary has no evidence and cannot finish.
        """
        model = self._model
        priced = {} if model is None else {"gen_ai.provider.name": model.provider, "gen_ai.request.model": model.name}
        return {
            "gen_ai.agent.id": self.identity,
            "gen_ai.agent.name": self.agent,
            "gen_ai.agent.version": self.version,
            **priced,
            "deployment.environment.name": self.environment,
            "ensign.bundle": self.digest,
            # The runs of one session depend on each other, so that a canary counts them once. Not the key itself: it
            # may name a customer.
            "ensign.session": hashlib.sha256(self.key.encode("utf-8")).hexdigest()[:16],
        }

    def __enter__(self) -> Session:
        """Makes this the session of whatever the thread or asyncio task does, until `__exit__`."""
        _active.set(_Activation(self, _active.get()))
        return self

    def __exit__(self, *_: object) -> None:
        activation = _active.get()
        while activation is not None and not (activation.session is self and activation.open):
            activation = activation.outer
        if activation is not None:
            activation.open = False
            _active.set(activation.outer)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def run(
        self, name: Optional[str] = None, *, baggage: bool = False, tracer: Optional[Any] = None
    ) -> Traced:
        """Opens the span of one run, `invoke_agent`, around a `with` or `async with` block; implies `with session:`.

        `name` names the run, such as a ticket: the gateway's calls belong to it by that name, so give both the same
        (`gateway_headers` of what `with` gives, or `ensign-gateway stdio --run`). Without one it is the trace's id, which
        the gateway takes where a client passes the trace on. It is written on all spans of the block, as `ensign.run`, so
        that no call counts twice.

        An exception that leaves the block makes the run a failed one, and goes on. Where a framework swallows it, call
        `fail` on what `with` gives. `baggage` passes `ensign.bundle` on to the services that the run calls, by W3C
        baggage: only for services of your own, since it names the version. `tracer` is that of the global provider by
        default. Without the package `opentelemetry` there is no span, and the rest is the same.
        """
        if name is not None and (not isinstance(name, str) or not 0 < len(name.encode("utf-8", "replace")) <= 256):
            raise InvalidArgument("a run's name is a text of 1 to 256 bytes")
        attributes = {"gen_ai.operation.name": "invoke_agent", **self.telemetry_attributes()}
        return Traced(
            self, f"invoke_agent {self.agent}", attributes, baggage=baggage, tracer=tracer, is_run=True, run=name
        )

    def call(self, name: str, arguments: Optional[Mapping[str, Any]] = None, *, tracer: Optional[Any] = None) -> Traced:
        """Opens the span of one call, `execute_tool`, around a `with` block: for what writes none by itself.

        Inside another span of the same call it is a second view of it, and counts once. A PermissionError that leaves
        the block makes it a denied call, another exception a failed one. `arguments` are recorded if they are given: the
        kill switch's `repeatedCall` sees calls with recorded arguments only.
        """
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, **self.telemetry_attributes()}
        if arguments is not None:
            with contextlib.suppress(TypeError, ValueError, RecursionError):  # Telemetry never fails a call.
                attributes["gen_ai.tool.call.arguments"] = json.dumps(arguments, sort_keys=True, default=str)
        return Traced(self, f"execute_tool {name}", attributes, baggage=False, tracer=tracer)

    def raise_if_halted(self) -> None:
        """Raises AgentHalted if the agent was halted, or removed, since the session began; else does nothing.

        Reads one small file: call it before each step of a long run, so that a kill switch stops runs too. Raises Unproven
        for a route that is not proven, where the fleet was opened with keys.
        """
        try:
            route = _read_route(self._live, self.agent, self._proofs)
        except AgentNotFound as problem:
            raise AgentHalted(f"agent {self.agent} has no route in {self.environment} any more: stop") from problem
        if route.phase == "halted":
            raise AgentHalted(f"agent {self.agent} was halted in {self.environment} during this session: stop")


def _parse_session(
    data: bytes,
    route: Route,
    choice: WeightedVersion,
    key: str,
    number: int,
    live: str,
    proofs: Optional[_Proofs],
) -> Session:
    where = f"bundle {choice.digest}"
    bundle = _decode(data, where, CorruptBundle)
    fields = _Fields(bundle, where, CorruptBundle)
    # The digest proves the bytes; this proves that the route names the right ones.
    for name, expected in (
        ("agent", route.agent),
        ("environment", route.environment),
        ("version", choice.version),
    ):
        if fields.text(name) != expected:
            fields.fail(name, f"is {fields.text(name)!r}, and the route says {expected!r}")
    limits = fields.object("limits", required=False)
    return Session(
        agent=route.agent,
        environment=route.environment,
        version=choice.version,
        digest=choice.digest,
        phase=route.phase,
        key=key,
        bucket=number,
        artifact=fields.text("artifact"),
        owner=fields.text("owner"),
        identity=fields.text("identity"),
        description=fields.optional_text("description"),
        labels=fields.object("labels", required=False).texts(),
        alias=fields.optional_text("name"),
        prompts=fields.object("prompts", required=False).texts(),
        triggers=tuple(trigger.value for trigger in fields.objects("triggers", required=False)),
        contract=fields.object("contract", required=False).value,
        tools=tuple(_parse_tool(tool) for tool in fields.objects("tools")),
        delegates=fields.text_list("delegates"),
        autonomy=fields.text("autonomy"),
        limits=Limits(
            steps=limits.optional_integer("steps"),
            tokens=limits.optional_integer("tokens"),
            cost_usd=limits.optional_number("costUSD"),
            seconds=limits.optional_number("seconds"),
            cost_usd_per_day=limits.optional_number("costUSDPerDay"),
        ),
        runtime=fields.object("runtime", required=False).value,
        bundle=bundle,
        # Present, and null where there is none: a bundle without them is damaged.
        _model=_parse_model(fields.object("model")) if fields.present("model") else None,
        _instructions=fields.text("instructions") if fields.present("instructions") else None,
        _live=live,
        _proofs=proofs,
    )


def _parse_model(fields: _Fields) -> Model:
    return Model(
        fields.text("provider"),
        fields.text("name"),
        fields.object("parameters", required=False).value,
        tuple(map(_parse_model, fields.objects("fallbacks", required=False))),
    )


def _parse_tool(fields: _Fields) -> Tool:
    name = fields.text("tool")
    operations = fields.object("operations")
    return Tool(
        name=name,
        version=fields.text("version"),
        server=fields.object("server", required=False).value,
        credentials=fields.object("credentials", required=False).value,
        store=fields.object("store").value if fields.value.get("store") is not None else None,
        operations={
            operation: _parse_operation(
                operations.object(operation), name, operation, fields.optional_text("description")
            )
            for operation in operations.value
        },
    )


def _shown(declared: object) -> JSONObject:
    """A schema as model APIs take it: an object. What declares none takes no arguments, and false takes nothing at all."""
    if declared is None:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    if isinstance(declared, bool):
        return {"type": "object"} if declared else {"type": "object", "not": {}}
    return cast(JSONObject, declared) or {"type": "object"}


def _parse_operation(fields: _Fields, tool: str, name: str, tool_description: Optional[str]) -> Operation:
    declared = fields.schema("input")
    return Operation(
        tool=tool,
        name=name,
        access=fields.text("access"),
        risk=fields.text("risk"),
        approval=fields.text("approval"),
        input=_shown(declared),
        output=fields.optional_schema("output"),
        timeout=fields.optional_duration("timeout"),
        idempotent=fields.optional_boolean("idempotent"),
        expires=fields.optional_date("expires"),
        description=fields.optional_text("description") or tool_description,
        server_tool=fields.object("mcp", required=False).optional_text("tool") or name,
        conditions=tuple(each for each in ("after", "rate") if fields.value.get(each) is not None),
        declared_input=declared,
    )


# ------------------------------------------------------------------------------------------------------- arguments


@dataclass(frozen=True)
class Decision:
    """What can be said of one call beforehand: the words are those of `ensign check` and of the gateway.

    It never says `allowed` of what the gateway refuses by the grant, the day or the arguments. What is counted, and what
    happens meanwhile, is not in it: halts since the session began, steps and money of a run, a server that has changed.
    """

    verdict: str
    """`allowed`, `needs-approval`, `refused`, or `unknown` where only the gateway can say."""
    operation: Optional[Operation]
    """What the name means; None where that is not granted."""
    reason: Optional[str]
    """Of a refusal: `not-granted`, `expired` or `arguments`. Of what is unknown: `schema`, `after` or `rate`."""
    text: str
    """For a model or for people."""

    @property
    def allowed(self) -> bool:
        return self.verdict == "allowed"


class _TooMuch(Exception):
    """It would take too long to say, here or at the gateway, which then refuses."""


class _NotJSON(Exception):
    """A value that cannot be sent as it is."""


_EXACT = 1 << 53
_MOST_NODES, _MOST_DEPTH = 20_000, 32


def _plain(value: object, room: list[int], depth: int = 0) -> Any:
    """Returns a value as JSON has it, or raises. Whole numbers of decimals become integers, as every reader takes them."""
    room[0] -= 1
    if room[0] < 0 or depth > _MOST_DEPTH:
        raise _TooMuch
    if value is None or isinstance(value, bool):
        return value
    # Of an enum and of any other subclass the value is sent, whatever its own methods make of it.
    if isinstance(value, str):
        text = str.__str__(value)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as problem:
            raise _NotJSON("a text that is not valid Unicode") from problem
        return text
    if isinstance(value, (int, float)):
        value = int.__int__(value) if isinstance(value, int) else float.__float__(value)
        if abs(value) == _EXACT:
            # It may be what a number beyond was rounded to: only the text that the gateway gets tells.
            raise _TooMuch
        if not -_EXACT < value < _EXACT:
            raise _NotJSON("a number beyond 2^53, where whole numbers are not exact")
        return int(value) if value == int(value) else float(value)
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise _NotJSON("an object whose names are not all text")
        return {_plain(name, room, depth): _plain(member, room, depth + 1) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(member, room, depth + 1) for member in value]
    raise _NotJSON(f"a {type(value).__name__}, which JSON does not have")


def _key(value: Any) -> Any:
    """Returns something that is equal for equal values of JSON: 1 is 1.0, and not true."""
    if isinstance(value, dict):
        return "o", frozenset((name, _key(member)) for name, member in value.items())
    if isinstance(value, list):
        return "a", tuple(map(_key, value))
    return ("b" if isinstance(value, bool) else "n" if isinstance(value, (int, float)) else "s", value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value) and len(set(value)) == len(value)


_JSON_TYPES: dict[str, Callable[[Any], bool]] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value == int(value),
    "null": lambda value: value is None,
    "number": _is_number,
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
}

_DIALECTS = {
    "http://json-schema.org/draft-07/schema": 7,
    "https://json-schema.org/draft/2019-09/schema": 2019,
    "https://json-schema.org/draft/2020-12/schema": 2020,
}
_ONLY_IN = {
    "dependencies": (7,),
    "additionalItems": (7, 2019),
    "prefixItems": (2020,),
    "dependentRequired": (2019, 2020),
    "dependentSchemas": (2019, 2020),
    "minContains": (2019, 2020),
    "maxContains": (2019, 2020),
}
_TEXTS = ("title", "description", "format", "$comment", "contentEncoding", "contentMediaType", "$schema", "$id")
_FLAGS = ("readOnly", "writeOnly", "deprecated")
_ANNOTATIONS = {*_TEXTS, *_FLAGS, "default", "examples", "example", "contentSchema", "discriminator", "$defs", "definitions"}
_ONE_SCHEMA = ("additionalItems", "contains", "additionalProperties", "propertyNames", "if", "then", "else", "not")
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMAS_BY_NAME = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_LIMITS = ("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum")
_COUNTS = ("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties", "minContains", "maxContains")
_AT_THE_SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependencies", "dependentSchemas")


class _Schema:
    """One JSON Schema of a bundle, as far as it can be held against values exactly (docs/json-schema.md).

    Answers are True, False, or None where this cannot tell: a pattern with parts that only a regular expression of
    ECMAScript has, a keyword of a later Ensign. None is never taken for True.
    """

    def __init__(self, root: object) -> None:
        self._root = root
        self._patterns: dict[str, Optional[_Pattern]] = {}
        self._budget = 0
        self._dialect = 7
        self._is_sound = False
        # Ensign refuses a schema of which a part is not what it must be: then no value passes.
        self._is_sound = self._look()

    def holds(self, value: Any) -> Optional[bool]:
        self._budget = 200_000
        try:
            answer = self._judge(self._root, value)
        except (_TooMuch, RecursionError):
            return None
        return answer if answer is not True or self._is_sound else None

    def culprit(self, value: Any) -> str:
        """Returns, in words, where a value that is refused does not fit."""
        schema, place = self._root, ""
        while isinstance(schema, dict):
            members = schema.get("properties") if isinstance(value, dict) else None
            inner = [
                (name, member)
                for name, member in (members.items() if isinstance(members, dict) else ())
                if name in value and self._quick(member, value[name]) is False
            ]
            if not inner:
                parts = schema.get("allOf")
                broken = [part for part in parts if self._quick(part, value) is False] if isinstance(parts, list) else []
                if not broken:
                    break
                schema = broken[0]
                continue
            name, schema = inner[0]
            value, place = value[name], f"{place}{'.' if place else ''}{name[:80]}"
        words = next(
            (
                f"{keyword}: {json.dumps(limit, ensure_ascii=False)[:120]}"
                for keyword, limit in (schema.items() if isinstance(schema, dict) else ())
                if keyword not in ("properties", "additionalProperties", "$ref")
                and self._quick({keyword: limit}, value) is False
            ),
            "it does not fit the schema",
        )
        if isinstance(schema, dict) and isinstance(value, dict) and schema.get("additionalProperties") is False:
            unknown = [name for name in value if name not in schema.get("properties", ())]
            if words.startswith("it does") and unknown and "patternProperties" not in schema:
                words = f"unexpected property '{unknown[0][:80]}'"
        return f"{place}: {words}" if place else words

    def _quick(self, schema: object, value: Any) -> Optional[bool]:
        self._budget = 20_000
        try:
            return self._judge(schema, value)
        except (_TooMuch, RecursionError):
            return None

    # What is in it.

    def _look(self) -> bool:
        if not isinstance(self._root, dict):
            return isinstance(self._root, bool)
        label = self._root.get("$schema")
        words: set[str] = set()
        try:
            self._collect(self._root, words, 0)
            if label is None:
                later = words & {"prefixItems", "dependentRequired", "dependentSchemas", "minContains", "maxContains"}
                if later and words & {"dependencies", "additionalItems", "a list in items"}:
                    return False
                self._dialect = 2020 if later else 7
            elif isinstance(label, str) and label.rstrip("#") in _DIALECTS and not label.endswith("##"):
                self._dialect = _DIALECTS[label.rstrip("#")]
                if any(self._dialect not in _ONLY_IN[word] for word in words & _ONLY_IN.keys()):
                    return False
            else:
                return False
            return self._check(self._root, 0) and self._ends()
        except (_TooMuch, RecursionError):
            return False

    def _collect(self, schema: object, words: set[str], depth: int) -> None:
        if depth > _MOST_DEPTH:
            raise _TooMuch
        if isinstance(schema, dict):
            words.update(schema)
            if isinstance(schema.get("items"), list):
                words.add("a list in items")
            for _, inner in _inner(schema):
                self._collect(inner, words, depth + 1)

    def _check(self, schema: object, depth: int) -> bool:
        """Whether each part is what Ensign takes."""
        if not isinstance(schema, dict):
            return isinstance(schema, bool)
        return all(self._fits(schema, keyword, value, depth) for keyword, value in schema.items()) and all(
            self._check(inner, depth + 1) for _, inner in _inner(schema)
        )

    def _fits(self, schema: JSONObject, keyword: str, value: Any, depth: int) -> bool:
        if keyword.startswith("x-") and len(keyword) > 2:
            return True
        if keyword in ("$schema", "$id") and depth > 0:
            return False
        if keyword == "$id":
            return isinstance(value, str) and value != "" and "#" not in value
        if "$ref" in schema and self._dialect == 7 and keyword != "$ref" and keyword not in _ANNOTATIONS:
            return False
        if keyword in _ANNOTATIONS and keyword not in ("$defs", "definitions"):
            if keyword in _TEXTS:
                return isinstance(value, str)
            return isinstance(value, bool) if keyword in _FLAGS else keyword != "examples" or isinstance(value, list)
        if keyword == "type":
            names = [value] if isinstance(value, str) else value
            return _is_names(names) and names != [] and all(name in _JSON_TYPES for name in names)
        if keyword in ("enum", "const"):
            return _is_exact(value) and (keyword == "const" or (isinstance(value, list) and value != []))
        if keyword in _LIMITS or keyword == "multipleOf":
            return _is_number(value) and -_EXACT <= value <= _EXACT and (keyword != "multipleOf" or value > 0)
        if keyword in _COUNTS:
            return _is_count(value) and (not keyword.endswith("Contains") or "contains" in schema)
        if keyword == "pattern":
            return isinstance(value, str) and self._pattern(value) is not None
        if keyword == "required":
            return _is_names(value) and all("\0" not in name for name in value)
        if keyword == "uniqueItems":
            return isinstance(value, bool)
        if keyword == "$ref":
            return self._target(value) is not None
        if keyword in _ONE_SCHEMA:
            if keyword == "additionalItems":
                return isinstance(schema.get("items"), list)
            return keyword not in ("then", "else") or "if" in schema
        if keyword == "items":
            return not isinstance(value, list) or (value != [] and self._dialect != 2020)
        if keyword in _SCHEMA_LISTS:
            return isinstance(value, list) and value != []
        if keyword in _SCHEMAS_BY_NAME or keyword in ("dependencies", "dependentRequired"):
            if not isinstance(value, dict) or any("\0" in name for name in value):
                return False
            if keyword == "patternProperties":
                return all(self._pattern(name) is not None for name in value)
            lists = [each for each in value.values() if isinstance(each, list) or keyword == "dependentRequired"]
            return keyword not in ("dependencies", "dependentRequired") or all(map(_is_names, lists))
        return False

    def _ends(self) -> bool:
        """Whether no reference comes back to the value that it began at."""
        open_, done = set(), set()

        def visit(schema: object) -> bool:
            if not isinstance(schema, dict) or id(schema) in done:
                return True
            if id(schema) in open_:
                return False
            open_.add(id(schema))
            targets = [inner for keyword, inner in _inner(schema) if keyword in _AT_THE_SAME_VALUE]
            if "$ref" in schema:
                targets.append(self._target(schema["$ref"]))
            good = all(map(visit, targets))
            open_.discard(id(schema))
            done.add(id(schema))
            return good

        def everywhere(schema: object) -> bool:
            if not isinstance(schema, dict):
                return True
            return visit(schema) and all(everywhere(inner) for _, inner in _inner(schema))

        return everywhere(self._root)

    def _target(self, reference: object) -> object:
        """Returns the schema that a `$ref` leads to; None where there is none."""
        if not isinstance(reference, str) or not re.fullmatch("#(?:/.*)?", reference, re.DOTALL):
            return None
        if "%" in reference:
            return None  # Percent signs are decoded by Ensign; no generator writes them.
        found: Any = self._root
        keyword: Optional[str] = None
        for part in reference.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if keyword is None:
                if not isinstance(found, dict) or part not in found:
                    return None
                found = found[part]
                if part in _ONE_SCHEMA or (part == "items" and not isinstance(found, list)):
                    continue
                if part in _SCHEMA_LISTS or part in _SCHEMAS_BY_NAME or part in ("items", "dependencies"):
                    keyword = part
                    continue
                return None
            if isinstance(found, list) and re.fullmatch("0|[1-9][0-9]{0,8}", part) and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, dict) and part in found:
                found = found[part]
            else:
                return None
            keyword = None
        return found if keyword is None and isinstance(found, (dict, bool)) else None

    def _pattern(self, text: str) -> Optional[_Pattern]:
        if text not in self._patterns:
            try:
                self._patterns[text] = _Pattern(text)
            except (ValueError, RecursionError):
                self._patterns[text] = None
        return self._patterns[text]

    # Values. Of several answers one False decides, then one None.

    def _spend(self, units: int = 1) -> None:
        self._budget -= units
        if self._budget < 0:
            raise _TooMuch

    def _judge(self, schema: object, value: Any) -> Optional[bool]:
        self._spend()
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            return None
        return _all(self._word(schema, keyword, limit, value) for keyword, limit in schema.items())

    def _word(self, schema: JSONObject, keyword: str, limit: Any, value: Any) -> Optional[bool]:
        if keyword in _ANNOTATIONS or (keyword.startswith("x-") and len(keyword) > 2):
            return True
        if not self._is_sound and not self._fits(schema, keyword, limit, 0):
            return None
        self._spend()
        if keyword == "type":
            return any(_JSON_TYPES[name](value) for name in ([limit] if isinstance(limit, str) else limit))
        if keyword in ("enum", "const"):
            allowed = limit if keyword == "enum" else [limit]
            self._spend(len(allowed))
            return _key(value) in map(_key, allowed)
        if keyword == "$ref":
            return self._judge(self._target(limit), value)
        if keyword in ("allOf", "anyOf", "oneOf", "not", "if"):
            return self._logic(schema, keyword, limit, value)
        if keyword in ("then", "else", "additionalItems", "minContains", "maxContains"):
            return True  # Judged with what they belong to.
        if isinstance(value, dict):
            return self._object(schema, keyword, limit, value)
        if isinstance(value, list):
            return self._array(schema, keyword, limit, value)
        if isinstance(value, str):
            return self._text(keyword, limit, value)
        return self._number(keyword, limit, value) if _is_number(value) else True

    def _logic(self, schema: JSONObject, keyword: str, limit: Any, value: Any) -> Optional[bool]:
        if keyword == "allOf":
            return _all(self._judge(each, value) for each in limit)
        if keyword == "not":
            answer = self._judge(limit, value)
            return None if answer is None else not answer
        if keyword == "if":
            branches = [self._judge(schema.get(name, True), value) for name in ("then", "else")]
            answer = self._judge(limit, value)
            if answer is None:
                return branches[0] if branches[0] is branches[1] else None
            return branches[0] if answer else branches[1]
        answers = [self._judge(each, value) for each in limit]
        if keyword == "anyOf":
            return True if True in answers else None if None in answers else False
        if answers.count(True) > 1:
            return False
        return None if None in answers else answers.count(True) == 1

    def _number(self, keyword: str, limit: Any, value: Any) -> Optional[bool]:
        if keyword == "multipleOf":
            # By what is written: 0.3 is a multiple of 0.1.
            return fractions.Fraction(repr(value)) % fractions.Fraction(repr(limit)) == 0
        compare: Optional[Callable[[Any, Any], bool]] = {
            "maximum": operator.le,
            "exclusiveMaximum": operator.lt,
            "minimum": operator.ge,
            "exclusiveMinimum": operator.gt,
        }.get(keyword)
        return compare is None or compare(value, limit)

    def _text(self, keyword: str, limit: Any, value: str) -> Optional[bool]:
        if keyword == "maxLength":
            return bool(len(value) <= limit)
        if keyword == "minLength":
            return bool(len(value) >= limit)
        return self._matches(limit, value) if keyword == "pattern" else True

    def _matches(self, pattern: str, text: str) -> Optional[bool]:
        found = self._pattern(pattern)
        if found is None:
            return None
        answer, cost = found.search(text)
        self._spend(cost)
        return answer

    def _array(self, schema: JSONObject, keyword: str, limit: Any, value: list[Any]) -> Optional[bool]:
        if keyword == "maxItems":
            return bool(len(value) <= limit)
        if keyword == "minItems":
            return bool(len(value) >= limit)
        if keyword == "uniqueItems":
            self._spend(len(value))
            return not limit or len(set(map(_key, value))) == len(value)
        if keyword == "contains":
            answers = [self._judge(limit, each) for each in value]
            least, most = schema.get("minContains", 1), schema.get("maxContains", len(value))
            if not (_is_count(least) and _is_count(most)):
                return None
            sure, perhaps = answers.count(True), answers.count(None)
            if sure > most or sure + perhaps < least:
                return False
            return True if sure >= least and sure + perhaps <= most else None
        if keyword == "prefixItems" or (keyword == "items" and isinstance(limit, list)):
            rest = schema.get("additionalItems", True) if keyword == "items" else True
            return _all(self._judge(limit[at] if at < len(limit) else rest, each) for at, each in enumerate(value))
        if keyword == "items":
            prefix = schema.get("prefixItems")
            behind = len(prefix) if isinstance(prefix, list) else 0
            return _all(self._judge(limit, each) for each in value[behind:])
        return True

    def _object(self, schema: JSONObject, keyword: str, limit: Any, value: JSONObject) -> Optional[bool]:
        if keyword == "maxProperties":
            return bool(len(value) <= limit)
        if keyword == "minProperties":
            return bool(len(value) >= limit)
        if keyword == "required":
            return all(name in value for name in limit)
        if keyword == "properties":
            return _all(self._judge(inner, value[name]) for name, inner in limit.items() if name in value)
        if keyword == "propertyNames":
            return _all(self._judge(limit, name) for name in value)
        if keyword == "patternProperties":
            return _all(
                True if matches is False else answer if answer or matches else None
                for pattern, inner in limit.items()
                for name, member in value.items()
                for matches, answer in ((self._matches(pattern, name), self._judge(inner, member)),)
            )
        if keyword == "additionalProperties":
            return _all(self._additional(schema, limit, name, member) for name, member in value.items())
        if keyword in ("dependencies", "dependentRequired", "dependentSchemas"):
            return _all(
                all(other in value for other in needs) if isinstance(needs, list) else self._judge(needs, value)
                for name, needs in limit.items()
                if name in value
            )
        return True

    def _additional(self, schema: JSONObject, limit: Any, name: str, member: Any) -> Optional[bool]:
        if name in schema.get("properties", ()):
            return True
        matches = [self._matches(pattern, name) for pattern in schema.get("patternProperties", ())]
        if True in matches:
            return True
        answer = self._judge(limit, member)
        return None if None in matches and answer is not True else answer


def _all(answers: Iterable[Optional[bool]]) -> Optional[bool]:
    found: Optional[bool] = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            found = None
    return found


def _inner(schema: JSONObject) -> Iterator[tuple[str, Any]]:
    """The schemas directly inside of one, with the keyword that they are below."""
    for keyword, value in schema.items():
        if keyword in _ONE_SCHEMA or (keyword == "items" and not isinstance(value, list)):
            yield keyword, value
        elif (keyword in _SCHEMA_LISTS or keyword == "items") and isinstance(value, list):
            yield from ((keyword, each) for each in value)
        elif keyword in _SCHEMAS_BY_NAME and isinstance(value, dict):
            yield from ((keyword, each) for each in value.values())
        elif keyword == "dependencies" and isinstance(value, dict):
            yield from ((keyword, each) for each in value.values() if not isinstance(each, list))


def _is_exact(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_exact, value))
    if isinstance(value, dict):
        return all(map(_is_exact, value.values()))
    return not _is_number(value) or -_EXACT < value < _EXACT  # type: ignore[operator]


# A part of a pattern: `^`, `$`, one character of a set, or a group, and how often it comes.
_Part = tuple[str, Any, int, int]
_DIGITS = ((0x30, 0x39),)
_WORDS = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACES = tuple(
    (first, last)
    for first, last in (
        (0x09, 0x0D),
        (0x20, 0x20),
        (0xA0, 0xA0),
        (0x1680, 0x1680),
        (0x2000, 0x200A),
        (0x2028, 0x2029),
        (0x202F, 0x202F),
        (0x205F, 0x205F),
        (0x3000, 0x3000),
        (0xFEFF, 0xFEFF),
    )
)
_LINE_ENDS = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_ESCAPED = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", **{each: each for each in "^$\\.*+?()[]{}|/"}}


class _Pattern:
    """A regular expression of ECMAScript, flag `u`, of the parts that all engines read alike: sets, repetitions, groups,
    alternatives, `^` and `$`. Anything else raises ValueError.

    It searches as the gateway's engine does, by trying, and counts each try. Where that takes long it does not say what it
    would find: the gateway gives up, too, and refuses then.
    """

    _MOST = 60_000

    def __init__(self, text: str) -> None:
        if len(text) > 500:
            raise ValueError("a long pattern")
        self._text = text
        self._at = 0
        self._size = 0
        self._alternatives = self._disjunction(0)
        if self._at < len(text):
            raise ValueError("a ) without a (")
        self._is_anchored = all(each and each[0][0] == "start" for each in self._alternatives)

    # Reading.

    def _take(self, wanted: str) -> bool:
        if not self._text.startswith(wanted, self._at):
            return False
        self._at += len(wanted)
        return True

    def _disjunction(self, depth: int) -> tuple[tuple[_Part, ...], ...]:
        if depth > 10:
            raise ValueError("deep groups")
        alternatives = [self._alternative(depth)]
        while self._take("|"):
            alternatives.append(self._alternative(depth))
        return tuple(alternatives)

    def _alternative(self, depth: int) -> tuple[_Part, ...]:
        parts: list[_Part] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if self._take("^"):
                parts.append(("start", None, 1, 1))
            elif self._take("$"):
                parts.append(("end", None, 1, 1))
            else:
                before = self._size
                kind, value = self._atom(depth)
                least, most = self._repetition()
                # What the gateway's engine compiles it to must stay small.
                if kind == "group":
                    times = least + 1 if most == sys.maxsize else max(1, most)
                    self._size = before + (self._size - before) * times
                if self._size > 30_000:
                    raise ValueError("a large pattern")
                parts.append((kind, value, least, most))
        return tuple(parts)

    def _atom(self, depth: int) -> tuple[str, Any]:
        self._size += 10
        if self._take("("):
            if self._take("?") and not self._take(":"):
                raise ValueError("a group of another kind")
            inside = self._disjunction(depth + 1)
            if not self._take(")"):
                raise ValueError("a ( without a )")
            return "group", inside
        if self._take("["):
            self._size += 200
            return "set", self._class()
        if self._take("."):
            self._size += 60
            return "set", (True, _LINE_ENDS)
        if self._take("\\"):
            return "set", self._escape(in_class=False)
        character = self._text[self._at]
        if character in "*+?{}]":
            raise ValueError("nothing to repeat, or a character to be escaped")
        self._at += 1
        return "set", (False, ((ord(character), ord(character)),))

    def _escape(self, *, in_class: bool) -> tuple[bool, tuple[tuple[int, int], ...]]:
        if self._at >= len(self._text):
            raise ValueError("a \\ at the end")
        letter = self._text[self._at]
        self._at += 1
        named = {"d": _DIGITS, "w": _WORDS, "s": _SPACES}.get(letter.lower())
        if named is not None:
            self._size += 100
            return letter.isupper(), named
        if letter in _ESCAPED or (in_class and letter == "-"):
            code = ord(_ESCAPED.get(letter, letter))
            return False, ((code, code),)
        raise ValueError("another escape")

    def _class(self) -> tuple[bool, tuple[tuple[int, int], ...]]:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            first = self._member()
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                last = self._member()
                if len(first) != 1 or len(last) != 1 or first[0][0] != first[0][1] or last[0][0] != last[0][1]:
                    raise ValueError("a range of sets")
                if last[0][0] < first[0][0]:
                    raise ValueError("a range that is out of order")
                first = ((first[0][0], last[0][0]),)
            ranges += first
        return negated, tuple(ranges)

    def _member(self) -> tuple[tuple[int, int], ...]:
        if self._at >= len(self._text):
            raise ValueError("a [ without a ]")
        if self._take("\\"):
            negated, ranges = self._escape(in_class=True)
            if negated:
                raise ValueError("the opposite of a set within a set")
            return ranges
        code = ord(self._text[self._at])
        self._at += 1
        return ((code, code),)

    def _repetition(self) -> tuple[int, int]:
        least, most = 1, 1
        if self._take("*"):
            least, most = 0, sys.maxsize
        elif self._take("+"):
            most = sys.maxsize
        elif self._take("?"):
            least = 0
        elif self._take("{"):
            bounds = re.compile("([0-9]{1,4})(?:(,)([0-9]{1,4})?)?\\}").match(self._text, self._at)
            if bounds is None:
                raise ValueError("no repetition")
            self._at = bounds.end()
            least = int(bounds[1])
            most = least if not bounds[2] else int(bounds[3]) if bounds[3] else sys.maxsize
            if most < least:
                raise ValueError("a repetition that is out of order")
        else:
            return least, most
        self._take("?")  # Which one is tried first makes no difference to whether there is one.
        return least, most

    # Searching.

    def search(self, text: str) -> tuple[Optional[bool], int]:
        """Returns whether it matches anywhere, None where that takes too long; and what it has cost."""
        codes = [ord(character) for character in text]
        unit = 1 + len(text.encode("utf-8")) // 32
        spent = 0

        def spend(depth: int) -> None:
            nonlocal spent
            spent += unit
            if spent > self._MOST or depth > 180:
                raise _TooMuch

        def run(parts: tuple[_Part, ...], index: int, at: int, depth: int, then: Callable[[int, int], bool]) -> bool:
            while True:
                spend(depth)
                if index == len(parts):
                    return then(at, depth)
                kind, value, least, most = parts[index]
                # What leaves no choice goes on here.
                if kind == "start":
                    if at > 0:
                        return False
                elif kind == "end":
                    if at < len(codes):
                        return False
                elif kind == "set" and least == most == 1:
                    if at == len(codes) or not _is_in(codes[at], value):
                        return False
                    at += 1
                else:
                    break
                index += 1
            if kind == "set":
                end = at
                while end < len(codes) and end - at < most and _is_in(codes[end], value):
                    end += 1
                return any(run(parts, index + 1, place, depth + 1, then) for place in range(end, at + least - 1, -1))

            def again(count: int, place: int, depth: int) -> bool:
                def next_(end: int, depth: int) -> bool:
                    return (end != place or count < least) and again(count + 1, end, depth)

                spend(depth)
                if count < most and any(run(each, 0, place, depth + 1, next_) for each in value):
                    return True
                return count >= least and run(parts, index + 1, place, depth + 1, then)

            return again(0, at, depth)

        def ends(at: int, depth: int) -> bool:
            return True

        try:
            for start in range(1 if self._is_anchored else len(codes) + 1):
                if any(run(each, 0, start, 0, ends) for each in self._alternatives):
                    return True, spent
            return False, spent
        except (_TooMuch, RecursionError):
            return None, spent


def _is_in(code: int, members: tuple[bool, tuple[tuple[int, int], ...]]) -> bool:
    negated, ranges = members
    return any(first <= code <= last for first, last in ranges) is not negated


# ------------------------------------------------------------------------------------------------------ tools' names


class Tools(list[AnyTool]):
    """The tools that an agent may call, as `Session.tools_for` found them: a list, with what is not in it."""

    def __init__(self, kept: Iterable[AnyTool], dropped: Iterable[str], missing: Iterable[str]) -> None:
        super().__init__(kept)
        self.dropped: tuple[str, ...] = tuple(dropped)
        """Names of tools that were given and are not granted, or mean several operations, in their order."""
        self.missing: tuple[str, ...] = tuple(missing)
        """What the agent may call and nobody gave, as `tool.operation`."""


def _tool_name(tool: object) -> str:
    """Returns the name by which a model calls a tool. Of what has none, something to tell people what it was."""
    if isinstance(tool, str):
        return tool
    if isinstance(tool, Mapping):
        # OpenAI's chat completions, Bedrock; OpenAI's responses, Anthropic, MCP; what the provider runs itself.
        for holder in (tool.get("function"), tool.get("toolSpec"), tool):
            name = holder.get("name") if isinstance(holder, Mapping) else None
            if isinstance(name, str) and name:
                return name
        return f"{tool.get('type', 'a dict without a name')}"
    function = getattr(tool, "function", None)
    for holder, member in ((tool, "tool_name"), (tool, "name"), (function, "name"), (tool, "__name__")):
        name = getattr(holder, member, None)
        if isinstance(name, str) and name:
            return name
    return type(tool).__name__


def _declarations(tool: object) -> Optional[str]:
    """Returns the member that holds a group of declarations, as Gemini has them."""
    if isinstance(tool, Mapping):
        for member in ("function_declarations", "functionDeclarations"):
            if isinstance(tool.get(member), list):
                return member
    return None


_said: OrderedDict[tuple[object, ...], None] = OrderedDict()
_said_lock = threading.Lock()


def _say_once(
    session: Session, kept: int, dropped: tuple[str, ...], unclear: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    said = (session.digest, dropped, missing)
    with _said_lock:
        known = said in _said
        _said[said] = None
        _said.move_to_end(said)
        while len(_said) > 256:
            _said.popitem(last=False)
    if known:
        return

    def listed(names: tuple[str, ...]) -> str:
        shown = ", ".join(repr(name[:128]) for name in names[:20])
        return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"

    parts = []
    if dropped:
        parts.append(f"left out: {listed(dropped)}")
    if unclear:
        parts.append(f"of these, several operations can be meant by {listed(unclear)}: say of=TOOL")
    if missing:
        parts.append(f"granted, and no tool has the name: {listed(missing)}")
    _log.warning("%s %s gets %d tools; %s", session.agent, session.version, kept, "; ".join(parts))


# ------------------------------------------------------------------------------------------------------- telemetry


class _Activation:
    """One `with session:`. Closed when the block ends, for those who keep a copy of the context it was in."""

    __slots__ = ("attributes", "open", "outer", "run", "session")

    def __init__(self, session: Session, outer: Optional[_Activation]) -> None:
        self.session = session
        self.attributes = session.telemetry_attributes()
        self.outer = outer
        self.open = True
        self.run: Optional[str] = None
        # What is opened inside of a run is of that run, unless it is another one.
        if outer is not None and outer.open and outer.session is session and outer.run is not None:
            self.name_run(outer.run)

    def name_run(self, name: str) -> None:
        self.run = name
        self.attributes = {**self.attributes, _RUN: name}


_active: contextvars.ContextVar[Optional[_Activation]] = contextvars.ContextVar("ensign", default=None)


def _innermost() -> Optional[_Activation]:
    activation = _active.get()
    while activation is not None and not activation.open:
        activation = activation.outer
    return activation


def current_session() -> Optional[Session]:
    """Returns the session whose `with session:` or `with session.run():` this code is in, or None."""
    activation = _innermost()
    return None if activation is None else activation.session


_BUNDLE, _SESSION, _RUN = "ensign.bundle", "ensign.session", "ensign.run"
_STAMPED = (
    "gen_ai.agent.id",
    "gen_ai.agent.name",
    "gen_ai.agent.version",
    "deployment.environment.name",
    _BUNDLE,
    _SESSION,
    _RUN,
)


def _opentelemetry(module: str) -> Any:
    """Returns a module of OpenTelemetry's API, or None if it is not installed. Nothing of it is needed."""
    try:
        return importlib.import_module(f"opentelemetry.{module}")
    except ImportError:
        return None


class Traced:
    """The span of a run or of a call, and the session that it belongs to. Made by `Session.run` and `Session.call`."""

    def __init__(
        self,
        session: Session,
        name: str,
        attributes: Mapping[str, str],
        *,
        baggage: bool,
        tracer: Optional[Any],
        is_run: bool = False,
        run: Optional[str] = None,
    ) -> None:
        self.session = session
        self.run: Optional[str] = None
        """The run's name: what was given, else the trace's id, else a random one; of a call that of the run around it."""
        self._is_run, self._given = is_run, run
        self.span: Optional[Any] = None
        """OpenTelemetry's span, while the block runs; None without OpenTelemetry."""
        self._name, self._attributes, self._baggage, self._tracer = name, attributes, baggage, tracer
        self._token: Optional[Any] = None

    @property
    def gateway_headers(self) -> dict[str, str]:
        """What a client of the gateway by HTTP sends, so that its calls are this run's and have this session's version.

        The gateway takes 1 to 256 printable characters of ASCII without blanks; InvalidArgument for another name or key.
        """
        headers = {"Ensign-Run": self.run, "Ensign-Key": self.session.key}
        given = {name: value for name, value in headers.items() if value is not None}
        for name, value in given.items():
            if not 1 <= len(value) <= 256 or not all("!" <= character <= "~" for character in value):
                raise InvalidArgument(
                    f"{name} is 1 to 256 printable characters of ASCII without blanks: the gateway takes no {value!r}"
                )
        return given

    def __enter__(self) -> Traced:
        around_it = _innermost()
        self.run = self._given
        self.session.__enter__()
        activation = _active.get()
        if not self._is_run and around_it is not None and around_it.session is self.session:
            self.run = around_it.run
        if activation is not None and self.run is not None:
            activation.name_run(self.run)
        trace, context = _opentelemetry("trace"), _opentelemetry("context")
        if trace is None or context is None:
            return self._named(secrets.token_hex(16), activation)
        tracer = self._tracer if self._tracer is not None else trace.get_tracer("ensign")
        given = {_RUN: self.run} if self.run is not None else {}
        self.span = tracer.start_span(self._name, attributes={**self._attributes, **given})
        if self._is_run and self.run is None:
            known = self.span.get_span_context()
            # Without an SDK a span has no id.
            self._named(f"{known.trace_id:032x}" if known.trace_id else secrets.token_hex(16), activation)
            self.span.set_attribute(_RUN, self.run)
        around = trace.set_span_in_context(self.span)
        if self._baggage:
            for name in (_BUNDLE, _SESSION):
                around = _opentelemetry("baggage").set_baggage(name, self._attributes[name], context=around)
        self._token = context.attach(around)
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        problem: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            if self.span is not None:
                if problem is not None and not isinstance(problem, GeneratorExit):
                    # A run that was cancelled or interrupted has no answer: it did not succeed.
                    self.span.record_exception(problem)
                    denied = isinstance(problem, PermissionError)
                    self.fail("permission_denied" if denied else type(problem).__qualname__)
                _opentelemetry("context").detach(self._token)
                self.span.end()
        finally:
            self.session.__exit__()

    def _named(self, name: str, activation: Optional[_Activation]) -> Traced:
        if self._is_run and self.run is None:
            self.run = name
            if activation is not None:
                activation.name_run(name)
        return self

    async def __aenter__(self) -> Traced:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        problem: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.__exit__(kind, problem, traceback)

    def fail(self, reason: str = "failed") -> None:
        """Says that the run or call failed though no exception leaves the block; `reason` is its `error.type`.

        `permission_denied` makes a call a denied one.
        """
        if self.span is not None:
            status = _opentelemetry("trace").StatusCode
            self.span.set_attribute("error.type", reason)
            self.span.set_status(status.ERROR, reason)

    def usage(self, *, input_tokens: int, output_tokens: int) -> None:
        """Says how many tokens the whole run used, where no span inside says it."""
        if self.span is not None:
            self.span.set_attribute("gen_ai.usage.input_tokens", input_tokens)
            self.span.set_attribute("gen_ai.usage.output_tokens", output_tokens)


class SpanProcessor(_SpanProcessor):  # type: ignore[misc,unused-ignore]
    """Lets Ensign count what any framework writes: stamps spans with the session in whose `with` block they start.

        provider.add_span_processor(SpanProcessor())

    A span gets the session's `telemetry_attributes`, unless it has an `ensign.bundle` of its own. What starts outside of
    the block, on a thread that does not know its context, gets what its parent has. Instrumentations may set their own
    `gen_ai.agent.name` afterwards: `ensign.bundle` decides for Ensign. It is set again before the span ends if it is gone:
    of more attributes than a span may have (128 by default) OpenTelemetry drops the oldest.

    `baggage` also believes the `ensign.bundle` in W3C baggage: for a process that gets its work from programs of your own
    (`Session.run(baggage=True)`). Whoever sends it a request decides then for which version it counts.
    """

    def __init__(self, *, baggage: bool = False) -> None:
        self._trace = _opentelemetry("trace")
        self._baggage = _opentelemetry("baggage") if baggage else None

    def on_start(self, span: Any, parent_context: Optional[Any] = None) -> None:
        given = span.attributes or {}
        stamp: Mapping[str, Any]
        if _BUNDLE in given:
            stamp = {name: value for name, value in given.items() if name in _STAMPED}
        else:
            stamp = self._stamp(parent_context)
            if not stamp:
                return
            span.set_attributes({name: value for name, value in stamp.items() if name not in given})
        with contextlib.suppress(AttributeError):
            span._ensign = stamp
        end: Callable[..., None] = span.end

        def stamped_end(*arguments: Any, **named: Any) -> None:
            left = span.attributes or {}
            if any(name not in left for name in stamp):
                span.set_attributes({name: value for name, value in stamp.items() if name not in left})
            end(*arguments, **named)

        span.end = stamped_end  # An ended span takes no attributes: a processor's own end comes too late.

    def _stamp(self, parent_context: Optional[Any]) -> Mapping[str, Any]:
        parent = self._trace.get_current_span(parent_context) if self._trace is not None else None
        inherited: Optional[Mapping[str, Any]] = getattr(parent, "_ensign", None)
        activation = chain = _innermost()
        if inherited is not None:
            # A worker that several sessions share runs in the context of whoever started it: then the parent knows
            # better. But a session inside another one's run has a parent of that one's.
            while chain is not None and any(
                chain.attributes[name] != inherited.get(name) for name in (_BUNDLE, _SESSION)
            ):
                chain = chain.outer
            if chain is None:
                return inherited
        if activation is not None:
            return activation.attributes
        if self._baggage is not None:
            found = {name: self._baggage.get_baggage(name, parent_context) for name in (_BUNDLE, _SESSION)}
            if isinstance(found[_BUNDLE], str) and _DIGEST.fullmatch(found[_BUNDLE]):
                return {name: value for name, value in found.items() if isinstance(value, str) and len(value) <= 128}
        return {}

    def _on_ending(self, span: Any) -> None:
        pass

    def on_end(self, span: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


# ---------------------------------------------------------------------------------------------------------- proofs

_PROOF_NAMESPACE = "ensign-live"
_HEADER = "fleet.json"
_HEADER_LIMIT = 64 << 10
_KEYS_LIMIT = 1 << 20
_STATE_LIMIT = 64 << 20
_MOST = 1 << 40
_ARMOR = re.compile(
    "-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END SSH SIGNATURE-----\n?"
)


class _Refusal(Exception):
    """Why a file is not proven: in one word, the same in every client, and for people."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class _Key:
    """A key that may sign what is live, and the environments that it may sign."""

    blob: bytes
    line: str
    environments: frozenset[str]

    @property
    def fingerprint(self) -> str:
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


def _parse_keys(data: bytes, where: str) -> tuple[_Key, ...]:
    """Reads the lines that `ensign keys` prints. A line that cannot be followed refuses all: it may be the one that
    takes a key away. Those for other namespaces alone, as of keys that were handed over, are left out."""
    keys = []
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as problem:
        raise InvalidKeys(f"{where}: not UTF-8: {problem}") from problem
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        rest = words[1:]
        options = re.fullmatch('namespaces="([A-Za-z0-9@._,-]+)"', rest[0]) if rest else None
        if options is not None:
            if _PROOF_NAMESPACE not in options[1].split(","):
                continue
            rest = rest[1:]
        if len(rest) < 2 or rest[0] != "ssh-ed25519" or re.search('[*?!"]', words[0]):
            raise InvalidKeys(f"{where}:{number}: not a line that `ensign keys` prints")
        try:
            blob = base64.b64decode(rest[1], validate=True)
        except ValueError as problem:
            raise InvalidKeys(f"{where}:{number}: the key is not base64") from problem
        if len(blob) != 51 or not blob.startswith(b"\0\0\0\x0bssh-ed25519\0\0\0 "):
            raise InvalidKeys(f"{where}:{number}: not a key of type ssh-ed25519")
        suffix = "@ensign.invalid"
        names = frozenset(name[: -len(suffix)] for name in words[0].split(",") if name.endswith(suffix))
        keys.append(_Key(blob, f"ssh-ed25519 {rest[1]}", names))
    if not keys:
        raise InvalidKeys(f"{where}: no line allows a key for {_PROOF_NAMESPACE!r}: take those that `ensign keys` prints")
    return tuple(keys)


def _canonical(value: object) -> bytes:
    """RFC 8785 for what is in a route and a header: no number with a fraction is among it, so none is taken."""
    return json.dumps(_ordered(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"


def _ordered(value: object) -> object:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return {name: _ordered(value[name]) for name in names}
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    if isinstance(value, float):
        raise ValueError("a number with a fraction")
    return value


@dataclass(frozen=True)
class _Proven:
    value: JSONObject
    entry: int
    key: _Key


def _prove(data: bytes, file: str, environment: str, keys: tuple[_Key, ...]) -> _Proven:
    """Holds a file, `agents/<team>/<agent>.json` or `fleet.json`, against its proof. Raises: _Refusal."""
    value = _proven_value(data)
    header = "entry" in value
    agent = file[len("agents/") : -len(".json")] if file.startswith("agents/") else None
    if header != (file == _HEADER) or (agent is None and "agent" in value):
        raise _Refusal("file", "another kind of file is in its place")
    if agent is not None and value.get("agent") != agent:
        raise _Refusal("agent", f"it is the route of {value.get('agent')!r}")
    if value.get("environment") != environment:
        raise _Refusal("environment", f"it is of the environment {value.get('environment')!r}")
    if "proof" not in value:
        raise _Refusal("unsigned", "it is not signed")
    proof = value["proof"]
    entry = proof.get("entry") if isinstance(proof, dict) else None
    text = proof.get("signature") if isinstance(proof, dict) else None
    if type(entry) is not int or not 0 <= entry <= _MOST or not isinstance(text, str):
        raise _Refusal("malformed", "its proof cannot be read: `entry` must be a number, `signature` a text")
    blob, namespace, algorithm, signature = _parse_signature(text)
    if namespace != _PROOF_NAMESPACE.encode():
        raise _Refusal("namespace", f"its signature is for {namespace!r}, not for {_PROOF_NAMESPACE!r}")
    key = next((key for key in keys if key.blob == blob and environment in key.environments), None)
    if key is None:
        raise _Refusal("key", f"it is signed by {_Key(blob, '', frozenset()).fingerprint}, which is not among the keys")
    signed = _canonical({**value, "proof": {name: part for name, part in proof.items() if name != "signature"}})
    if not _signed(signed, key, environment, algorithm, signature, text):
        raise _Refusal("altered", "it is not what was signed")
    return _Proven({name: part for name, part in value.items() if name != "proof"}, entry, key)


def _proven_value(data: bytes) -> JSONObject:
    """One spelling only: what two readers could read as two values is refused before anybody asks who signed it."""
    try:
        value = _decode(data, "it", EnsignError)
        if _canonical(value) == data:
            return value
    except (EnsignError, ValueError, RecursionError) as problem:
        raise _Refusal("unreadable", f"it cannot be read: {problem}") from problem
    raise _Refusal("unreadable", "it cannot be read: it is not canonical JSON (RFC 8785) and a line feed")


def _parse_signature(text: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Reads an SSH signature (PROTOCOL.sshsig): its key, namespace, hash and 64 bytes."""

    def fail(why: str) -> NoReturn:
        raise _Refusal("malformed", f"its proof cannot be read: {why}")

    armor = _ARMOR.fullmatch(text)
    if armor is None:
        fail("it is not an SSH signature")
    try:
        data = base64.b64decode(armor[1].replace("\n", ""), validate=True)
    except ValueError:
        fail("it is not valid base64")
    if data[:10] != b"SSHSIG\0\0\0\x01":
        fail("it is not an SSH signature of version 1")

    def strings(data: bytes) -> list[bytes]:
        found, at = [], 0
        while at < len(data):
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if end > len(data) or at + 4 > len(data):
                fail("it ends too early")
            found.append(data[at + 4 : end])
            at = end
        return found

    parts = strings(data[10:])
    if len(parts) != 5 or parts[2] or parts[3] not in (b"sha512", b"sha256"):
        fail("it is not a signature that Ensign makes")
    inner = strings(parts[4])
    if len(inner) != 2 or inner[0] != b"ssh-ed25519" or len(inner[1]) != 64:
        fail("it is not a signature by a key of type ssh-ed25519")
    return parts[0], parts[1], parts[3], inner[1]


def _signed(message: bytes, key: _Key, environment: str, algorithm: bytes, signature: bytes, armored: str) -> bool:
    """Whether a key made a signature: by the package `cryptography` where it is, else by ssh-keygen."""
    public_key = _ed25519()
    if public_key is None:
        return _signed_by_keygen(message, key, environment, armored)
    digest = hashlib.new(algorithm.decode(), message).digest()
    parts = (_PROOF_NAMESPACE.encode(), b"", algorithm, digest)
    text = b"SSHSIG" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    try:
        public_key.from_public_bytes(key.blob[-32:]).verify(signature, text)
    except Exception:  # It has one kind of error for what does not verify, and others for what is not a key.
        return False
    return True


@functools.lru_cache(maxsize=None)
def _ed25519() -> Any:
    try:
        return importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519").Ed25519PublicKey
    except Exception:  # Not there, or not for this Python.
        return None


def _signed_by_keygen(message: bytes, key: _Key, environment: str, armored: str) -> bool:
    principal = f"{environment}@ensign.invalid"
    with tempfile.TemporaryDirectory(prefix="ensign-") as folder:
        paths = [os.path.join(folder, name) for name in ("keys", "signature")]
        texts = (f'{principal} namespaces="{_PROOF_NAMESPACE}" {key.line}\n', armored)
        for path, text in zip(paths, texts):
            with open(path, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        command = ["ssh-keygen", "-Y", "verify", "-f", paths[0], "-I", principal, "-n", _PROOF_NAMESPACE, "-s", paths[1]]
        try:
            result = subprocess.run(command, input=message, capture_output=True, timeout=30, check=False)
        except (OSError, subprocess.SubprocessError) as problem:
            raise FleetUnavailable(f"no signature can be checked: ssh-keygen: {problem}") from problem
    return result.returncode == 0


class _Proofs:
    """What of a live directory is proven, with the keys that it is given and what was seen before. Safe in threads.

    Proven once, a file is known until its bytes change. The newest entry of each file is remembered, in memory and, if a
    path is given, there: an older file that was signed is refused. The keys are read again when their file changes.
    """

    def __init__(self, keys: Union[str, bytes, os.PathLike[str]], environment: Optional[str], state: Optional[str]) -> None:
        self._given, self._wanted, self._state = keys, environment, state
        self._lock = threading.RLock()
        self._stamp = ""
        self._keys: tuple[_Key, ...] = ()
        self.environment = ""
        self._known: dict[str, tuple[bytes, _Proven]] = {}
        self._seen: dict[str, tuple[int, str]] = {}
        if _ed25519() is None and shutil.which("ssh-keygen") is None:
            raise InvalidKeys(
                "no signature can be checked here: install the Python package `cryptography`, or ssh-keygen (openssh-client)"
            )
        with self._lock:
            self._load_keys()
            self._load_seen()

    def __reduce__(self) -> tuple[type[_Proofs], tuple[object, ...]]:
        return (_Proofs, (self._given, self._wanted, self._state))

    def _load_keys(self) -> None:
        given = self._given
        if isinstance(given, bytes) or isinstance(given, str) and "ssh-ed25519" in given:
            data, where, stamp = given if isinstance(given, bytes) else given.encode("utf-8"), "keys", "text"
            if stamp == self._stamp:
                return
        else:
            where = os.fspath(given)
            try:
                status = os.stat(where)
                stamp = f"{status.st_mtime_ns} {status.st_size} {status.st_ino}"
                if stamp == self._stamp:
                    return
                with open(where, "rb") as file:
                    data = file.read(_KEYS_LIMIT + 1)
            except (OSError, ValueError) as problem:
                raise InvalidKeys(f"cannot read {where}: {getattr(problem, 'strerror', None) or problem}") from problem
            if len(data) > _KEYS_LIMIT:
                raise InvalidKeys(f"{where} is larger than {_KEYS_LIMIT} bytes")
        self._stamp = ""  # What follows may fail: then it is tried again.
        keys = _parse_keys(data, where)
        names = set().union(*(key.environments for key in keys))
        environment = self._wanted or (names.pop() if len(names) == 1 else None)
        if environment is None:
            raise InvalidKeys(f"{where}: keys of several environments: say which one with `environment=`")
        self._keys = tuple(key for key in keys if environment in key.environments)
        if not self._keys:
            raise InvalidKeys(f"{where}: no key of the environment {environment!r}")
        self.environment, self._known, self._stamp = environment, {}, stamp

    def prove(self, data: bytes, file: str) -> _Proven:
        """Returns what is proven of a file, and remembers it. Raises: _Refusal; InvalidKeys; FleetUnavailable."""
        with self._lock:
            self._load_keys()
            known = self._known.get(file)
            if known is not None and known[0] == data:
                proven = known[1]
            else:
                proven = _prove(data, file, self.environment, self._keys)
                self._known[file] = (data, proven)
            self._admit(proven, file)
            return proven

    def _admit(self, proven: _Proven, file: str) -> None:
        now = (proven.entry, proven.key.fingerprint)
        before = self._seen.get(file)
        if before == now:
            return
        if before is not None and any(key.fingerprint == before[1] for key in self._keys):
            if now[0] < before[0] or (now[0] == before[0] and file != _HEADER):
                raise _Refusal("older", f"it is of entry {now[0]}, and one of entry {before[0]} was there before")
        if self._state is not None:
            self._keep(file, now)
        self._seen[file] = now

    def _load_seen(self) -> None:
        if self._state is None:
            return
        data = _read(self._state, _STATE_LIMIT, FleetUnavailable)
        if data is None:
            return
        fields = _Fields(_decode(data, self._state, FleetUnavailable), self._state, FleetUnavailable)
        if fields.integer("v") != 1:
            fields.fail("v", "is not 1: another version wrote it")
        seen = fields.object("seen")
        for file in seen.value:
            one = seen.object(file)
            found = (one.integer("entry"), one.text("key"))
            before = self._seen.get(file)
            if before is None or found[0] >= before[0] or all(key.fingerprint != before[1] for key in self._keys):
                self._seen[file] = found

    def _keep(self, file: str, now: tuple[int, str]) -> None:
        """Writes what was seen, with what other processes have seen meanwhile."""
        assert self._state is not None
        try:
            with open(f"{self._state}.lock", "a", encoding="utf-8") as lock:
                with contextlib.suppress(ImportError):  # Without it (Windows) the last of two writers wins.
                    importlib.import_module("fcntl").flock(lock, 2)
                self._load_seen()
                newest = self._seen.get(file)
                if newest is not None and newest[0] > now[0] and any(key.fingerprint == newest[1] for key in self._keys):
                    raise _Refusal("older", f"it is of entry {now[0]}, and one of entry {newest[0]} was there before")
                seen = {**self._seen, file: now}
                value = {"v": 1, "seen": {name: {"entry": entry, "key": key} for name, (entry, key) in seen.items()}}
                temporary = f"{self._state}.{secrets.token_hex(8)}"
                with open(temporary, "wb") as written:
                    written.write(_canonical(value))
                    written.flush()
                    os.fsync(written.fileno())
                os.replace(temporary, self._state)
        except OSError as problem:
            raise FleetUnavailable(f"cannot write {self._state}: {problem.strerror or problem}") from problem

    def route(self, data: bytes, route: Route, live: str) -> Route:
        """Returns a route that may be used. A halted one needs no proof, and with one it takes back what was before."""
        file = f"agents/{route.agent}.json"
        try:
            self.prove(data, file)
        except _Refusal as problem:
            if route.phase != "halted":
                raise self._unproven(live, file, problem) from None
        return route

    def header(self, live: str, max_age: Optional[float]) -> None:
        """Raises unless the header is proven, not older than one that was seen, and of a host that was heard lately.

        Whoever follows a ledger writes a header without a proof, as nobody but the host can. That one is taken where no age
        is asked for and no proven one was ever seen.
        """
        path = os.path.join(live, _HEADER)
        data = _read(path, _HEADER_LIMIT, CorruptRoute)
        if data is None:
            raise FleetUnavailable(f"no fleet in {live}: it has no fleet.json (is the path right, and was it reconciled?)")
        try:
            proven = self.prove(data, _HEADER)
        except _Refusal as problem:
            if max_age is None and problem.code in ("unsigned", "file") and self._may_be_bare(data):
                return
            raise self._unproven(live, _HEADER, problem) from None
        if max_age is None:
            return
        heard = proven.value.get("heard")
        try:
            when = datetime.datetime.strptime(heard, "%Y-%m-%dT%H:%M:%SZ") if isinstance(heard, str) else None
        except ValueError:
            when = None
        if when is None:
            raise FleetUnavailable(f"{path} does not say when the host was last heard")
        age = time.time() - when.replace(tzinfo=datetime.timezone.utc).timestamp()
        if age > max_age:
            raise FleetUnavailable(f"{path}: the host was last heard {int(age)} s ago, and {max_age:g} s are allowed")

    def _may_be_bare(self, data: bytes) -> bool:
        with self._lock:
            return _HEADER not in self._seen and not {"proof", "agent"} & set(_proven_value(data))

    @staticmethod
    def _unproven(live: str, file: str, problem: _Refusal) -> Unproven:
        path = os.path.join(live, *file.split("/"))
        return Unproven(f"{path} is not to be believed: {problem} (`ensign drift` shows it, `ensign reconcile` repairs it)")


# ---------------------------------------------------------------------------------------------------- reading files

_ROUTE_LIMIT = 64 << 10
_BUNDLE_LIMIT = 64 << 20
_RETRY_DELAYS = (0.001, 0.005, 0.02, 0.05, 0.1)


class Fleet:
    """A live directory, as agents read it. Make one and share it: it is safe to use from several threads.

    Opening it reads nothing, so a process may start before the fleet's first reconcile. Each session reads its route
    anew. Bundles never change, so verified ones are kept, up to `cache_bytes`.

    With `keys`, the lines that `ensign keys` prints or the path of a file with them (default: the environment variable
    ENSIGN_KEYS), only what the ledger's key has signed counts, and nothing older than what was seen: in this process or,
    with `state`, the path of a file of this program's own, in earlier ones too. Without keys whoever may write to the
    directory decides. `environment` says which one, where the keys are of several. `max_age`, in seconds, refuses sessions
    when the host was not heard for so long. Signatures are checked by the package `cryptography` where it is installed,
    else by ssh-keygen. Raises: InvalidKeys; FleetUnavailable if `state` cannot be read.
    """

    def __init__(
        self,
        path: Union[str, os.PathLike[str]],
        *,
        keys: Union[str, bytes, os.PathLike[str], None] = None,
        environment: Optional[str] = None,
        state: Union[str, os.PathLike[str], None] = None,
        max_age: Optional[float] = None,
        cache_bytes: int = 16 << 20,
    ) -> None:
        self.path = os.fspath(path)
        given = os.environ.get("ENSIGN_KEYS") or None if keys is None else keys
        if given is None and (state is not None or max_age is not None or environment is not None):
            raise InvalidKeys("`environment`, `state` and `max_age` are about what is signed: they need `keys`")
        self._proofs = None if given is None else _Proofs(given, environment, None if state is None else os.fspath(state))
        self._max_age = max_age
        self._cache_bytes = cache_bytes
        self._cached: OrderedDict[str, bytes] = OrderedDict()  # Least recently used first.
        self._lock = threading.Lock()

    def route(self, agent: str) -> Route:
        """Returns which versions of an agent are live now.

        A halted agent has a route too, with none. Raises: InvalidArgument, AgentNotFound, FleetUnavailable,
        CorruptRoute; with keys also Unproven, which is a CorruptRoute, and InvalidKeys.
        """
        route = _read_route(self.path, agent, self._proofs)
        if self._proofs is not None and route.phase != "halted":
            self._proofs.header(self.path, self._max_age)
        return route

    def session(self, agent: str, key: Optional[str] = None) -> Session:
        """Opens a session of an agent, named `<team>/<agent>`.

        The same key takes the same version for as long as that version is live: use what the work is about, such as a
        ticket or a conversation. Without a key the session is a run of its own, with a random one.

        Raises: AgentHalted; AgentNotFound; InvalidArgument; FleetUnavailable if files cannot be read; CorruptRoute or
        CorruptBundle if they can, and are wrong; with keys Unproven, a CorruptRoute, and InvalidKeys. Nothing else.
        """
        if key is None:
            key = secrets.token_hex(16)
        for delay in (*_RETRY_DELAYS, None):
            route = self.route(agent)
            number, choice = route.select(key)
            data = self._bundle(choice.digest)
            if data is not None:
                return _parse_session(data, route, choice, key, number, self.path, self._proofs)
            if delay is not None:  # Removed since we read the route, which then names another one by now.
                time.sleep(delay)
        raise FleetUnavailable(
            f"the route of {agent} names bundle {choice.digest}, which is not in {self.path} "
            f"(`ensign reconcile --env {route.environment}` brings it back)"
        )

    def _bundle(self, digest: str) -> Optional[bytes]:
        """Returns the verified bytes of a bundle, or None if it is not there."""
        with self._lock:
            data = self._cached.get(digest)
            if data is not None:
                self._cached.move_to_end(digest)
                return data
        match = _DIGEST.fullmatch(digest)
        if match is None:  # Routes are checked when they are read; this is the last door before the file system.
            raise CorruptRoute(f"{digest!r} is not a digest")
        path = os.path.join(self.path, "bundles", match[1], f"{match[2]}.json")
        data = _read(path, _BUNDLE_LIMIT, CorruptBundle)
        if data is None:
            return None
        actual = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if actual != digest:
            raise CorruptBundle(
                f"{path} has the digest {actual}: it is not what was deployed (`ensign drift` shows it, "
                "`ensign reconcile` repairs it)"
            )
        with self._lock:
            self._cached[digest] = data
            while sum(map(len, self._cached.values())) > self._cache_bytes:
                self._cached.popitem(last=False)
        return data


def _read_route(live: str, agent: str, proofs: Optional[_Proofs]) -> Route:
    # Before it becomes part of a path: neither `..` nor a slash too many gets past the pattern.
    if not isinstance(agent, str) or not _AGENT.fullmatch(agent):
        raise InvalidArgument(f"{agent!r} is not an agent's name: <team>/<agent>, each of a-z, 0-9 and inner hyphens")
    team, name = agent.split("/")
    path = os.path.join(live, "agents", team, f"{name}.json")
    data = _read(path, _ROUTE_LIMIT, CorruptRoute)
    if data is not None:
        route = _parse_route(data, agent, path)
        return route if proofs is None else proofs.route(data, route, live)
    if not os.path.exists(os.path.join(live, "fleet.json")):
        raise FleetUnavailable(f"no fleet in {live}: it has no fleet.json (is the path right, and was it reconciled?)")
    raise AgentNotFound(f"no agent {agent} in {live}")


def _read(path: str, limit: int, too_large: type[EnsignError]) -> Optional[bytes]:
    """Returns a file's bytes, or None if there is no such file."""
    # Not blocking: a named pipe in the place of a file must not hang us.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FleetUnavailable(f"{path} is not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise FleetUnavailable(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}") from problem
    if len(data) > limit:
        raise too_large(f"{path} is larger than {limit} bytes")
    return data


# ------------------------------------------------------------------------------------------------------------- JSON

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_DURATION = re.compile("([0-9]{1,12})(ms|s|m|h|d)")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _decode(data: bytes, where: str, error: type[EnsignError]) -> JSONObject:
    """Returns the one JSON object in `data`. Duplicate keys, NaN and half characters are errors."""
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_not_json)
        if _SURROGATE_ESCAPE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as problem:
        raise error(f"{where}: not valid JSON: {problem}") from problem
    if not isinstance(value, dict):
        raise error(f"{where}: expected an object, found {_kind(value)}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> JSONObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: dict[str, None] = {}
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"duplicate key {name!r}")
            seen[name] = None
    return value


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _kind(value: object) -> str:
    kinds = {
        dict: "an object",
        list: "an array",
        str: "text",
        bool: "a boolean",
        float: "a decimal",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")


class _Fields:
    """An object's members by type. Whatever is missing or of another type raises `error`, saying where.

    Optional members may be absent or null. Members nobody asks for are ignored, so newer writers do not break us.
    """

    def __init__(self, value: JSONObject, where: str, error: type[EnsignError]) -> None:
        self.value = value
        self._where = where
        self._error = error

    def fail(self, name: str, problem: str) -> NoReturn:
        raise self._error(f"{self._where}: {name}: {problem}")

    def _get(self, name: str, kind: type[Any], expected: str, required: bool) -> Any:
        value = self.value.get(name)
        if value is None and not required:
            return None
        if name not in self.value:
            self.fail(name, f"missing; expected {expected}")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fail(name, f"expected {expected}, found {_kind(value)}")
        return value

    def text(self, name: str) -> str:
        value: str = self._get(name, str, "text", True)
        return value

    def optional_text(self, name: str) -> Optional[str]:
        value: Optional[str] = self._get(name, str, "text", False)
        return value

    def integer(self, name: str) -> int:
        value: int = self._get(name, int, "a whole number", True)
        return value

    def optional_integer(self, name: str) -> Optional[int]:
        value: Optional[int] = self._get(name, int, "a whole number", False)
        return value

    def optional_number(self, name: str) -> Optional[float]:
        if isinstance(self.value.get(name), float):
            return float(self.value[name])
        return self.optional_integer(name)

    def optional_boolean(self, name: str) -> bool:
        return bool(self._get(name, bool, "a boolean", False))

    def optional_duration(self, name: str) -> Optional[float]:
        text = self.optional_text(name)
        if text is None:
            return None
        match = _DURATION.fullmatch(text)
        if match is None:
            self.fail(name, f"{text!r} is not a whole number and ms, s, m, h or d")
        return int(match[1]) * _UNIT_SECONDS[match[2]]

    def optional_date(self, name: str) -> Optional[datetime.date]:
        text = self.optional_text(name)
        if text is None:
            return None
        try:
            if _DATE.fullmatch(text):
                return datetime.date.fromisoformat(text)
        except ValueError:
            pass
        self.fail(name, f"{text!r} is not a date like 2027-06-30")

    def schema(self, name: str) -> Union[JSONObject, bool, None]:
        """A JSON Schema: an object, true (anything), false (nothing), or None where there is none."""
        value = self.value.get(name)
        if value is None or isinstance(value, bool):
            return value
        return self.object(name).value

    def optional_schema(self, name: str) -> Optional[JSONObject]:
        value = self.schema(name)
        return {"not": {}} if value is False else None if value is True else value or None

    def object(self, name: str, *, required: bool = True) -> _Fields:
        value = self._get(name, dict, "an object", required)
        return _Fields({} if value is None else value, f"{self._where}: {name}", self._error)

    def present(self, name: str) -> bool:
        """Whether a member that must be there is not null."""
        return name not in self.value or self.value[name] is not None

    def objects(self, name: str, *, required: bool = True) -> list[_Fields]:
        found = []
        for index, value in enumerate(self._get(name, list, "an array", required) or ()):
            if not isinstance(value, dict):
                self.fail(f"{name}[{index}]", f"expected an object, found {_kind(value)}")
            found.append(_Fields(value, f"{self._where}: {name}[{index}]", self._error))
        return found

    def text_list(self, name: str) -> tuple[str, ...]:
        values: list[Any] = self._get(name, list, "an array", False) or []
        for index, value in enumerate(values):
            if not isinstance(value, str):
                self.fail(f"{name}[{index}]", f"expected text, found {_kind(value)}")
        return tuple(values)

    def texts(self) -> dict[str, str]:
        return {name: self.text(name) for name in self.value}


# ----------------------------------------------------------------------------------------------------- command line


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"error: {message}\n")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Prints which version a session takes, as JSON. Returns the exit code, with the meanings `ensign` gives them."""
    parser = _Parser(prog="ensign.py", description="Print which version of an agent a session takes, as JSON.")
    parser.add_argument("live", metavar="LIVE_DIR", help="the live directory, which holds fleet.json")
    parser.add_argument("agent", metavar="AGENT", help="<team>/<agent>")
    parser.add_argument("--key", help="the session's key (default: a random one)")
    parser.add_argument("--keys", metavar="FILE", help="lines of `ensign keys`: only what is signed counts (or ENSIGN_KEYS)")
    parser.add_argument("--environment", metavar="ENV", help="which one, where the keys are of several")
    parser.add_argument("--state", metavar="FILE", help="remember what was seen, and refuse what is older")
    options = parser.parse_args(arguments)
    try:
        given = {"keys": options.keys, "environment": options.environment, "state": options.state}
        route = Fleet(options.live, **given).route(options.agent)
        number, choice = route.select(secrets.token_hex(16) if options.key is None else options.key)
    except EnsignError as problem:
        print(f"error: {problem}", file=sys.stderr)
        if isinstance(problem, (InvalidArgument, InvalidKeys)):
            return 64
        if isinstance(problem, AgentHalted):
            return 4
        return 5 if isinstance(problem, (CorruptRoute, CorruptBundle)) else 1
    answer = {
        "agent": route.agent,
        "environment": route.environment,
        "phase": route.phase,
        "version": choice.version,
        "digest": choice.digest,
        "bucket": number,
    }
    print(json.dumps(answer, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
