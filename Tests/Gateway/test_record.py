"""The decision log: it is whole, it says so, and it tells nothing that it should not.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import time
import unittest
from typing import Any

from clients import Client, Serving, reason, words
from world import GATEWAY, ROOT, Case, World


class RecordTests(Case):
    def logged(self) -> World:
        world = self.world()
        with Client(world, "--run", "r1") as client:
            for amount in (10, 20, 4000):
                client.call("payments__refund", {"payment": "p", "amount": amount})
        world.gateway("verify")
        return world

    def file(self, world: World) -> Any:
        (file,) = [f for f in (world.state / "log").iterdir() if f.name[:2] == "20"]
        return file

    def test_a_line_that_was_flipped_removed_moved_or_cut_is_named(self) -> None:
        world = self.logged()
        file = self.file(world)
        whole = file.read_text()
        lines = whole.splitlines(keepends=True)
        edits = {
            "flipped": [lines[0], lines[1].replace("refund", "lookup"), *lines[2:]],
            "removed": lines[:2] + lines[3:],
            "moved": [lines[0], lines[2], lines[1], *lines[3:]],
        }
        for name, edited in edits.items():
            file.write_text("".join(edited))
            self.assertIn(file.name, world.gateway("verify", wanted=5), name)
        file.write_text("".join(lines[:2]))
        self.assertIn("it was cut" if len(lines) > 2 else "", world.gateway("verify", wanted=None))
        file.write_text(whole)
        world.gateway("verify")
        # Files by themselves, and two of them: the chain, and the heads with the public key.
        one, two = world.folder / "one.jsonl", world.folder / "two.jsonl"
        one.write_text("".join(lines[:3]))
        two.write_text("".join(lines[3:]))
        heads, key = world.state / "log/heads.jsonl", world.state / "gateway.pub"
        options = ["--heads", str(heads), "--key", str(key)]
        world.run([GATEWAY, "verify", str(one), str(two), *options])
        world.run([GATEWAY, "verify", str(two), str(one), *options], wanted=5)
        world.run([GATEWAY, "replay", str(one), str(two), "--live", str(world.live)])
        # A copy may have been cut at its end: only heads say that it was not.
        for words_, isProven in (
            (["verify", str(one)], False),
            (["verify", str(one), str(two), "--heads", str(heads)], True),
            (["verify"], True),
        ):
            self.assertEqual("nothing proves" not in world.gateway(*words_), isProven, words_)
            said = json.loads(world.gateway(*words_, "-o", "json"))
            self.assertEqual((said["verdict"], "unproven" not in said), ("whole", isProven), words_)
        self.assertIn("nothing proves", world.run([GATEWAY, "verify", str(one)]))

    def test_one_decision_and_one_run_can_be_asked_for(self) -> None:
        world = self.logged()
        with Client(world, "--run", "r2") as client:
            client.call("payments__refund", {"payment": "p", "amount": 30})

        def asked(*options: str) -> list[Any]:
            return list(json.loads(world.gateway("log", *options, "-o", "json"))["entries"])

        (intent, outcome) = asked("--run", "r2")
        self.assertEqual((intent["kind"], outcome["kind"], outcome["intent"]), ("intent", "outcome", intent["seq"]))
        self.assertEqual(asked("--seq", str(intent["seq"])), [intent, outcome])
        self.assertEqual(asked("--seq", str(intent["seq"]), "--refused"), [])
        self.assertEqual(asked("--run", "r3"), [])
        self.assertEqual(len(asked("--run", "r1", "--refused")), 1)
        self.assertIn("'x' is none", world.failing("log", "--seq", "x", wanted=64))

    def test_a_log_that_was_cut_with_its_heads_is_named_by_a_head_that_was_kept_elsewhere(self) -> None:
        world = self.world()
        keeper, kept = world.folder / "keep", world.folder / "kept.jsonl"
        keeper.write_text(f"#!/bin/sh\ncat >> {kept}\n")
        keeper.chmod(0o755)
        world.configure(anchors=[[str(keeper)]])
        with Client(world) as client:
            client.call("payments__refund", {"payment": "p", "amount": 10})
        world.gateway("verify", "--heads", str(kept))
        file = self.file(world)
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:1]))
        heads = world.state / "log/heads.jsonl"
        heads.write_text(heads.read_text().splitlines(keepends=True)[0])
        world.gateway("verify")
        self.assertIn("it was cut", world.gateway("verify", "--heads", str(kept), wanted=5))

    def test_the_commands_of_the_page_check_a_head_and_tie_it_to_its_line(self) -> None:
        world = self.logged()
        page = (ROOT / "docs" / "formats" / "decision-log.md").read_text(encoding="utf-8").partition("## Heads")[2]
        script = "\n".join(line[2:] for line in page.splitlines() if line.startswith("$ "))
        folder = world.folder / "own"

        def said() -> list[str]:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            environment = {**world.environment, "state": str(world.state)}
            done = subprocess.run(
                ["sh", "-euc", script], cwd=folder, env=environment, capture_output=True, encoding="utf-8"
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            return [line.partition(" ")[0] for line in done.stdout.splitlines()]

        good, digest, line, previous, before = said()
        self.assertEqual((good, digest, previous), ("Good", f"sha256:{line}", f"sha256:{before}"))
        # Also where a day is compressed, and where the line is another one.
        file = self.file(world)
        whole = file.read_text()
        file.write_text(whole.replace("refund", "lookup"))
        good, digest, line, previous, before = said()
        self.assertEqual(good, "Good")
        self.assertNotEqual(digest, f"sha256:{line}")
        file.write_text(whole)
        subprocess.run(["gzip", str(file)], check=True)
        good, digest, line, previous, before = said()
        self.assertEqual((digest, previous), (f"sha256:{line}", f"sha256:{before}"))

    def test_with_a_full_disk_what_only_reads_goes_on_and_the_rest_is_refused(self) -> None:
        world = self.world()
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
        full = ["prlimit", f"--fsize={self.file(world).stat().st_size}", "--"]
        with Client(world, under=full) as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            self.assertEqual(reason(client.call("payments__refund", {"payment": "p", "amount": 10})), "unavailable")
        self.assertEqual([call["name"] for call in world.calls()], ["lookup", "lookup"])
        with Client(world) as client:
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 10})))
        world.gateway("verify")

    def test_where_somebody_holds_the_logs_lock_on_and_on_what_only_reads_goes_on_and_the_rest_is_refused_in_time(self) -> None:
        world = self.world()
        web = world.listens()
        with Serving(world):
            self.assertIsNone(reason(web.call("payments__lookup", {})))
            with (world.state / "log/newest").open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                started = time.monotonic()
                self.assertEqual(reason(web.call("payments__refund", {"payment": "p", "amount": 10})), "unavailable")
                self.assertLess(time.monotonic() - started, 25)
                started = time.monotonic()
                self.assertIsNone(reason(web.call("payments__lookup", {})))
                self.assertLess(time.monotonic() - started, 25)
            self.assertIsNone(reason(web.call("payments__refund", {"payment": "p", "amount": 10})))
        world.gateway("verify")

    def test_recorded_verdicts_follow_from_their_bundles_and_a_changed_one_does_not(self) -> None:
        world = self.logged()
        arguments = world.folder / "arguments.jsonl"
        arguments.write_text("".join(json.dumps({"payment": "p", "amount": n}) + "\n" for n in (10, 20, 4000)))
        without = json.loads(world.gateway("replay", "-o", "json"))
        self.assertEqual((without["same"], without["undecided"]["arguments"]), (0, 3))
        replayed = json.loads(world.gateway("replay", "--arguments", str(arguments), "-o", "json"))
        self.assertEqual((replayed["same"], replayed["different"]), (3, 0))
        file = self.file(world)
        file.write_text(file.read_text().replace('"reason":"arguments"', '"reason":"not-granted"'))
        self.assertIn("not-granted", world.gateway("replay", "--arguments", str(arguments), wanted=5))

    def test_a_log_that_is_named_is_replayed_with_the_secret_beside_it(self) -> None:
        world = self.logged()
        arguments = world.folder / "arguments.jsonl"
        arguments.write_text("".join(json.dumps({"payment": "p", "amount": n}) + "\n" for n in (10, 20, 4000)))
        options = ["--live", str(world.live), "--arguments", str(arguments), "-o", "json"]
        for log in (self.file(world), world.state / "log"):
            replayed = json.loads(world.run([GATEWAY, "replay", str(log), *options]))
            self.assertEqual((replayed["same"], replayed["different"]), (3, 0))
        copy = world.folder / "copy.jsonl"
        copy.write_bytes(self.file(world).read_bytes())
        world.run([GATEWAY, "replay", str(copy), *options], wanted=64)
        secret = ["--secret", str(world.state / "log.key")]
        self.assertEqual(json.loads(world.run([GATEWAY, "replay", str(copy), *options, *secret]))["same"], 3)

    def test_earlier_days_are_compressed_and_removed_by_age_and_the_chain_is_whole(self) -> None:
        world = self.world()
        world.configure(keep="30d")
        names = []
        # A clock that is more than a month ahead is believed on the second day.
        for days in (0, 2, 3, 40, 41):
            if days:
                world.later(86_400 * days)
            with Client(world) as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
            names.append(sorted(path.suffixes[-1] for path in (world.state / "log").iterdir() if path.name[:2] == "20"))
            world.gateway("verify")
        self.assertEqual(names, [[".jsonl"], [".gz", ".jsonl"], [".gz", ".gz", ".jsonl"], [*[".gz"] * 3, ".jsonl"], [".gz", ".jsonl"]])
        lines = world.decisions()
        self.assertEqual([line["seq"] for line in lines], list(range(lines[0]["seq"], lines[-1]["seq"] + 1)))
        self.assertGreater(lines[0]["seq"], 1)

    def test_no_line_holds_an_argument_a_key_or_a_result(self) -> None:
        world = self.world("who")
        with Client(world, "--run", "r1", "--key", "Grace-Hopper") as client:
            self.assertEqual(words(client.call("payments__refund", {"payment": "4111-1111", "amount": 41.5})), "4111-1111")
            client.call("payments__refund", {"payment": "4111-1111", "amount": 4150})
            client.call("payments__lookup", {"name": "4111-1111"})
        for file in world.state.rglob("*"):
            if file.is_file():
                for text in (b"4111-1111", b"41.5", b"4150"):
                    self.assertNotIn(text, file.read_bytes(), file)
        self.assertNotIn("Grace", self.file(world).read_text())
        intent, outcome = world.decisions()[1:3]
        self.assertEqual((outcome["intent"], outcome["outcome"]), (intent["seq"], "ok"))
        for name in ("v", "seq", "prev", "mac", "time", "environment", "agent", "version", "bundle", "entry", "run", "trace"):
            self.assertIn(name, intent)
        self.assertEqual((intent["run"], intent["runFrom"]), ("r1", "option"))
        self.assertTrue(intent["key"].startswith("hmac:"))


if __name__ == "__main__":
    unittest.main()
