"""Makes the manual page of the program from its own help.

python3 packaging/man.py ENSIGN > ensign.1
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path


def help_of(ensign: str, *verb: str) -> str:
    return subprocess.run([ensign, "help", *verb], check=True, capture_output=True, encoding="utf-8").stdout


def roff(line: str) -> str:
    """A line as it is: what roff reads as a command or an escape is neither."""
    line = line.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\`")
    return f"\\&{line}" if line.startswith((".", "'")) else line


def literally(text: str) -> list[str]:
    return [".nf", *map(roff, text.rstrip("\n").split("\n")), ".fi"]


def main() -> int:
    ensign = sys.argv[1]
    name = Path(ensign).name
    version = subprocess.run([ensign, "version"], check=True, capture_output=True, encoding="utf-8").stdout.split()[1]
    overview = help_of(ensign)
    day = datetime.fromtimestamp(int(sys.argv[2]) if len(sys.argv) > 2 else 0, timezone.utc).strftime("%Y-%m-%d")
    verbs = re.findall(r"^  ([a-z-]+)  +\S", overview.partition("OPTIONS OF EVERY")[0], re.MULTILINE)
    page = [
        f'.TH {roff(name.upper())} 1 "{day}" "{name} {version}" "User Commands"',
        ".SH NAME",
        f"{roff(name)} \\- {roff(overview.removeprefix('OVERVIEW: ').partition(chr(10))[0])}",
        ".SH SYNOPSIS",
        f".B {roff(name)}",
        "COMMAND [ARGUMENTS] [OPTIONS]",
        ".SH DESCRIPTION",
        *literally(overview.partition("\n\n")[2]),
        ".SH COMMANDS",
    ]
    for verb in verbs:
        page += [f".SS {roff(name)} {roff(verb)}", *literally(help_of(ensign, verb))]
    page += [".SH SEE ALSO", ".BR ensign (1),", ".BR ensign\\-gateway (1),", ".BR git (1),", ".BR ssh\\-keygen (1)"]
    print("\n".join(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
