"""What docs/gateway.md says of the first ten minutes, word by word.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from world import ENSIGN, ROOT


def dialogues(page: str) -> tuple[str, list[str]]:
    """The commands of a page as a script, and the lines that they print, without those that say `...`."""
    commands: list[str] = []
    printed: list[str] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        lines = iter(block.splitlines())
        for line in lines:
            if not line.startswith("$ "):
                printed.append(line)
                continue
            commands.append(line[2:])
            if line.endswith("<< EOF"):
                for more in lines:
                    commands.append(more)
                    if more == "EOF":
                        break
    return "\n".join(commands) + "\n", [line for line in printed if line != "..."]


class TenMinutes(unittest.TestCase):
    def test_they_begin_with_nothing_and_print_what_the_page_says(self) -> None:
        page = (ROOT / "docs/gateway.md").read_text()
        script, wanted = dialogues(page[page.index("## Ten minutes"):page.index("## A loop for developers")])
        home = Path(tempfile.mkdtemp(prefix="ensign-gateway-"))
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n")
        programs = f"{Path(ENSIGN).resolve().parent}:" if "/" in ENSIGN else ""
        environment = {
            "HOME": str(home), "PATH": programs + os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8",
        }
        result = subprocess.run(
            ["sh"], input=script, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=120,
        )
        said = re.sub(r"\([0-9a-f]{10}\)", "(ID)", result.stdout.replace(str(home), "/home/ada")).splitlines()
        for line in wanted:
            self.assertIn(re.sub(r"\([0-9a-f]{10}\)", "(ID)", line), said, result.stdout)


if __name__ == "__main__":
    unittest.main()
