"""`ensign dev`: an agent through the gateway while its files are edited.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import unittest
from pathlib import Path

from clients import Client, Developing, reason
from world import AGENT, DEPLOYMENT, ENSIGN, Case, World


class DevelopingTests(Case):
    def own(self, **spec: Any) -> World:
        """A world whose operator's file has no place of its own: `ensign dev` makes them."""
        world = self.world()
        for name in ("live", "keys", "state"):
            del world.spec[name]
        world.configure(**spec)
        return world

    def test_what_is_saved_holds_at_the_next_call_and_what_is_invalid_changes_nothing(self) -> None:
        world = self.own()
        (tip,) = world.git("rev-parse", "refs/ensign/ledger/prod").split()
        with Developing(world, "--gateway", str(world.config)) as dev:
            self.assertEqual(dev.snippet(), dev.line())
            (folder,) = dev.temporary.iterdir()
            self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
            with Client(world, command=dev.snippet()) as client:
                refund = {"payment": "p1", "amount": 90}
                self.assertEqual([tool["name"] for tool in client.tools()], ["payments__lookup", "payments__refund"])
                self.assertIsNone(reason(client.call("payments__refund", refund)))
                world.replace(DEPLOYMENT, "maximum: 100", "maximum: 50")
                dev.wait_for("entry 3: support/triage 1.0.0: may call payments.refund with fewer arguments")
                self.assertEqual(reason(client.call("payments__refund", {**refund, "payment": "p2"})), "arguments")
                good = (world.repository / DEPLOYMENT).read_text()
                world.write(DEPLOYMENT, good.replace("operations: [lookup]", "operations: [lokup]"))
                dev.wait_for("entry 3 stays live")
                self.assertRegex(dev.said(), DEPLOYMENT + r":\d+:\d+: error: .*lokup")
                self.assertIsNone(reason(client.call("payments__lookup", {})))
                world.write(DEPLOYMENT, good.replace("    - {tool: payments, operations: [lookup]}\n", ""))
                dev.wait_for("entry 4: support/triage 1.0.0: may no longer call payments.lookup")
                self.assertEqual(reason(client.call("payments__lookup", {})), "not-granted")
                world.write("environments/prod/agents/support/new.yaml", "nothing of this agent: [")
                (world.repository / DEPLOYMENT).unlink()
                dev.wait_for("is not deployed in prod")
                self.assertEqual(reason(client.call("payments__refund", {"payment": "p3", "amount": 1})), "halted")
            self.assertEqual(dev.end(), 0)
            self.assertEqual(list(dev.temporary.iterdir()), [])
        self.assertEqual(len(world.calls()), 2)
        self.assertEqual(world.git("rev-parse", "refs/ensign/ledger/prod").split(), [tip])

    def test_an_operators_file_that_listens_is_served_until_the_end_and_read_again_when_it_is_saved(self) -> None:
        world = self.own()
        # Beside the manifests it is seen at once.
        world.config = world.repository / "gateway.yaml"
        path = str(world.folder / "gateway.sock")
        world.configure(listen={"socket": path}, agents=[{"agent": AGENT, "uid": os.getuid()}])
        with Developing(world, "--gateway", str(world.config)) as dev:
            dev.wait_for("claim ")
            with Client(world, command=dev.line()) as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.configure(limits={"callsInFlight": 8})
            dev.wait_for("the file was read again")
            self.assertEqual(dev.end(signal.SIGINT), 0)
            self.assertIn("stopped", dev.said())
            self.assertFalse(Path(path).exists())
            self.assertEqual(list(dev.temporary.iterdir()), [])

    def test_wrong_use_is_named_and_a_committed_operators_file_is_not_taken(self) -> None:
        world = self.own()

        def dev(*arguments: str) -> tuple[int, str]:
            result = subprocess.run(
                [ENSIGN, "dev", *arguments], cwd=world.repository, env=world.environment, capture_output=True, text=True,
                timeout=60,
            )
            return result.returncode, result.stderr

        for arguments, status, message in [
            (["support/triag"], 64, "did you mean 'support/triage'?"),
            ([AGENT, "--env", "prot"], 64, "environments: prod"),
            ([AGENT, "--config", "gateway.yaml"], 64, "did you mean '--gateway gateway.yaml'?"),
            ([AGENT, "--version", "next-one"], 64, "is not a version"),
            ([AGENT], 1, "upstreams: {TOOL: {command:"),
        ]:
            code, errors = dev(*arguments)
            self.assertEqual(code, status, errors)
            self.assertIn(message, errors)
        world.write("gateway.yaml", world.config.read_text())
        world.commit("Whoever clones this runs my program")
        code, errors = dev(AGENT)
        self.assertEqual(code, 4, errors)
        world.config.write_text("kind: Gateway\nspecs: {}\n")
        code, errors = dev(AGENT, "--gateway", str(world.config))
        self.assertEqual(code, 3, errors)
        self.assertIn("gateway.yaml:2:1: error: unknown field 'specs'", errors)


if __name__ == "__main__":
    unittest.main()
