"""Tests of what docs/ci offers for a forge's CI, and of the follower in docs/kubernetes.md.

ENSIGN names the built program; without it what needs one is skipped. Run with `python3 -m unittest discover -s Tests/CI`.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
ENSIGN = os.environ.get("ENSIGN")

_spec = importlib.util.spec_from_file_location("comment", ROOT / "docs" / "ci" / "comment.py")
assert _spec is not None and _spec.loader is not None
comment = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(comment)


class TextTests(unittest.TestCase):
    def test_a_short_plan_stays_as_it_is_and_an_empty_one_says_so(self) -> None:
        self.assertEqual(comment.text("# Plan\n"), f"{comment.MARKER}\n# Plan\n")
        self.assertEqual(comment.text("\n"), f"{comment.MARKER}\nNothing would change.\n")

    def test_a_long_plan_is_cut_between_lines_and_what_it_opened_is_closed(self) -> None:
        blocks = {
            "plain": ("", "line"),
            "fence": ("```diff\n", "-a line"),
            "longer fence": ("````text\n```\n", "x"),
            "tildes": ("~~~\n", "```"),
            "details": ("<details><summary>a</summary>\n\n", "- b"),
            "both": ("<details>\n<details>\n\n```diff\n", "+<details>"),
            "wide": ("", "🙂" * 50),
        }
        for name, (before, line) in blocks.items():
            with self.subTest(name):
                body = comment.text(before + f"{line}\n" * 70_000)
                self.assertLessEqual(len(body), comment.LIMIT)
                self.assertGreater(len(body), comment.LIMIT - 500)
                self.assertTrue(body.endswith("has all of it.\n"))
                fences = [
                    each
                    for each in body.splitlines()
                    if each.startswith("````" if name == "longer fence" else "~~~" if name == "tildes" else "```")
                ]
                self.assertEqual(len(fences) % 2, 0)
                outside = re.sub(r"^(```+|~~~)\w*\n.*?^\1$", "", body, flags=re.MULTILINE | re.DOTALL)
                self.assertEqual(outside.count("<details"), outside.count("</details>"))

    def test_one_line_that_is_too_long_is_left_out(self) -> None:
        self.assertLess(len(comment.text("first\n" + "x" * 100_000)), 1_000)


class FakeForge(BaseHTTPRequestHandler):
    """The comments of one pull request, as any of the three forges keeps them."""

    comments: list[dict[str, Any]] = []
    seen: list[tuple[str, str, str]] = []

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _note(self) -> None:
        token = self.headers.get("authorization") or self.headers.get("private-token") or ""
        self.seen.append((self.command, self.path.partition("?")[0], token))

    def do_GET(self) -> None:
        self._note()
        page = int(re.search(r"[?&]page=(\d+)", self.path)[1])  # type: ignore[index]
        self._answer(self.comments[(page - 1) * 100 : page * 100])

    def do_POST(self) -> None:
        self._note()
        if self.headers.get("authorization", "").endswith("read-only"):
            return self._answer({}, 403)
        self.comments.append({"id": 1_000 + len(self.comments), **self._body()})
        self._answer({}, 201)

    def _change(self) -> None:
        self._note()
        number = int(self.path.rsplit("/", 1)[1])
        next(each for each in self.comments if each["id"] == number).update(self._body())
        self._answer({})

    do_PATCH = do_PUT = _change

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["content-length"])))


class ForgeTests(unittest.TestCase):
    def setUp(self) -> None:
        FakeForge.comments, FakeForge.seen = [{"id": n, "body": f"comment {n}"} for n in range(150)], []
        server = ThreadingHTTPServer(("127.0.0.1", 0), FakeForge)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.address = f"http://127.0.0.1:{server.server_address[1]}"
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.event = Path(folder.name) / "event.json"
        self.event.write_text(json.dumps({"pull_request": {"number": 7}}))

    def run_main(self, plan: str, **variables: str) -> tuple[int, str]:
        said = io.StringIO()
        with mock.patch.dict(os.environ, variables, clear=True), mock.patch("sys.stdin", io.StringIO(plan)):
            with redirect_stdout(said), redirect_stderr(said):
                return comment.main(), said.getvalue()

    def actions(self, **more: str) -> dict[str, str]:
        return {
            "GITHUB_EVENT_PATH": str(self.event),
            "GITHUB_API_URL": self.address,
            "GITHUB_REPOSITORY": "acme/fleet",
            **more,
        }

    def test_the_first_run_writes_and_the_next_ones_change_that_comment(self) -> None:
        gitlab = {"GITLAB_CI": "true", "CI_API_V4_URL": self.address, "CI_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "7"}
        forges = {
            "PATCH /repos/acme/fleet/issues/comments/1150 Bearer t": self.actions(GITHUB_TOKEN="t"),
            "PATCH /repos/acme/fleet/issues/comments/1150 token t": self.actions(GITHUB_TOKEN="x", FORGEJO_TOKEN="t"),
            "PUT /projects/3/merge_requests/7/notes/1150 t": {**gitlab, "GITLAB_TOKEN": "t"},
        }
        for last, variables in forges.items():
            with self.subTest(last):
                del FakeForge.comments[150:]
                self.assertEqual(self.run_main("first", **variables), (0, "comment written\n"))
                self.assertEqual(self.run_main("second", **variables), (0, "comment updated\n"))
                self.assertEqual(len(FakeForge.comments), 151)
                self.assertEqual(FakeForge.comments[-1]["body"], f"{comment.MARKER}\nsecond\n")
                self.assertEqual(" ".join(FakeForge.seen[-1]), last)

    def test_without_a_pull_request_there_is_nothing_to_do(self) -> None:
        self.event.write_text("{}")
        self.assertEqual(self.run_main("x", **self.actions(GITHUB_TOKEN="t"))[0], 0)
        self.assertEqual(self.run_main("x", GITLAB_CI="true")[0], 0)
        self.assertEqual(FakeForge.seen, [])

    def test_what_cannot_be_written_is_said_and_is_status_1(self) -> None:
        for variables, words in (
            (self.actions(GITHUB_TOKEN="read-only"), "refused the comment: 403"),
            (self.actions(), "GITHUB_TOKEN"),
            ({**self.actions(GITHUB_TOKEN="t"), "GITHUB_API_URL": "http://127.0.0.1:9"}, "cannot be reached"),
        ):
            status, said = self.run_main("x", **variables)
            self.assertEqual(status, 1)
            self.assertIn(words, said)
            self.assertNotIn("Traceback", said)


class DocumentTests(unittest.TestCase):
    """What `make test-ecosystem` plays is there, and can be read without any package."""

    def setUp(self) -> None:
        sys.path.insert(0, str(ROOT / "Tests" / "Ecosystem"))
        self.addCleanup(sys.path.pop, 0)

    def test_all_that_is_released_has_one_version(self) -> None:
        found = {}
        for path, pattern in (
            ("Sources/EnsignCommandLine/Product.swift", r'static let version = "(.*)"'),
            ("clients/python/ensign.py", r'^__version__ = "(.*)"'),
            ("clients/javascript/ensign.mjs", r'^export const version = "(.*)"'),
            ("clients/javascript/package.json", r'"version": "(.*)"'),
        ):
            match = re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
            found[path] = match and match[1]
        self.assertEqual(len(set(found.values())), 1, found)

    def test_every_pair_has_its_lines_its_row_its_packages_and_its_fixture(self) -> None:
        import document
        from pairs import PAIRS

        lines, rows = (
            document.lines(),
            re.findall(
                r"^\|[^|]*\| `([a-z-]+)` \|",
                document.PAGE.read_text(encoding="utf-8").partition("These pairs")[2].partition("| attribute")[0],
                re.M,
            ),
        )
        self.assertEqual(set(PAIRS) - {"plain"}, set(rows))
        self.assertLessEqual(set(document.setups()), set(rows))
        for name, pair in PAIRS.items():
            with self.subTest(name):
                self.assertIn(pair.framework, lines)
                for path in (
                    f"Ecosystem/requirements/{pair.packages}.txt",
                    f"Ecosystem/frameworks/{pair.framework.replace('-', '_')}.py",
                ):
                    self.assertTrue((ROOT / "Tests" / path).exists(), path)
                for ending in ("json", "jsonl"):
                    self.assertTrue((ROOT / "Tests" / "Fixtures" / "spans" / f"{name}.{ending}").exists())
        for name, code in [
            *lines.items(),
            *((name, line) for name, each in document.setups().items() for line in each),
        ]:
            compile(code, name, "exec")
        for path in (ROOT / "Tests" / "Ecosystem" / "requirements").glob("*.txt"):
            for line in path.read_text().splitlines():
                self.assertRegex(line, r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+$", path.name)


def run(*command: object, folder: Path, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
    everything = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", **variables}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=everything, capture_output=True, encoding="utf-8")
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


@unittest.skipIf(ENSIGN is None, "ENSIGN names no program")
class RealTests(unittest.TestCase):
    """With the built program, on a copy of the sample: a forge is a bare repository."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="ensign-ci-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "ensign").symlink_to(os.path.abspath(ENSIGN or ""))
        self.path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        self.forge, self.work, self.host = (self.folder / name for name in ("forge.git", "work", "host.git"))
        run("git", "init", "-q", "--bare", "-b", "main", self.forge, folder=self.folder)
        run("git", "clone", "-q", self.forge, self.work, folder=self.folder)
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.com")
        for part in ("fleet", "environments"):
            run("cp", "-r", ROOT / part, self.work, folder=self.folder)
        self.commit("the sample")
        self.git("push", "-q", "origin", "HEAD:main")
        run("git", "clone", "-q", "--bare", self.forge, self.host, folder=self.folder)
        for name, value in (("ensign.remote", "origin"), ("ensign.environments", "prod")):
            run("git", "config", name, value, folder=self.host)
        run("ensign", "init", folder=self.host, PATH=self.path)

    def git(self, *arguments: object) -> str:
        return run("git", *arguments, folder=self.work).stdout

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def edit(self, path: str, before: str, after: str) -> None:
        place = self.work / path
        text = place.read_text(encoding="utf-8")
        self.assertIn(before, text)
        place.write_text(text.replace(before, after), encoding="utf-8")

    def ci(self) -> subprocess.CompletedProcess[str]:
        return run(
            "sh", ROOT / "docs" / "ci" / "check.sh", "origin/main", folder=self.work, check=False, PATH=self.path
        )

    def test_the_check_lets_a_good_change_pass_and_shows_the_plan(self) -> None:
        run("ensign", "reconcile", "--env", "prod", folder=self.host, PATH=self.path)
        self.git("fetch", "-q", "origin")
        self.edit("environments/prod/agents/support/refund-triage.yaml", "maximum: 100", "maximum: 150")
        self.commit("more")
        done = self.ci()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        plan = (self.work / "plan.md").read_text(encoding="utf-8")
        self.assertIn("support/refund-triage", plan)
        self.assertIn("entry", plan)  # It compares with the ledger, which the host pushed here.
        sarif = json.loads((self.work / "ensign.sarif").read_text(encoding="utf-8"))
        self.assertEqual((sarif["version"], sarif["runs"][0]["results"]), ("2.1.0", []))

    def test_the_check_refuses_what_is_invalid_and_a_released_version_that_changes(self) -> None:
        self.edit("environments/prod/agents/support/refund-triage.yaml", "autonomy: full", "autonomy: fool")
        self.commit("a slip")
        self.assertEqual(self.ci().returncode, 3)
        sarif = json.loads((self.work / "ensign.sarif").read_text(encoding="utf-8"))
        (result,) = sarif["runs"][0]["results"]
        place = result["locations"][0]["physicalLocation"]
        self.assertEqual(place["artifactLocation"]["uri"], "environments/prod/agents/support/refund-triage.yaml")
        self.assertEqual((result["level"], place["region"]["startLine"]), ("error", 5))
        self.git("reset", "-q", "--hard", "origin/main")
        self.edit("fleet/tools/crm/2.1.0.yaml", "description:", "description: Another one;")
        self.commit("a frozen version")
        self.assertIn(self.ci().returncode, (3, 4))

    def test_the_check_refuses_a_version_that_has_not_soaked_as_the_host_does(self) -> None:
        run("git", "config", "ensign.environments", "dev staging prod", folder=self.host)
        self.edit("environments/prod/environment.yaml", "promotesFrom: staging\n", "promotesFrom: staging\n  soak: 1h\n")
        self.commit("a soak")
        self.git("push", "-q", "origin", "HEAD:main")
        for name in ("dev", "staging", "prod"):
            run("ensign", "reconcile", "--env", name, folder=self.host, PATH=self.path)
        self.git("fetch", "-q", "origin")
        self.edit("environments/prod/agents/support/refund-triage.yaml", "version: 1.4.0", "version: 1.5.0")
        self.commit("too early")
        done = self.ci()
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("soak until", done.stderr)
        self.assertIn("main: refused: support/refund-triage 1.5.0 is not proven", done.stderr)
        # The plans are against what is live, not against the branch.
        self.assertNotIn("7 to create", done.stderr)
        # Where the order alone is asked for, the same change has it.
        self.git("reset", "-q", "--hard", "origin/main")
        self.edit("environments/prod/environment.yaml", "soak: 1h", "soak: 0s")
        self.commit("no soak")
        self.git("push", "-q", "origin", "HEAD:main")
        run("ensign", "reconcile", "--env", "prod", folder=self.host, PATH=self.path)
        self.git("fetch", "-q", "origin")
        self.edit("environments/prod/agents/support/refund-triage.yaml", "version: 1.4.0", "version: 1.5.0")
        self.commit("proven")
        done = self.ci()
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_probe_of_the_page_tells_a_host_that_reconciles_from_one_that_does_not(self) -> None:
        page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
        block = page.partition("- >-\n")[2].partition("initialDelaySeconds")[0]
        probe = " ".join(line.strip() for line in block.splitlines()).replace("/srv/git/fleet.git", str(self.host))
        self.assertNotEqual(run("sh", "-c", probe, folder=self.folder, check=False, PATH=self.path).returncode, 0)
        run("ensign", "reconcile", "--env", "prod", folder=self.host, PATH=self.path)
        run("sh", "-c", probe, folder=self.folder, PATH=self.path)
        late = probe.replace("-lt 300", "-lt 0")
        self.assertNotEqual(run("sh", "-c", late, folder=self.folder, check=False, PATH=self.path).returncode, 0)

    def test_the_follower_of_the_page_follows_changes_and_halts(self) -> None:
        page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
        script = textwrap.dedent(
            page.partition("- name: follow\n")[2].partition("args:\n")[2].partition("- |\n")[2].partition("```")[0]
        )
        follow = self.folder / "follow"
        follow.mkdir()
        for before, after in (
            ("/follow", str(follow)),
            ("/etc/ensign/allowed_signers", f"{self.folder}/signers"),
            ("sleep 5", "sleep 0.2"),
        ):
            self.assertIn(before, script)
            script = script.replace(before, after)
        run("ensign", "reconcile", "--env", "prod", folder=self.host, PATH=self.path)
        signers = run("ensign", "keys", "--env", "prod", folder=self.host, PATH=self.path).stdout
        (self.folder / "signers").write_text(signers)
        variables = {**os.environ, "FORGE": str(self.forge), "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": self.path}
        errors = self.folder / "errors"
        with open(errors, "w") as file:
            follower = subprocess.Popen(
                ["sh", "-euc", script], env=variables, stdout=file, stderr=file, start_new_session=True
            )
        self.addCleanup(lambda: (os.killpg(follower.pid, signal.SIGTERM), follower.wait()))
        sys.path.insert(0, str(ROOT / "clients" / "python"))
        import ensign

        def version(agent: str = "support/refund-triage") -> str:
            try:
                return ensign.Fleet(follow / "live").session(agent, key="k").version
            except ensign.EnsignError as problem:
                return type(problem).__name__

        def becomes(wanted: str) -> None:
            deadline = time.monotonic() + 30
            while version() != wanted:
                self.assertIsNone(follower.poll(), errors.read_text())
                self.assertLess(time.monotonic(), deadline, f"{version()}, not {wanted}; {errors.read_text()}")
                time.sleep(0.1)

        becomes("1.4.0")
        run(
            "ensign",
            "halt",
            "support/refund-triage",
            "--env",
            "prod",
            "--reason",
            "a test",
            folder=self.host,
            PATH=self.path,
        )
        run("ensign", "reconcile", "--env", "prod", folder=self.host, PATH=self.path)
        becomes("AgentHalted")
        (follow / "current").write_text("")
        (self.folder / "signers").write_text("")
        becomes("AgentHalted")


if __name__ == "__main__":
    unittest.main()
