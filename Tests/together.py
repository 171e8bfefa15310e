#!/usr/bin/env python3
"""Runs commands at the same time, each with a log of its own, and says what came of them.

    Tests/together.py [--logs FOLDER] NAME=COMMAND...

Shells run the commands. Ends with 1 when one of them failed; what failed is said last.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

# What tests print of what failed: Swift Testing, unittest, the compiler.
FAILED = re.compile(r"✘|FAIL:|ERROR:|Error:|error:|warning:")
MOST = 60


def run(name: str, command: str, log: Path, failures: list[str]) -> None:
    start = time.monotonic()
    with log.open("wb") as output:
        status = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False).returncode
    took = f"{time.monotonic() - start:.0f} s"
    if status == 0:
        print(f"{name}: ok in {took}", flush=True)
        return
    print(f"{name}: failed with {status} in {took}: {log}", flush=True)
    failures.append(name)


def told(log: Path) -> str:
    """What a log says of the failure: lines that name one, else its end."""
    lines = log.read_text(errors="replace").splitlines()
    named = [line for line in lines if FAILED.search(line)]
    return "\n".join((named or lines)[-MOST:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=Path, default=Path(".build/logs"))
    parser.add_argument("commands", nargs="+", metavar="NAME=COMMAND")
    given = parser.parse_args()
    given.logs.mkdir(parents=True, exist_ok=True)
    commands = [command.split("=", 1) for command in given.commands]
    failures: list[str] = []
    threads = [
        threading.Thread(target=run, args=(name, command, given.logs / f"{name}.log", failures)) for name, command in commands
    ]
    print(f"at the same time: {', '.join(name for name, _ in commands)}", flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in failures:
        print(f"\n{name}:\n{told(given.logs / f'{name}.log')}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
