"""Plays docs/tutorial.md and compares what happens with what the page says.

    python3 docs/tools/tutorial.py ENSIGN [PAGE] [--update]

ENSIGN is the binary that `make install` puts in place here: nothing is built. PAGE is docs/tutorial.md unless given.

Each ```console block is a dialogue. A line that begins with `$ ` is a command; it goes on in the next line where it ends
with a backslash. The lines up to the next command are what it prints. All commands run in one shell that begins in this
project's folder, with a home folder of its own that is removed at the end. A line of `...` matches any number of lines,
`...` within a line matches any text. What differs from run to run (ids, digests, times, ages) is not compared, nor is
the width of columns. Whoever plays it is called ada.

Exit status: 0 when everything is as the page says, else 1 with a diff for each command that differs. --update writes what
the commands really print into the page. It keeps each `...` where the output matches, and else writes all of the output.
"""

import difflib
import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading

project = pathlib.Path(__file__).resolve().parents[2]
deadline = 300  # seconds, for all commands together

span = r"\d+ ?(?:ms|s|m|h|d)\b"
masks = [  # in this order
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?", "<time>"),
    (r"SHA256:[A-Za-z0-9+/]{43}", "<fingerprint>"),
    (r"\b[0-9a-f]{7,64}\b", "<id>"),
    (rf"\b(?:{span} )*{span} ago\b|\bjust now\b", "<age>"),
    (rf"\bin {span}(?: {span})*", "in <duration>"),
    (r"\s+", " "),
]


class Command:
    def __init__(self, text, line):
        self.text, self.line = text, line
        self.wanted = []  # what the page says that it prints
        self.printed = []


def read(page):
    """The commands of the page's dialogues. `line` is where a command's output begins, from 0."""
    commands, inside, goes_on = [], False, False
    for number, line in enumerate(page):
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and goes_on:
            commands[-1].text += "\n" + line
            commands[-1].line = number + 1
        elif inside and line.startswith("$ "):
            commands.append(Command(line[2:], number + 1))
        elif inside:
            commands[-1].wanted.append(line)
        goes_on = inside and line.endswith("\\") and not commands[-1].wanted
    return commands


def masked(line):
    for pattern, replacement in masks:
        line = re.sub(pattern, replacement, line)
    return line.rstrip()


def same(wanted, line):
    pattern = ".*".join(re.escape(part) for part in masked(wanted).split("..."))
    return re.fullmatch(pattern, masked(line)) is not None


def compare(command):
    """What the page should say, and None; or the output, and the number of the first line that does not fit."""
    wanted, printed = command.wanted, command.printed
    furthest = 0

    @functools.cache
    def fits(i, j):
        nonlocal furthest
        furthest = max(furthest, i)
        if i == len(wanted):
            return j == len(printed)
        if wanted[i] == "...":
            return fits(i + 1, j) or (j < len(printed) and fits(i, j + 1))
        return j < len(printed) and same(wanted[i], printed[j]) and fits(i + 1, j + 1)

    if not fits(0, 0):
        return printed, command.line + furthest
    renewed, j = [], 0
    for i, line in enumerate(wanted):
        if line == "...":
            while not fits(i + 1, j):
                j += 1
            renewed.append(line)
        else:
            renewed.append(line if "..." in line else printed[j])
            j += 1
    return renewed, None


def play(commands, ensign, home):
    """Runs the commands, and notes for each what it printed on either stream."""
    stand_in = home / "stand-in"
    stand_in.mkdir()
    make = f'#!/bin/sh\n[ "$1" = install ] && install -D -m 755 "{ensign}" "${{2#PREFIX=}}/bin/ensign"\n'
    (stand_in / "make").write_text(make)
    (stand_in / "make").chmod(0o755)
    (home / ".gitconfig").write_text("[user]\n\tname = Ada Example\n\temail = ada@example.com\n")
    environment = {
        "HOME": str(home), "PATH": f"{stand_in}:{os.environ['PATH']}", "TMPDIR": str(home), "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    shell = subprocess.Popen(
        ["sh"], cwd=project, env=environment, start_new_session=True, text=True, errors="replace",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    end = f"end of a command in {home}"
    alarm = threading.Timer(deadline, os.killpg, (shell.pid, signal.SIGKILL))
    alarm.start()
    try:
        for command in commands:
            shell.stdin.write(f"{{ {command.text}\n}} < /dev/null\nprintf '\\n%s\\n' '{end}'\n")
            shell.stdin.flush()
            for line in shell.stdout:
                if line == end + "\n":
                    break
                line = line.rstrip().replace(str(home), "/home/ada")
                command.printed.append(re.sub(r"\S+ \((hook|cli|watch)\)", r"ada (\1)", line))
            else:
                sys.exit(f"line {command.line}: the shell ended, or {deadline} s had passed: {command.text}")
            # The line feed before the end mark is ours.
            if command.printed[-1] == "":
                command.printed.pop()
    finally:
        alarm.cancel()
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def main(ensign, path):
    page = path.read_text().split("\n")
    commands = read(page)
    with tempfile.TemporaryDirectory(prefix="ensign-tutorial-") as folder:
        play(commands, pathlib.Path(ensign).resolve(), pathlib.Path(folder).resolve())
    reports = []
    for command in reversed(commands):  # so that line numbers stay right while the page is rewritten
        renewed, wrong = compare(command)
        if "--update" in sys.argv:
            page[command.line : command.line + len(command.wanted)] = renewed
        elif wrong is not None:
            lines = [list(map(masked, text)) for text in (command.wanted, command.printed)]
            diff = difflib.unified_diff(*lines, "the page", "what it printed", lineterm="")
            reports.append("\n".join([f"{path}:{wrong + 1}: '$ {command.text}' does not print this", *diff, ""]))
    if "--update" in sys.argv:
        path.write_text("\n".join(page))
    if reports:
        sys.exit("\n".join(reversed(reports)) + f"\n{len(reports)} of {len(commands)} commands differ")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--update"]
    if not words:
        sys.exit(__doc__)
    main(words[0], pathlib.Path(words[1]) if len(words) > 1 else project / "docs/tutorial.md")
