"""Makes a wheel of the release binary, so that `pip install` brings `ensign`.

    python3 packaging/wheel.py BINARY VERSION FOLDER

The same sources give the same bytes: all times are that of the newest commit (SOURCE_DATE_EPOCH).
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "ensign_cli"


def main() -> int:
    binary, version, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or text("git", "-C", str(ROOT), "log", "-1", "--format=%ct")
    # Zip cannot say a time before 1980.
    moment = time.gmtime(max(int(epoch), 315_532_800))[:6]
    with tempfile.TemporaryDirectory() as scratch:
        stripped = Path(scratch) / "ensign"
        subprocess.run(["strip", "--strip-unneeded", "-o", stripped, binary], check=True)
        program = stripped.read_bytes()
    symbols = re.findall(r"GLIBC_2\.(\d+)", text("objdump", "-T", str(binary)))
    tag = f"py3-none-manylinux_2_{max(map(int, symbols))}_{platform.machine()}"
    info = f"{NAME}-{version}.dist-info"
    data = f"{NAME}-{version}.data"
    metadata = f"""Metadata-Version: 2.4
Name: ensign-cli
Version: {version}
Summary: GitOps for fleets of AI agents
License-Expression: Apache-2.0
License-File: LICENSE
Requires-Python: >=3.7
Description-Content-Type: text/markdown

{(ROOT / "README.md").read_text(encoding="utf-8")}"""
    wheel = f"Wheel-Version: 1.0\nGenerator: ensign\nRoot-Is-Purelib: false\nTag: {tag}\n"
    files: dict[str, tuple[bytes, int]] = {
        f"{data}/scripts/ensign": (program, 0o755),
        f"{data}/data/share/bash-completion/completions/ensign": (
            text(str(binary), "completion", "bash").encode(),
            0o644,
        ),
        f"{data}/data/share/zsh/site-functions/_ensign": (text(str(binary), "completion", "zsh").encode(), 0o644),
        f"{info}/METADATA": (metadata.encode(), 0o644),
        f"{info}/WHEEL": (wheel.encode(), 0o644),
        f"{info}/licenses/LICENSE": ((ROOT / "LICENSE").read_bytes(), 0o644),
    }
    record = "".join(f"{name},sha256={digest(content)},{len(content)}\n" for name, (content, _) in files.items())
    files[f"{info}/RECORD"] = (f"{record}{info}/RECORD,,\n".encode(), 0o644)
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{NAME}-{version}-{tag}.whl"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (content, mode) in files.items():
            entry = zipfile.ZipInfo(name, moment)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    print(out)
    return 0


def text(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    sys.exit(main())
