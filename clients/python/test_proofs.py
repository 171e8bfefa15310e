"""Tests of what ensign.py believes with keys. Signatures are made by ssh-keygen, as Ensign's own are the same bytes."""

from __future__ import annotations

import contextlib
import copy
import datetime
import io
import json
import os
import pickle
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Iterator, Optional
from unittest import mock

import ensign
from ensign import AgentHalted, Fleet, FleetUnavailable, InvalidKeys, Unproven
from test_ensign import AGENT, VECTORS, Live, canonical, make_bundle

HALTED = {"agent": AGENT, "environment": "prod", "phase": "halted", "routes": []}


class Signer:
    """An environment's key."""

    def __init__(self, folder: Path, name: str = "key", environment: str = "prod") -> None:
        self.path, self.environment = folder / name, environment
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.path)]
        subprocess.run(command, check=True, capture_output=True)

    def line(self, namespaces: str = "git,ensign-live") -> str:
        words = Path(f"{self.path}.pub").read_text().split()
        return f'{self.environment}@ensign.invalid namespaces="{namespaces}" {words[0]} {words[1]}\n'

    def sign(self, value: dict[str, Any], entry: int) -> bytes:
        proof: dict[str, Any] = {"entry": entry}
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "ensign-live", "-f", str(self.path)]
        message = canonical({**value, "proof": proof})
        made = subprocess.run(command, input=message, check=True, capture_output=True)
        return canonical({**value, "proof": {**proof, "signature": made.stdout.decode()}})


@contextlib.contextmanager
def without_cryptography() -> Iterator[None]:
    with mock.patch.object(ensign, "_ed25519", lambda: None):
        yield


BACKENDS = [without_cryptography] + ([contextlib.nullcontext] if ensign._ed25519() is not None else [])


@unittest.skipIf(shutil.which("ssh-keygen") is None, "there is no ssh-keygen")
class ProofTests(unittest.TestCase):
    folder: Path
    signer: Signer
    other: Signer

    @classmethod
    def setUpClass(cls) -> None:
        cls.keys = tempfile.TemporaryDirectory(prefix="ensign keys ")
        cls.addClassCleanup(cls.keys.cleanup)
        cls.signer = Signer(Path(cls.keys.name))
        cls.other = Signer(Path(cls.keys.name), "other")

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="ensign proofs ")
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.live = Live(self.folder / "live")
        self.heard()
        self.digest = self.live.bundle(make_bundle())
        self.route(9)

    def heard(self, entry: int = 9, ago: float = 0, signer: Optional[Signer] = None) -> None:
        when = datetime.datetime.fromtimestamp(time.time() - ago, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        header = {"environment": "prod", "entry": {"seq": entry}, "counts": {"agents": 1}, "heard": when, "v": 1}
        self.live.write("fleet.json", (signer or self.signer).sign(header, entry))

    def value(self, weight: int = 100) -> dict[str, Any]:
        routes = [{"version": "1.4.0", "digest": self.digest, "weight": weight}]
        return {"agent": AGENT, "environment": "prod", "phase": "stable", "routes": routes}

    def route(self, entry: int, signer: Optional[Signer] = None) -> bytes:
        data = (signer or self.signer).sign(self.value(), entry)
        self.live.write(self.live.route_path(), data)
        return data

    def fleet(self, **options: Any) -> Fleet:
        return Fleet(self.live.root, **{"keys": self.signer.line(), **options})

    def test_vectors(self) -> None:
        vectors = json.loads((VECTORS / "live-proof.json").read_text(encoding="utf-8"))
        for backend in BACKENDS:
            with backend():
                keys = ensign._parse_keys(vectors["keys"].encode(), "keys")
                for case in vectors["cases"]:
                    with self.subTest(case["name"]):
                        try:
                            proven = ensign._prove(case["text"].encode(), case["file"], case["environment"], keys)
                            self.assertEqual(["proven", proven.entry], [case["verdict"], case["entry"]])
                        except ensign._Refusal as refusal:
                            self.assertEqual(refusal.code, case["verdict"], str(refusal))

    def test_what_is_signed_opens_sessions_and_what_is_not_opens_none(self) -> None:
        for backend in BACKENDS:
            with backend():
                fleet = self.fleet()
                session = fleet.session(AGENT, key="a")
                good = (self.live.root / self.live.route_path()).read_bytes()
                for bad in (
                    canonical(self.value()),
                    self.other.sign(self.value(), 10),
                    good.replace(b'"entry":9', b'"entry":10'),
                    good.replace(b'"version":"1.4.0"', b'"version":"1.4.1"'),
                ):
                    self.assertNotEqual(bad, good)
                    self.live.write(self.live.route_path(), bad)
                    for act in (lambda: fleet.session(AGENT), lambda: fleet.route(AGENT), session.raise_if_halted):
                        self.assertRaises(Unproven, act)
                    # Without keys the directory decides, as ever.
                    self.assertEqual(Fleet(self.live.root).route(AGENT).phase, "stable")
                self.live.write(self.live.route_path(), good)
                session.raise_if_halted()
                self.assertEqual(fleet.session(AGENT, key="a").digest, session.digest)

    def test_a_halt_needs_no_proof_and_with_one_takes_back_what_was_before(self) -> None:
        fleet = self.fleet()
        session = fleet.session(AGENT)
        good = (self.live.root / self.live.route_path()).read_bytes()
        for halt in (canonical(HALTED), self.other.sign(HALTED, 99), self.signer.sign(HALTED, 12)):
            self.live.write(self.live.route_path(), halt)
            self.assertEqual(fleet.route(AGENT).phase, "halted")
            self.assertRaises(AgentHalted, fleet.session, AGENT)
            self.assertRaises(AgentHalted, session.raise_if_halted)
        self.live.write(self.live.route_path(), good)
        self.assertRaises(Unproven, fleet.session, AGENT)
        self.route(13)
        fleet.session(AGENT)

    def test_an_older_route_or_header_is_refused_also_by_the_next_process(self) -> None:
        state = self.folder / "seen.json"
        older = self.route(9)
        self.fleet(state=state).session(AGENT)
        self.route(11)
        fleet = self.fleet(state=state)
        fleet.session(AGENT)
        self.live.write(self.live.route_path(), older)
        self.assertRaisesRegex(Unproven, "entry 9, and one of entry 11", fleet.session, AGENT)
        self.assertRaises(Unproven, self.fleet(state=state).session, AGENT)
        self.fleet().session(AGENT)
        # Another process has seen more than this one.
        fleet = self.fleet(state=state)
        self.route(20)
        self.fleet(state=state).session(AGENT)
        self.route(15)
        self.assertRaises(Unproven, fleet.session, AGENT)
        self.route(20)
        self.heard(12)
        fleet.session(AGENT)
        self.heard(11)
        self.assertRaisesRegex(Unproven, "fleet.json", fleet.session, AGENT)
        for damage in (b"{}", b'{"v":2,"seen":{}}', b"\xff"):
            state.write_bytes(damage)
            self.assertRaises(FleetUnavailable, self.fleet, state=state)

    def test_a_state_that_cannot_be_written_refuses(self) -> None:
        fleet = self.fleet(state=self.folder / "nowhere" / "seen.json")
        self.assertRaises(FleetUnavailable, fleet.session, AGENT)

    def test_a_host_that_was_not_heard_is_refused_where_that_is_asked_for(self) -> None:
        self.heard(ago=600)
        self.fleet().session(AGENT)
        self.assertRaisesRegex(FleetUnavailable, "last heard 60[0-9] s ago", self.fleet(max_age=300).session, AGENT)
        self.heard(ago=10)
        self.fleet(max_age=300).session(AGENT)
        self.heard(signer=self.other)
        self.assertRaises(Unproven, self.fleet().session, AGENT)
        # One who follows the ledger cannot sign: nobody who has seen a proven header takes that for the host's.
        fleet = self.fleet()
        self.live.write("fleet.json", canonical({"environment": "prod"}))
        fleet.session(AGENT)
        self.assertRaises(Unproven, self.fleet(max_age=300).session, AGENT)
        self.heard()
        fleet.session(AGENT)
        self.live.write("fleet.json", canonical({"environment": "prod"}))
        self.assertRaises(Unproven, fleet.session, AGENT)
        (self.live.root / "fleet.json").unlink()
        self.assertRaises(FleetUnavailable, self.fleet().session, AGENT)

    def test_keys_are_read_again_when_their_file_changes(self) -> None:
        keys = self.folder / "keys"
        keys.write_text(self.signer.line())
        with mock.patch.dict(os.environ, {"ENSIGN_KEYS": str(keys)}):
            fleet = Fleet(self.live.root)
        fleet.session(AGENT)
        keys.write_text(self.signer.line() + self.other.line())
        fleet.session(AGENT)
        self.route(15, self.other)
        fleet.session(AGENT)
        self.route(14)
        self.assertRaises(Unproven, fleet.session, AGENT)
        self.route(15)
        self.assertRaises(Unproven, fleet.session, AGENT)
        keys.write_text(self.other.line())
        self.heard(signer=self.other)
        self.route(16)
        self.assertRaises(Unproven, fleet.session, AGENT)
        self.route(17, self.other)
        fleet.session(AGENT)
        # A new ledger with a new key begins at 0: what was seen under a key that is gone does not count.
        keys.write_text(self.signer.line())
        self.heard(2)
        self.route(3)
        fleet.session(AGENT)
        keys.write_text("nonsense")
        self.assertRaises(InvalidKeys, fleet.session, AGENT)
        keys.unlink()
        self.assertRaises(InvalidKeys, fleet.session, AGENT)

    def test_keys_that_cannot_be_used_are_refused_at_once(self) -> None:
        line = self.signer.line()
        dev = line.replace("prod@", "dev@")
        bad = (
            "",
            "/no/such/file",
            b"",
            b"\xff",
            line + "x\n",
            self.signer.line("git"),
            line.replace("namespaces", 'valid-before="20300101",namespaces'),
            line.replace("AAAA", "AAA"),
            line.replace("prod@", "*@"),
            line + dev,
            dev.replace("dev@ensign.invalid", "somebody"),
        )
        for keys in bad:
            with self.subTest(keys):
                self.assertRaises(InvalidKeys, Fleet, self.live.root, keys=keys)
        self.assertRaises(InvalidKeys, Fleet, self.live.root, keys=dev, environment="prod")
        Fleet(self.live.root, keys=line + dev, environment="prod").session(AGENT)
        self.assertRaises(InvalidKeys, Fleet, self.live.root, state="seen")
        with without_cryptography(), mock.patch.object(shutil, "which", lambda _: None):
            self.assertRaisesRegex(InvalidKeys, "cryptography", self.fleet)

    def test_a_signature_is_checked_once_for_each_change(self) -> None:
        with mock.patch.object(ensign, "_signed", wraps=ensign._signed) as signed:
            fleet = self.fleet()
            for _ in range(5):
                fleet.session(AGENT).raise_if_halted()
            self.assertEqual(signed.call_count, 2)
            self.route(10)
            for _ in range(5):
                fleet.session(AGENT)
            self.assertEqual(signed.call_count, 3)

    def test_a_session_can_be_copied_and_kept(self) -> None:
        session = self.fleet().session(AGENT)
        for one in (copy.copy(session), pickle.loads(pickle.dumps(session))):
            one.raise_if_halted()
            self.assertEqual(one.digest, session.digest)

    def test_the_command_line_takes_keys(self) -> None:
        keys = self.folder / "keys"
        keys.write_text(self.signer.line())
        arguments = [str(self.live.root), AGENT, "--key", "a", "--keys", str(keys)]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(ensign.main(arguments), 0)
            self.live.write(self.live.route_path(), canonical(self.value()))
            self.assertEqual(ensign.main(arguments), 5)
            keys.write_text("x")
            self.assertEqual(ensign.main(arguments), 64)


if __name__ == "__main__":
    unittest.main()
