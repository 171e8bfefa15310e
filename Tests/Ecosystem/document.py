"""Reads the lines that docs/runtimes.md tells people to write, so that they are run as they stand there.

A block of Python is run if `<!-- run: NAME -->` stands on the line before it.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runtimes.md"
_BLOCK = re.compile(r"^<!-- run: ([a-z-]+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| [^|]* \| `([a-z-]+)` \|.*\| `([^|]*)` \|$", re.MULTILINE)


def lines(page: Path = PAGE) -> dict[str, str]:
    """Returns the blocks by name."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    assert len(dict(blocks)) == len(blocks), "two blocks of one name"
    return dict(blocks)


def setups(page: Path = PAGE) -> dict[str, list[str]]:
    """Returns how each pair's instrumentation is switched on: the last column of the table of pairs."""
    return {name: code.split("; ") for name, code in _ROW.findall(page.read_text(encoding="utf-8"))}
