"""What Ensign is compared with, as far as it has to be built or installed first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from measure import HERE, ROOT, Broken, Machine, note


def compile_scanner(machine: Machine) -> str:
    program = machine.work / "yamlscan"
    source = str(HERE / "yamlscan.c")
    if program.exists() and program.stat().st_mtime > (HERE / "yamlscan.c").stat().st_mtime:
        return str(program)
    backends = ROOT / "Sources" / "CGit2"
    # Linked like ensign itself, libgit2 without its network: the same start-up on both sides.
    static = [
        "cc", "-O2", "-o", str(program), source, str(backends / "backends.c"), f"-I{backends / 'include'}",
        "-l:libgit2.a", "-l:libyaml.a", "-l:libpcre2-8.a", "-lz", "-l:libmbedcrypto.a", "-l:libhttp_parser.a",
        "-lpthread",
    ]
    dynamic = ["cc", "-O2", "-o", str(program), source, "-lgit2", "-lyaml"]
    try:
        machine.output(static)
    except Broken:
        note("yamlscan is linked dynamically: about 10 ms of its time are libgit2's start-up")
        machine.output(dynamic)
    return str(program)


def install_check_jsonschema(machine: Machine) -> str | None:
    folder = machine.work / "venv"
    tool = folder / "bin" / "check-jsonschema"
    if not tool.exists():
        note("installing check-jsonschema ...")
        environment = {**machine.users, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        try:
            for command in (
                [sys.executable, "-m", "venv", str(folder)],
                [str(folder / "bin" / "pip"), "install", "--quiet", "check-jsonschema"],
            ):
                subprocess.run(command, check=True, env=environment, timeout=300, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError) as error:
            note(f"no check-jsonschema: {error}")
            return None
    return str(tool) if tool.exists() else None


def signing_key(machine: Machine) -> Path:
    key = machine.work / "signing-key"
    if not key.exists():
        machine.output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(key)])
    return key
