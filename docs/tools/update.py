#!/usr/bin/env python3
"""Brings the generated parts of docs/ up to date with the code:

    docs/schemas/<kind>.json    what `ensign schema KIND` prints
    docs/gateway-file.md        the field tables, from docs/schemas/gateway.json, which a test of the gateway writes
    docs/manifests.md           the field tables between <!-- fields: ... --> and <!-- /fields -->
    docs/cli.md                 the usage lines between <!-- usage: ... --> and <!-- /usage -->

It also says which verb has no row in docs/exit-codes.md.

    python3 docs/tools/update.py [ENSIGN] [--check]

ENSIGN is the binary to ask (default: `ensign`). With --check nothing is written; exit status 1 says what is out of date, or missing.
"""

import json
import pathlib
import re
import subprocess
import sys

docs = pathlib.Path(__file__).resolve().parents[1]
arguments = [word for word in sys.argv[1:] if word != "--check"]
ensign = arguments[0] if arguments else "ensign"
kinds = ["Agent", "Tool", "Role", "Team", "Prices", "Environment", "Binding", "Deployment"]
stale = []


def ask(*words, program=ensign):
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


schemas = {kind: json.loads(ask("schema", kind)) for kind in kinds}
# Of the gateway's program: ENSIGN_RECORD=1 writes it.
schemas["Gateway"] = json.loads((docs / "schemas" / "gateway.json").read_text())

# What a pattern means, by which of these texts it accepts.
probes = ["next", "1.4.0", "90m", "2027-06-30", "a/b", "a_B.md", "a.b", "vault:a/b", "."]
forms = {
    "next 90m 2027-06-30": "name",
    "1.4.0": "version",
    "next 1.4.0": "version or `next`",
    "90m": "duration",
    "2027-06-30": "date",
    "a/b": "`<team>/<agent>`",
    "next 1.4.0 90m 2027-06-30 a_B.md a.b": "file name",
    "next 1.4.0 90m 2027-06-30 a_B.md a.b .": "operation",
    "next 1.4.0 90m 2027-06-30 a.b .": "trust domain",
    "vault:a/b": "`<scheme>:<path>`",
}


# Patterns that no probe tells apart.
special = {
    "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$": "name", "^[A-Za-z_][A-Za-z0-9_]*$": "variable",
    "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$": "header", "^sha256:[0-9a-f]{64}$": "`sha256:<64 hex>`",
    "^/": "absolute path", "^https?://": "URL", "^[0-9a-f]{64}$": "SHA-256", "^[a-z][a-z0-9+.-]*$": "scheme",
    "^([a-z_][a-z0-9_-]*|[0-9]+)$": "account", "^(\\[[0-9a-fA-F:]+\\]|[0-9.]+):[0-9]+$": "address and port",
    "^[A-Za-z][A-Za-z0-9_+/-]*$": "time zone", "^/[^\\s?#]*$": "path", "^\\S+( +\\S+){4}$": "schedule",
    "^([1-9][0-9]{0,5}|1000000)/[smhd]$": "rate, such as `30/m`", "^(/([^~/]|~[01])*)+$": "JSON Pointer",
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.[A-Za-z0-9_.-]{1,128}$": "`<tool>.<operation>`",
}


def is_approver(pattern):
    return pattern.startswith("^([a-z0-9]") and "@" in pattern


def form(pattern):
    if pattern in special:
        return special[pattern]
    if is_approver(pattern):
        return "team or principal"
    return forms[" ".join(text for text in probes if re.search(pattern, text))]


def kind_of(schema):
    """What may be written there, in a few words."""
    if "enum" in schema:
        words = ["true" if value is True else "false" if value is False else value for value in schema["enum"]]
        return " \\| ".join(f"`{word}`" for word in words)
    if "anyOf" in schema:
        records = [part for part in schema["anyOf"] if "properties" in part]
        lists = [part for part in schema["anyOf"] if part.get("type") == "array"]
        if lists:
            return f"{kind_of(lists[0]['items'])}, or {kind_of(lists[0])}"
        if not records:
            return "number or percentage"
        if "ref" in records[0]["properties"]:
            return "text, or `{ref: <scheme>:<path>}`"
        return "operation, `\"*\"`, or mapping of " + ", ".join(f"`{name}`" for name in records[0]["properties"])
    if "oneOf" in schema:
        return "one of these forms"
    wanted = schema.get("type")
    if wanted == ["object", "boolean"]:
        return "JSON Schema"
    if wanted == "string":
        return form(schema["pattern"])
    if wanted in (["string", "number"], ["string", "number", "boolean", "null"]):
        return "text"
    if wanted in ("integer", "number"):
        low, high = schema["minimum"], schema["maximum"]
        if high >= 1_000_000_000:
            return f"{wanted}, at least {low:g}"
        return f"{wanted}, {low:g} to {high:g}"
    if wanted == "array":
        bounds = f"{schema.get('minItems', 0)} to {schema['maxItems']}"
        return f"list of {bounds}" + ("" if {"properties", "oneOf"} & schema["items"].keys() else f": {kind_of(schema['items'])}")
    if wanted == "object" and "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return f"mapping of {schema.get('minProperties', 0)} to {schema['maxProperties']}"
    if wanted == "object" and "properties" not in schema:
        return "any mapping"
    if wanted == "object" and schema.get("maxProperties") == 1:
        return "exactly one of its fields"
    return {"object": "mapping", "boolean": "`true` \\| `false`"}[wanted]


def rows(schema, path, shared):
    required = schema.get("required", [])
    for name, field in sorted(schema.get("properties", {}).items(), key=lambda item: item[0] not in required):
        place = f"{path}.{name}" if path else name
        text, default = field["description"], ""
        if found := re.search(r"^(.*) Default: (.*)\.$", text):
            text, default = found[1], f"`{found[2]}`"
        if name in required:
            default = "required"
        link = name in shared
        if link:
            text += f" See [{shared[name]}](#{shared[name].lower().replace(' ', '-')})."
        yield f"| `{place}` | {kind_of(field)} | {default} | {text} |"
        if not link:
            yield from below(field, place, shared)


def alternatives(records, path):
    """Records of which exactly one applies: each has a field of its own, and may share others."""
    by_name = {}
    for record in records:
        for name in record["properties"]:
            by_name.setdefault(name, []).append(record)
    own = [name for name in by_name if len(by_name[name]) == 1 and name in by_name[name][0].get("required", [])]
    for name in sorted(by_name, key=lambda name: name not in own):
        with_it = by_name[name]
        beside = ", ".join(f"`{other}`" for other in own for record in with_it if other in record["properties"] and other != name)
        needed = "required beside" if all(name in record.get("required", []) for record in with_it) else "beside"
        when = "exactly one of these" if name in own else f"{needed} {beside}"
        fields = [record["properties"][name] for record in with_it]
        found = [re.search(r"^(.*) Default: (.*)\.$", one["description"]) for one in fields]
        text = found[-1][1] if found[-1] else fields[-1]["description"]
        standards = list(dict.fromkeys(f"`{one[2]}`" for one in found if one))
        kinds = " or ".join(dict.fromkeys(kind_of(one) for one in fields))
        yield f"| `{path}.{name}` | {kinds} | {'; '.join([when, *standards])} | {text} |"


def below(field, place, shared):
    if "properties" in field:
        yield from rows(field, place, shared)
    elif "properties" in field.get("items", {}):
        yield from rows(field["items"], place + "[]", shared)
    elif "oneOf" in field:
        yield from alternatives(field["oneOf"], place)
    elif "oneOf" in field.get("items", {}):
        yield from alternatives(field["items"]["oneOf"], place + "[]")
    elif isinstance(inner := field.get("additionalProperties"), dict):
        key = f"{place}.<name>"
        if "properties" in inner:
            yield from rows(inner, key, shared)
        else:
            yield f"| `{key}` | {kind_of(inner)} | | |"


def table(words):
    """`Agent`, or `Deployment rollout` for one of its fields; the names after `-` are only linked to."""
    target, _, linked = words.partition(" - ")
    kind, *field = target.split()
    shared = dict(pair.split("=") for pair in linked.split(",")) if linked else {}
    schema = schemas[kind]["properties"]["spec"]
    name = "spec"
    for step in field:
        schema, name = schema["properties"][step], step
    lines = ["| Field | Type | Default | Meaning |", "|---|---|---|---|"]
    shared = {key: value.replace("_", " ") for key, value in shared.items()}
    return lines + list(below(schema, name, shared))


def usage(words):
    """`plan`, or `ensign-gateway serve`."""
    *program, verb = words.split()
    # Beside the other one. The verb that becomes it has its own help by another way.
    asked = str(pathlib.Path(ensign).with_name(program[0])) if program else ensign
    text = re.search(r"^USAGE: (.*)$", ask("help", verb, program=asked), re.M)[1]
    return ["```", text, "```"]


def replace(text, tag, render):
    def one(found):
        return f"{found[1]}\n" + "\n".join(render(found[2])) + f"\n<!-- /{tag} -->"

    return re.sub(rf"(<!-- {tag}: (.*?) -->)\n.*?<!-- /{tag} -->", one, text, flags=re.S)


def verbs_without_status():
    """The verbs of `--help` that no first column of docs/exit-codes.md names; the gateway's under its own heading."""
    own, _, other = (docs / "exit-codes.md").read_text().partition("\n## Of ensign-gateway\n")
    beside = pathlib.Path(ensign).with_name("ensign-gateway")
    for program, part in [(ensign, own.partition("\n## By command\n")[2]), (beside, other)]:
        rows = re.findall(r"^\|([^|]*)\|", part, re.M)
        named = {words.split()[0] for row in rows for words in re.findall(r"`([^`]+)`", row)}
        # Two blanks, a name, two blanks or more, and what it does.
        listed = re.findall(r"^  ([a-z][a-z-]*)  +\S", ask("--help", program=program), re.M)
        yield from (f"`{pathlib.Path(program).name} {verb}`" for verb in listed if verb not in named)


def write(path, text):
    if path.exists() and path.read_text() == text:
        return
    stale.append(str(path.relative_to(docs.parent)))
    if "--check" not in sys.argv:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


for kind in kinds:
    write(docs / "schemas" / f"{kind.lower()}.json", ask("schema", kind))
for name in ["manifests.md", "gateway-file.md"]:
    write(docs / name, replace((docs / name).read_text(), "fields", table))
cli = docs / "cli.md"
if cli.exists():
    write(cli, replace(cli.read_text(), "usage", usage))
if stale:
    print("\n".join(stale))
if missing := list(verbs_without_status()):
    sys.exit(f"docs/exit-codes.md has no row for {', '.join(missing)}")
if stale and "--check" in sys.argv:
    sys.exit("out of date; run: python3 docs/tools/update.py")
