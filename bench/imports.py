"""The row `import`: manifests from what servers answer, and a fleet with many of them."""

from __future__ import annotations

import json
from pathlib import Path

from measure import Broken, Machine, Series
from report import Row

# A tool has at most 500 operations.
SERVERS, TOOLS = 2, 500
FLEET_SERVERS, FLEET_TOOLS = 100, 25


def answer(server: int, tools: int) -> str:
    """An answer to tools/list, with schemas of the size that servers have: some 1.2 KB a tool."""
    def tool(number: int) -> dict[str, object]:
        properties: dict[str, object] = {
            f"field_{index}": {
                "anyOf": [{"type": "string", "maxLength": 100 + index}, {"type": "null"}],
                "default": None,
                "title": f"Field {index}",
                "description": f"What server {server} looks at in its {index}th step of {number}.",
            }
            for index in range(5)
        }
        properties["page"] = {"$ref": "#/$defs/Page"}
        definitions = {"Page": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}}}}
        return {
            "name": f"do_{number}",
            "description": "Looks for what is there. " * 8,
            "inputSchema": {"type": "object", "properties": properties, "required": ["field_0"], "$defs": definitions},
            "annotations": {"readOnlyHint": number % 2 == 0},
        }

    return json.dumps({"tools": [tool(number) for number in range(tools)]})


def measure(machine: Machine, runs: int) -> Row:
    row = Row("import", f"import of {SERVERS * TOOLS:,} tools; a fleet with {FLEET_SERVERS} servers of {FLEET_TOOLS}")
    new = Series("ensign import mcp --from, new manifests")
    again = Series("  again, with --check: nothing has changed")
    for _ in range(runs):
        folder = repository(machine)
        for server in range(SERVERS):
            (folder / f"{server}.json").write_text(answer(server, TOOLS))
        commands = [
            [machine.ensign, "import", "mcp", f"server-{server}", "--from", f"{server}.json", "--quiet"]
            for server in range(SERVERS)
        ]
        first, *others = [machine.run(command, where=folder) for command in commands]
        new.samples.append(sum(others, first))
        first, *others = [machine.run([*command, "--check"], where=folder) for command in commands]
        again.samples.append(sum(others, first))
    row.add(new.label, new, target="<= 5 s", passed=new.seconds <= 5)
    row.add(again.label, again)
    folder = repository(machine)
    for server in range(FLEET_SERVERS):
        (folder / "answer.json").write_text(answer(server, FLEET_TOOLS))
        machine.run([machine.ensign, "import", "mcp", f"server-{server}", "--from", "answer.json", "--quiet"], where=folder)
    if len(list((folder / "fleet/tools").iterdir())) != FLEET_SERVERS:
        raise Broken("not all servers were imported")
    checked = Series(f"ensign validate, {FLEET_SERVERS} servers")
    for _ in range(runs):
        checked.samples.append(machine.run([machine.ensign, "validate", "--quiet"], where=folder))
    row.add(checked.label, checked)
    return row


def repository(machine: Machine) -> Path:
    folder = machine.place("imports")
    folder.mkdir()
    machine.output(["git", "init", "-q", "-b", "main"], where=folder)
    machine.output([machine.ensign, "new", "team", "support"], where=folder)
    return folder
