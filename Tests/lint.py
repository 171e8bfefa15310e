#!/usr/bin/env python3
"""What neither the compiler nor the formatter looks at in this repository's own Swift:

    imports     every target declares what it imports, and imports what it declares
    links       each ``symbol`` of a comment names something that is declared

    python3 Tests/lint.py

Prints what is wrong, one a line; exit status 1 says that something is. Nothing is built.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Every target of tests gets it (`test` in Package.swift), needed or not.
SHARED = "EnsignTestSupport"


# MARK: Imports

IMPORT = re.compile(r"^(?:@\w+(?:\([^)]*\))? +|(?:package|public|internal|private|fileprivate) +)*import +(\w+)", re.M)


def imports(text: str) -> set[str]:
    """The modules that a Swift file imports."""
    return set(IMPORT.findall(code(text)))


def import_problems(name: str, declared: set[str], imported: set[str], modules: set[str]) -> list[str]:
    """How the dependencies of a target differ from its imports.

    `modules` are the package's own that can be imported: programs are not, and other modules need no declaration.
    """
    missing = sorted(imported & modules - declared - {name})
    unused = sorted(declared & modules - imported - {SHARED})
    return [f"Package.swift: {name} imports {each} and does not declare it" for each in missing] + [
        f"Package.swift: {name} declares {each} and does not import it" for each in unused
    ]


def check_imports(package: Mapping[str, Any], files: Mapping[str, list[str]]) -> list[str]:
    """Of a package as `swift package dump-package` has it, with the texts of each target."""
    targets = package["targets"]
    modules = {str(each["name"]) for each in targets if each["type"] not in ("executable", "test")}
    problems: list[str] = []
    for target in targets:
        name = str(target["name"])
        declared = {each["byName"][0] for each in target["dependencies"] if "byName" in each}
        texts = files.get(name, [])
        imported = set().union(*map(imports, texts))
        problems += import_problems(name, declared, imported, modules) if texts else []
    return problems


# MARK: Swift without its comments and texts

NOTABLE = re.compile(r'//[^\n]*|/\*|(#*)("""|")')


def code(text: str) -> str:
    """A Swift file with its comments left out and each literal text empty."""
    parts, at = [], 0
    while found := NOTABLE.search(text, at):
        parts.append(text[at : found.start()])
        if found[0].startswith("//"):
            at = found.end()
        elif found[0] == "/*":
            end = text.find("*/", found.end())
            at = len(text) if end < 0 else end + 2
        else:
            parts.append('""')
            at = end_of_text(text, found.end(), found[2], found[1])
    return "".join(parts) + text[at:]


def end_of_text(text: str, at: int, quote: str, hashes: str) -> int:
    """Where a literal text ends whose inside begins at `at`."""
    mark = re.compile(rf"\\{hashes}(\(?)|{quote}{hashes}", re.S)
    while found := mark.search(text, at):
        if not found[0].startswith("\\"):
            return found.end()
        at = end_of_parenthesis(text, found.end()) if found[1] else found.end() + (0 if hashes else 1)
    return len(text)


def end_of_parenthesis(text: str, at: int) -> int:
    """Where a parenthesis ends whose inside begins at `at`."""
    depth = 1
    mark = re.compile(r'[()]|(#*)("""|")')
    while found := mark.search(text, at):
        at = found.end()
        if found[2]:
            at = end_of_text(text, at, found[2], found[1])
        else:
            depth += 1 if found[0] == "(" else -1
        if depth == 0:
            return at
    return len(text)


# MARK: Declarations

TOKEN = re.compile(
    r"(?P<brace>[{}])"
    r"|\b(?:struct|class|enum|protocol|actor|extension) +(?P<type>[A-Z][\w.]*)"
    r"|\bfunc +(?P<func>`?\w+`?|[^\s\w(]+)"
    r"|\b(?P<init>init|subscript)\b[?!]?(?=\s*[<(])"
    r"|\b(?:let|var|typealias|associatedtype) +(?P<name>`?\w+`?)"
    r"|\b(?P<case>case)\b"
)
CASE = re.compile(r"\s*(`?\w+`?)")
# What may be between two names of one `case`: a raw value, and the comma.
BETWEEN = re.compile(r"(?:\s*=[^,\n]*)?\s*,")
OPENING, CLOSING = "([{<", ")]}>"


def declarations(text: str) -> set[str]:
    """What a Swift file declares outside functions, each as `Outer/Inner/name` and, with arguments, `.../name(_:of:)`."""
    text = code(text)
    found: set[str] = set()
    # The types around; nil for any other block.
    scopes: list[str | None] = []
    pending: str | None = None
    at = 0
    while token := TOKEN.search(text, at):
        at = token.end()
        if token["brace"] == "{":
            scopes.append(pending)
            pending = None
        elif token["brace"]:
            scopes[-1:] = []
        elif None in scopes:
            continue
        elif token["type"]:
            pending = token["type"].replace(".", "/")
            found.add("/".join([*scopes, pending]))  # type: ignore[list-item]
        else:
            names, at = declared_names(text, token)
            found.update("/".join([*scopes, name]) for name in names)  # type: ignore[list-item]
    return found


def declared_names(text: str, token: re.Match[str]) -> tuple[list[str], int]:
    """The names that a declaration of members gives, and where it was read to."""
    at = token.end()
    if token["name"]:
        return [token["name"].strip("`")], at
    if not token["case"]:
        return named(text, token["func"] or token["init"], at)
    names: list[str] = []
    while found := CASE.match(text, at):
        more, at = named(text, found[1], found.end())
        names += more
        comma = BETWEEN.match(text, at)
        if not comma:
            break
        at = comma.end()
    return names, at


def named(text: str, name: str, at: int) -> tuple[list[str], int]:
    """A name without and, where parameters follow it at `at`, with their labels."""
    name = name.strip("`")
    if labels := arguments(text, at):
        return [name, name + labels[0]], labels[1]
    return [name], at


def arguments(text: str, at: int) -> tuple[str, int] | None:
    """The labels of the parameters that begin at `at`, as `(_:of:)`, and where they end; nil where none begin."""
    start = re.compile(r"\s*(?:<[^({]*>)?\s*\(").match(text, at)
    if not start:
        return None
    depth, begin, parts = 1, start.end(), []
    for index in range(start.end(), len(text)):
        character = text[index]
        if character == ">" and text[index - 1] == "-":
            continue
        if character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        if depth == 0 or (depth == 1 and character == ","):
            parts.append(text[begin:index].strip())
            begin = index + 1
        if depth == 0:
            return "(" + "".join(label(each) for each in parts if each) + ")", index + 1
    return None


def label(parameter: str) -> str:
    """`_ text: String` is `_:`, `of text: String` is `of:`, and a bare type, as cases have them, is `_:`."""
    named = re.match(r"(?:@\w+(?:\([^)]*\))? +)*`?(\w+)`?(?: +\w+)? *:", parameter)
    return f"{named[1]}:" if named else "_:"


# MARK: Links

LINK = re.compile(r"``([^`\n]+)``")


def links(text: str) -> Iterator[tuple[int, str]]:
    """The links in a file's comments, with their lines."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("//"):
            for found in LINK.finditer(line):
                yield number, found[1]


def check_links(files: Mapping[str, str]) -> list[str]:
    """The links that name nothing, in files by their paths."""
    known: set[str] = set()
    for each in set().union(*map(declarations, files.values())):
        parts = each.split("/")
        known.update("/".join(parts[index:]) for index in range(len(parts)))
    return [
        f"{path}:{number}: ``{link}`` names nothing that is declared"
        for path, text in sorted(files.items())
        for number, link in links(text)
        # A link may say which of several it means: `init(_:)-(Double)`.
        if re.sub(r"-\(.*\)$|-\w+$", "", link) not in known
    ]


def main() -> int:
    # With the target that only `make fuzz` builds.
    dump = subprocess.run(
        ["swift", "package", "dump-package"],
        cwd=ROOT, env={**os.environ, "ENSIGN_FUZZ": "1"}, check=True, capture_output=True,
    )
    package = json.loads(dump.stdout)
    folders = {
        each["name"]: ROOT / (each.get("path") or f"{'Tests' if each['type'] == 'test' else 'Sources'}/{each['name']}")
        for each in package["targets"]
    }
    swift = {name: sorted(folder.rglob("*.swift")) for name, folder in folders.items()}
    texts = {path: path.read_text() for paths in swift.values() for path in paths}
    problems = check_imports(package, {name: [texts[path] for path in paths] for name, paths in swift.items()})
    problems += check_links({str(path.relative_to(ROOT)): text for path, text in texts.items()})
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
