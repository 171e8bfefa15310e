"""Makes an OCI image layout without any container engine: Debian's git and ssh below, the Debian package of Ensign above.

    python3 packaging/image.py ENSIGN.deb BASE.tar VERSION FOLDER

BASE.tar is what `mmdebstrap` made (packaging.mk). The same two files give the same bytes.
Image specification 1.0: https://github.com/opencontainers/image-spec (layout, manifest, config).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

UID = 10001  # Nobody's on the host, and not root's inside.


class Layout:
    """A folder of blobs, each named by its digest."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))

    def add(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def add_layer(self, tar: bytes) -> tuple[dict[str, Any], str]:
        packed = gzip.compress(tar, compresslevel=6, mtime=0)
        return self.add(
            packed, "application/vnd.oci.image.layer.v1.tar+gzip"
        ), f"sha256:{hashlib.sha256(tar).hexdigest()}"

    def add_json(self, value: Any, kind: str) -> dict[str, Any]:
        return self.add(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), kind)


def program_layer(deb: Path, base: Path, epoch: int) -> bytes:
    """The package's files, and a user to run as."""
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as layer:

        def add(entry: tarfile.TarInfo, content: bytes = b"") -> None:
            entry.mtime, entry.size = epoch, len(content)
            layer.addfile(entry, io.BytesIO(content))

        with tarfile.open(fileobj=io.BytesIO(files)) as package:
            for member in package.getmembers():
                member.name = member.name.lstrip("./")
                if member.name and not member.name.startswith(("usr/share/lintian", "usr/share/man")):
                    content = package.extractfile(member)
                    add(member, content.read() if content else b"")
        with tarfile.open(base) as below:
            # Git and ssh ask who runs them.
            for name, line in (
                ("etc/passwd", f"ensign:x:{UID}:{UID}:Ensign:/home/ensign:/usr/sbin/nologin\n"),
                ("etc/group", f"ensign:x:{UID}:\n"),
            ):
                found = below.extractfile(f"./{name}")
                assert found is not None
                add(tarfile.TarInfo(name), found.read() + line.encode())
        for name in ("home/ensign", "srv/git", "srv/fleet"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o755, UID, UID
            add(folder)
    return out.getvalue()


def main() -> int:
    deb, base, version, folder = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    created = datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    layout = Layout(folder)
    layers = [layout.add_layer(base.read_bytes()), layout.add_layer(program_layer(deb, base, epoch))]
    config = {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{UID}:{UID}",
            "Env": ["PATH=/usr/bin:/bin", "HOME=/home/ensign", "LANG=C.UTF-8"],
            "Entrypoint": ["/usr/bin/ensign"],
            "Cmd": ["--help"],
            "WorkingDir": "/srv/git",
            "Volumes": {"/srv/git": {}, "/srv/fleet": {}},
            "Labels": {"org.opencontainers.image.title": "ensign", "org.opencontainers.image.version": version},
        },
        "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in layers]},
        "history": [
            {"created": created, "created_by": "mmdebstrap"},
            {"created": created, "created_by": f"dpkg-deb --fsys-tarfile {deb.name}"},
        ],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": layout.add_json(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [layer for layer, _ in layers],
    }
    entry = layout.add_json(manifest, "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": version}
    entry["platform"] = {"architecture": architecture, "os": "linux"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}, indent=1) + "\n")
    print(f"{folder}:{version}  {entry['digest']}  {sum(layer['size'] for layer, _ in layers) >> 20} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
