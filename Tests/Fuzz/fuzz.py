#!/usr/bin/env python3
"""Fuzzes each parser with libFuzzer and AddressSanitizer, for so long.

    fuzz.py [--seconds 60] [--jobs 1] [--folder .build/fuzzed] [PARSER ...]

FUZZER names the program that `make fuzz` builds, ENSIGN the usual one, which makes some of the seeds. What is new is kept in
FOLDER/corpus/PARSER and tried first the next time; what fails is in FOLDER/found. Without PARSER all are fuzzed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FUZZER = os.path.abspath(os.environ.get("FUZZER", ROOT / ".build/fuzz/release/ensign-fuzz"))

sys.path.insert(0, str(ROOT / "Tests/Prove"))
from hosts import ENSIGN, Host, scratch  # noqa: E402
from scenes import SCENES, template  # noqa: E402

PARSERS = [
    "yaml", "manifests", "rules", "gateway-file", "json", "schemas", "commits", "trees", "signatures", "signers", "entries",
    "states", "live", "otlp", "checkpoints", "messages", "gateway-records", "foreign",
]
# The longest input, in bytes: what is longer only takes longer.
MOST = {"otlp": 16_384, "checkpoints": 16_384, "live": 8_192, "entries": 8_192}
KINDS = {"agents": "a", "tools": "t", "roles": "r", "teams": "m", "prices.yaml": "p"}


class Seeds:
    """Inputs to start from, of the project's own files and of a host that has been used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, parser: str, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        if not data or len(data) > MOST.get(parser, 4_096):
            return
        folder = self.folder / parser
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)

    def make(self) -> None:
        self.manifests()
        self.telemetry()
        self.vectors()
        place = scratch("ensign-seeds-")
        try:
            for scene in SCENES:
                if scene.name in ("reconcile", "repair", "rollout abort", "halt --all", "canary step", "keys --rotate"):
                    template(scene, place)
                    self.host(Host(place / "whole"))
        finally:
            rmtree(place, ignore_errors=True)
        for text in SCHEMAS:
            self.add("schemas", text)
        for text in MESSAGES:
            self.add("messages", text)
        for text in STREAMS:
            self.add("messages", text)
        for text in SIGNERS:
            self.add("signers", text)
        for text in RECORDS:
            self.add("gateway-records", text)
        for text in CHECKPOINTS:
            self.add("checkpoints", text)
        self.add("gateway-file", GATEWAY)
        self.add("foreign", OPENAPI)
        for parser in PARSERS:
            self.add(parser, "{}")

    def manifests(self) -> None:
        for path in [*ROOT.glob("fleet/**/*.yaml"), *ROOT.glob("environments/**/*.yaml")]:
            parts = path.relative_to(ROOT).parts
            text = path.read_text(encoding="utf-8")
            self.add("yaml", text)
            if parts[-1] == "environment.yaml":
                self.add("rules", text)
            elif parts[0] == "fleet":
                self.add("manifests", KINDS.get(parts[1], "d") + text)
            else:
                self.add("manifests", ("b" if parts[2] == "tools" else "d") + text)
        for path in ROOT.glob("docs/**/*.md"):
            for block in re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.S):
                for parser in ("yaml", "rules", "gateway-file"):
                    self.add(parser, block)
                self.add("manifests", "d" + block)
            for block in re.findall(r"```json\n(.*?)```", path.read_text(encoding="utf-8"), re.S):
                for parser in ("json", "entries", "states", "live", "checkpoints", "gateway-records"):
                    self.add(parser, block)

    def telemetry(self) -> None:
        for path in [*ROOT.glob("Tests/Fixtures/spans/*.jsonl"), *ROOT.glob("Tests/EnsignTelemetryTests/Golden/*.jsonl")]:
            for line in path.read_bytes().splitlines():
                self.add("otlp", line)

    def vectors(self) -> None:
        for path in [*ROOT.glob("Tests/Vectors/*.json"), *ROOT.glob("Tests/*/Golden/*.json")]:
            self.texts(json.loads(path.read_text(encoding="utf-8")))

    def texts(self, value: object) -> None:
        """Whatever a file of vectors holds, whole and as text."""
        self.add("json", json.dumps(value))
        if isinstance(value, dict):
            for each in value.values():
                self.texts(each)
        elif isinstance(value, list):
            for each in value[:50]:
                self.texts(each)
        elif isinstance(value, str) and len(value) > 20:
            for parser in ("live", "signatures", "signers", "gateway-records"):
                self.add(parser, value)

    def host(self, host: Host) -> None:
        """All objects of a ledger, what is live, and the files beside it."""
        names = host.git("cat-file", "--batch-check", "--batch-all-objects", at=host.bare).splitlines()
        for name, kind, _ in map(str.split, names):
            data = subprocess.run(["git", "cat-file", kind, name], cwd=host.bare, capture_output=True, check=True).stdout
            if kind == "commit":
                self.add("commits", data)
                if b"gpgsig " in data:
                    signature = data.split(b"gpgsig ", 1)[1].split(b"-----END SSH SIGNATURE-----")[0]
                    self.add("signatures", signature.replace(b"\n ", b"\n") + b"-----END SSH SIGNATURE-----\n")
            elif kind == "tree":
                self.add("trees", data)
            else:
                for parser in ("entries", "states", "json", "checkpoints", "live"):
                    self.add(parser, data)
        for path in (host.bare / "ensign").rglob("*"):
            if path.is_file() and not path.is_symlink() and path.suffix in (".json", ".jsonl", ""):
                for parser in ("live", "states", "checkpoints", "json"):
                    self.add(parser, path.read_bytes())
        self.add("signers", host.ensign("keys").output)


@dataclass
class Report:
    parser: str
    runs: int
    seconds: float
    coverage: int
    corpus: int
    status: int
    found: list[str]


def fuzz(parser: str, seconds: int, folder: Path) -> Report:
    corpus, found = folder / "corpus" / parser, folder / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    words = [
        FUZZER, f"-max_total_time={seconds}", "-rss_limit_mb=3000", "-timeout=20", f"-max_len={MOST.get(parser, 4_096)}",
        "-print_final_stats=1", "-use_value_profile=0", f"-artifact_prefix={found}/{parser}-", str(corpus),
        str(folder / "seeds" / parser),
    ]
    dictionary = dictionary_of(parser, folder)
    if dictionary:
        words.insert(1, f"-dict={dictionary}")
    options = "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1"
    more = {"ENSIGN_FUZZ_PARSER": parser, "ASAN_OPTIONS": options, "SWIFT_BACKTRACE": "enable=no"}
    start = time.monotonic()
    done = subprocess.run(words, env={**os.environ, **more}, capture_output=True, check=False)
    text = done.stderr.decode(errors="replace")
    (folder / f"{parser}.log").write_text(text[-200_000:])
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
    covered = re.findall(r" cov: (\d+)", text)
    return Report(
        parser, int(runs[1]) if runs else 0, time.monotonic() - start, int(covered[-1]) if covered else 0,
        len(list(corpus.iterdir())), done.returncode, re.findall(r"Test unit written to (\S+)", text),
    )


def is_blind() -> bool:
    """Whether the fuzzer sees nothing of the parsers: then it only guesses, and finds nothing."""
    more = {"ENSIGN_FUZZ_PARSER": "commits", "SWIFT_BACKTRACE": "enable=no"}
    done = subprocess.run([FUZZER, "-runs=1"], env={**os.environ, **more}, capture_output=True, check=False)
    return re.search(rb" cov: [1-9]", done.stderr) is None


def dictionary_of(parser: str, folder: Path) -> Path | None:
    """Words of the seeds: keys and values that no byte by byte change finds."""
    words = set()
    for path in (folder / "seeds" / parser).glob("*"):
        words |= set(re.findall(rb"[A-Za-z_$][A-Za-z0-9_.:/-]{2,30}", path.read_bytes()))
    if parser in ("commits", "trees") or not words:
        return None
    file = folder / f"{parser}.dict"
    file.write_text("".join(f'"{word.decode()}"\n' for word in sorted(words)[:2_000]))
    return file


GATEWAY = (ROOT / "docs/gateway-file.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]

SCHEMAS = [
    '{"type":"object","required":["a"],"properties":{"a":{"type":"number","maximum":5}},"additionalProperties":false}\n'
    '{"a":4}\n{"a":6}\n{}',
    '{"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"x":{"type":"string","pattern":"^a+(b|c)?$",'
    '"minLength":1}},"prefixItems":[{"$ref":"#/$defs/x"}],"items":{"enum":[1,"a",null]}}\n["aab",1,"a"]\n["z"]',
    '{"allOf":[{"not":{"const":3}},{"anyOf":[{"multipleOf":2},{"minimum":0.5}]}],"oneOf":[true,false],"if":true,"then":{},'
    '"else":false}\n3\n4\n0.25',
    '{"definitions":{"x":{"items":{"$ref":"#/definitions/x"},"uniqueItems":true,"contains":{"type":"null"}}},'
    '"$ref":"#/definitions/x","dependentRequired":{"a":["b"]},"patternProperties":{"^x":{"type":"integer"}},'
    '"propertyNames":{"maxLength":3}}\n[[],[null]]\n{"x1":1}',
]

MESSAGES = [
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    '"clientInfo":{"name":"a","version":"1"}}}\n{"jsonrpc":"2.0","method":"notifications/initialized"}',
    '{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"payments__refund","arguments":{"amount":50},'
    '"_meta":{"progressToken":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}',
    '{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"a"}}\n{"jsonrpc":"2.0","id":2,"result":{}}\n[]',
    '{"ensign":"hello","v":1,"agent":"support/triage","run":"r1"}',
]
STREAMS = ["event: message\ndata: {}\n\n", ": ping\r\nid: 1\r\ndata: a\r\ndata: b\r\n\r\n", "data: x\r\rretry: 10\n\n"]
SIGNERS = [
    'ada@example.com,*@ops.example.com namespaces="git,ensign-*",valid-after="20260101Z",valid-before="20270101120000Z" '
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH9FmB2eQEXJ9u6l+r+z0GduL2r+KF2FRuiv4w3jTj58 a comment\n",
    "# nobody\n\n!bo@example.com cert-authority ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH9FmB2eQEXJ9u6l+r+z0GduL2r+KF2FRuiv4w3jTj58\r\n",
    '"a b" sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIH9FmB2eQEXJ9u6l+r+z0GduL2r+KF2FRuiv4w3jTj58AAAABHNzaDo=\n',
]
RECORDS = [
    '{"keys":[{"kty":"RSA","alg":"RS256","kid":"a","e":"AQAB","n":"' + "u1" * 170 + '"},{"kty":"OKP","crv":"Ed25519",'
    '"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"EC","crv":"P-256","x":"' + "A" * 43 + '","y":"' + "A" * 43 + '"}]}',
    '{"environment":"prod","seq":4,"digest":"sha256:' + "a" * 64 + '","time":"2026-11-21T09:00:00Z","signature":"","v":1}',
    '{"mac":"a","prev":null,"seq":1,"v":1}',
]
CHECKPOINTS = [
    '{"v":1,"agents":[{"agent":"support/triage","tripped":false,"latest":1,"denied":[1],"unknown":[],"spent":[[1,0.5]],'
    '"calls":[["t","ff",[1,2]]],"since":1}]}',
    '{"v":1,"files":[],"retired":[],"horizons":[[null,0,1]]}',
    '{"v":1,"environment":"prod","seen":"","dues":[[1,"0af7651916cd43dd8448eb211c80319c","00f067aa0ba902b7"]],"traces":[],'
    '"rejections":{}}',
    "[]",
]
OPENAPI = (
    '{"openapi":"3.0.3","info":{"title":"a","version":"1"},"servers":[{"url":"https://example.com"}],"paths":{"/a/{id}":'
    '{"get":{"operationId":"getA","parameters":[{"name":"id","in":"path","required":true,"schema":{"$ref":'
    '"#/components/schemas/x"}}],"responses":{"200":{"content":{"application/json":{"schema":{"type":"string"}}}}}}}},'
    '"components":{"schemas":{"x":{"type":"integer","nullable":true,"exclusiveMinimum":true,"minimum":0}}}}'
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help=" ".join(PARSERS))
    parser.add_argument("--seconds", type=int, default=60, help="for each parser")
    parser.add_argument("--jobs", type=int, default=1, help="how many parsers at a time")
    parser.add_argument("--folder", type=Path, default=ROOT / ".build/fuzzed")
    options = parser.parse_args()
    unknown = set(options.parsers) - set(PARSERS)
    if unknown:
        parser.error(f"no such parser: {' '.join(sorted(unknown))}")
    if is_blind():
        parser.exit(1, f"{FUZZER} was built without coverage: it would only guess\n")
    options.folder = options.folder.resolve()
    rmtree(options.folder / "seeds", ignore_errors=True)
    Seeds(options.folder / "seeds").make()
    print(f"fuzzing with {os.path.basename(FUZZER)}, seeds by {os.path.basename(ENSIGN)}: {options.seconds} s each", flush=True)
    failed = False
    with ThreadPoolExecutor(options.jobs) as pool:
        for report in pool.map(lambda name: fuzz(name, options.seconds, options.folder), options.parsers or PARSERS):
            failed |= report.status != 0
            print(
                f"{report.parser:16} {report.runs:>12,} inputs in {report.seconds:5.0f} s, {report.coverage:>6} edges, "
                f"corpus {report.corpus:>5}"
                + (f"  FAILED ({report.status}): {', '.join(report.found) or 'see its log'}" if report.status else ""),
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
