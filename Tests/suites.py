#!/usr/bin/env python3
"""Fetches the official test suites that some package carries. None of them is part of this project.

    suites.py FOLDER        # FOLDER/json-schemas, FOLDER/json; FOLDER/yaml if YAML_TEST_SUITE names a copy

JSON-Schema-Test-Suite comes with the sources of PyPI's jsonschema, JSONTestSuite with those of Debian's
libcpanel-json-xs-perl. No package carries yaml-test-suite: YAML_TEST_SUITE names a folder with its branch `data`.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

JSON_SCHEMA = "jsonschema==4.26.0"
JSON = "libcpanel-json-xs-perl"
MOST = 64 << 20


def unpack(archive: Path, folder: Path, wanted: re.Pattern[str]) -> int:
    """Takes the files whose names match; the pattern's first group is the name to give them."""
    count = 0
    with tarfile.open(archive) as files:
        for member in files:
            found = wanted.search(member.name)
            source = files.extractfile(member) if found and member.isfile() and member.size < MOST else None
            if found is None or source is None or ".." in found[1].split("/"):
                continue
            path = folder / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read())
            count += 1
    return count


def json_schema(folder: Path, scratch: Path) -> int:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(scratch)]
    subprocess.run([*pip, JSON_SCHEMA], check=True)
    [archive] = scratch.glob("jsonschema-*.tar.gz")
    return unpack(archive, folder, re.compile(r"/json/tests/(draft(?:7|2019-09|2020-12)/.*\.json)$"))


def debian_sources(scratch: Path) -> list[str]:
    """What makes apt look for sources where this machine gets its packages from."""
    stanzas = []
    for path in glob.glob("/etc/apt/sources.list.d/*.sources"):
        for stanza in re.split(r"\n\s*\n", Path(path).read_text(encoding="utf-8")):
            if "debian-archive-keyring" in stanza and "-security" not in stanza:
                stanzas.append(re.sub(r"(?m)^Types:.*$", "Types: deb-src", stanza))
    (scratch / "src.sources").write_text("\n\n".join(stanzas) + "\n", encoding="utf-8")
    (scratch / "lists/partial").mkdir(parents=True)
    (scratch / "cache/archives/partial").mkdir(parents=True)
    return [
        "-oDir::Etc::sourcelist=" + str(scratch / "src.sources"),
        "-oDir::Etc::sourceparts=-",
        "-oDir::State::lists=" + str(scratch / "lists"),
        "-oDir::Cache=" + str(scratch / "cache"),
    ]


def json(folder: Path, scratch: Path) -> int:
    options = debian_sources(scratch)
    subprocess.run(["apt-get", *options, "-qq", "update"], check=True)
    subprocess.run(["apt-get", *options, "-qq", "source", "--download-only", JSON], check=True, cwd=scratch)
    [archive] = scratch.glob("*.orig.tar.*")
    return unpack(archive, folder, re.compile(r"/t/test_parsing/(\w[^/]*\.json)$"))


def main() -> None:
    root = Path(sys.argv[1])
    for name, fetch in ("json-schemas", json_schema), ("json", json):
        if (root / name).is_dir():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            os.chmod(scratch, 0o755)
            folder = Path(scratch) / "files"
            count = fetch(folder, Path(scratch))
            root.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, root / name)
        print(f"{name}: {count} files")
    copy = os.environ.get("YAML_TEST_SUITE")
    if copy and not (root / "yaml").is_dir():
        shutil.copytree(copy, root / "yaml", ignore=shutil.ignore_patterns(".git"))
    if not (root / "yaml").is_dir():
        print("yaml: not here; YAML_TEST_SUITE names a folder with the branch 'data' of yaml-test-suite")


if __name__ == "__main__":
    main()
