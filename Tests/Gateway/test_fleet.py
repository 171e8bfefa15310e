"""What happens in a fleet while agents call: rollouts, renames, removals, keys, and agents that are only observed.

ENSIGN names the built program; ensign-gateway is beside it. Run with `python3 -m unittest discover -s Tests/Gateway`.
"""

from __future__ import annotations

import json
import unittest

from clients import Client, Serving, reason
from world import AGENT, DEPLOYMENT, FLEET, TOOL, Case, World

ENVIRONMENT = "environments/prod/environment.yaml"
VERSIONS = "fleet/agents/support/triage"
MANIFEST = f"{VERSIONS}/1.0.0/agent.yaml"
CANARY = "  rollout: {canary: {steps: [{weight: 50, hold: 1h}]}}\n"
# The tool has an operation more, which only the next version asks for.
GROWING = {
    **FLEET,
    TOOL: FLEET[TOOL] + "    balance: {access: read, risk: low, description: What is left.}\n",
    DEPLOYMENT: FLEET[DEPLOYMENT].replace("[lookup]", "[balance, lookup]") + CANARY,
}


class RolloutTests(Case):
    def candidate(self, world: World, team: str = "support", agent: str = "triage") -> None:
        """Version 1.1.0 begins as a canary of half the sessions."""
        folder = f"fleet/agents/{team}/{agent}"
        manifest = (world.repository / f"{folder}/1.0.0/agent.yaml").read_text()
        world.write(f"{folder}/1.1.0/agent.yaml", manifest.replace("[lookup, refund]", "[balance, lookup, refund]"))
        world.write(f"{folder}/1.1.0/prompt.md", "Sort with care.\n")
        world.replace(f"environments/prod/agents/{team}/{agent}.yaml", "version: 1.0.0", "version: 1.1.0")
        world.commit(f"{agent} with care")
        world.reconcile()

    def routed(self, world: World, key: str, agent: str = AGENT) -> str:
        return str(json.loads(world.ensign("route", agent, "--env", "prod", "--key", key, "-o", "json"))["version"])

    def keys(self, world: World) -> tuple[str, str]:
        """A key of the stable version and one of the candidate."""
        found: dict[str, str] = {}
        for number in range(100):
            found.setdefault(self.routed(world, f"k{number}"), f"k{number}")
            if len(found) == 2:
                break
        return found["1.0.0"], found["1.1.0"]

    def test_in_every_phase_of_a_rollout_each_session_has_the_version_of_its_key_and_a_rollback_holds_in_open_runs(self) -> None:
        world = self.world(fleet=GROWING)
        self.candidate(world)
        stable, new = self.keys(world)
        web = world.listens()

        def may(key: str, run: str) -> str | None:
            """Whether a session may do what only the candidate may."""
            answer = web.call("payments__balance", {}, Ensign_Run=run, Ensign_Key=key)
            self.assertIsNone(reason(web.call("payments__lookup", {}, Ensign_Run=run, Ensign_Key=key)))
            return reason(answer)

        def steer(action: str) -> None:
            world.ensign("rollout", action, AGENT, "--env", "prod", "--reason", "test")

        with Serving(world):
            self.assertEqual((may(stable, "s1"), may(new, "n1")), ("not-granted", None), "canary")
            steer("pause")
            self.assertEqual((may(stable, "s2"), may(new, "n2"), may(new, "n1")), ("not-granted", None, None), "paused")
            steer("resume")
            steer("abort")
            # Sent back, and quarantined: also where a run began with the candidate.
            for run in ("n1", "n2", "n3"):
                self.assertEqual(may(new, run), "not-granted", "aborted")
            world.reconcile()
            self.assertIn("quarantined", world.ensign("rollout", "status", AGENT, "--env", "prod"))
            self.assertEqual(may(new, "n4"), "not-granted", "held")
            steer("retry")
            self.assertEqual((may(stable, "s5"), may(new, "n5")), ("not-granted", None), "tried again")
            self.assertIsNone(may(new, "n1"), "it has both again")
            steer("promote")
            # A widening holds in new runs only.
            self.assertEqual((may(stable, "s1"), may(stable, "s6"), may(new, "n6")), ("not-granted", None, None), "promoted")
        world.gateway("verify")

    def test_a_rollout_that_waits_for_its_turn_changes_nothing_for_its_agent(self) -> None:
        fleet = {
            **GROWING,
            **{path.replace("triage", "sorter"): text for path, text in GROWING.items() if "triage" in path},
            ENVIRONMENT: FLEET[ENVIRONMENT].replace("}", ", limits: {concurrentRollouts: 1}}"),
        }
        world = self.world(fleet=fleet)
        self.candidate(world)
        self.candidate(world, agent="sorter")
        self.assertIn("queued", world.ensign("rollout", "status", "--env", "prod"))
        for number in range(6):
            with Client(world, "--run", f"r{number}", "--key", f"k{number}", agent="support/sorter") as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
                self.assertEqual(reason(client.call("payments__balance", {})), "not-granted")
        self.assertEqual({line["version"] for line in world.decisions() if "version" in line}, {"1.0.0"})


class ChangeTests(Case):
    def move(self, world: World, name: str) -> None:
        """Gives the agent another name, or another team."""
        for old, new in ((VERSIONS, f"fleet/agents/{name}"), (DEPLOYMENT, f"environments/prod/agents/{name}.yaml")):
            (world.repository / new).parent.mkdir(parents=True, exist_ok=True)
            world.git("mv", old, new)
        world.commit(f"It is {name} now")
        world.reconcile()

    def test_a_renamed_or_moved_agent_is_stopped_under_its_old_name_at_the_next_call_and_goes_on_under_the_new_one(self) -> None:
        sales = {"fleet/teams/sales.yaml": FLEET["fleet/teams/support.yaml"]}
        for name in ("support/sorter", "sales/triage"):
            world = self.world(fleet={**FLEET, **sales})
            with Client(world, "--run", "r1") as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
                self.move(world, name)
                self.assertEqual(reason(client.call("payments__lookup", {})), "halted")
                self.assertEqual(client.tools(), [])
            with Client(world, "--run", "r1", agent=name) as client:
                self.assertIsNone(reason(client.call("payments__lookup", {})))
            self.assertEqual([call["name"] for call in world.calls()], ["lookup", "lookup"])

    def test_an_agent_whose_environment_is_given_up_is_stopped(self) -> None:
        world = self.world()
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.git("rm", "-q", DEPLOYMENT)
            world.commit("Nobody works here any more")
            world.ensign("reconcile", "--env", "prod", "--allow-prune", "--reason", "it is given up")
            self.assertEqual(reason(client.call("payments__lookup", {})), "halted")
            world.git("rm", "-rq", "environments/prod")
            world.commit("The environment is gone")
            world.ensign("reconcile", wanted=None)
            self.assertEqual(reason(client.call("payments__lookup", {})), "halted")

    def test_a_tool_that_is_taken_from_the_grants_is_taken_from_open_sessions_and_comes_back_in_new_runs(self) -> None:
        world = self.world()
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.replace(DEPLOYMENT, "    - {tool: payments, operations: [lookup]}\n", "")
            world.commit("No looking up")
            world.reconcile()
            self.assertEqual(reason(client.call("payments__lookup", {})), "not-granted")
            self.assertEqual([tool["name"] for tool in client.tools()], ["payments__refund"])
            world.git("revert", "--no-edit", "HEAD")
            world.reconcile()
            self.assertIsNone(reason(client.call("payments__lookup", {})), "both bundles allow it again")


class KeyTests(Case):
    def test_a_prepared_rotation_of_the_ledgers_key_is_not_noticed_in_open_sessions(self) -> None:
        world = self.world()
        keys = world.folder / "prod.keys"
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.ensign("keys", "--env", "prod", "--prepare")
            keys.write_text(world.ensign("keys", "--env", "prod"))
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.ensign("keys", "--env", "prod", "--rotate")
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            keys.write_text(world.ensign("keys", "--env", "prod"))
            self.assertIsNone(reason(client.call("payments__lookup", {})))

    def test_after_a_rotation_that_nobody_prepared_nothing_is_believed_until_the_operator_has_the_new_key(self) -> None:
        world = self.world()
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            world.ensign("keys", "--env", "prod", "--rotate")
            self.assertEqual(reason(client.call("payments__lookup", {})), "unavailable")
            (world.folder / "prod.keys").write_text(world.ensign("keys", "--env", "prod"))
            self.assertIsNone(reason(client.call("payments__lookup", {})))


class ObservedTests(Case):
    def test_an_agent_that_is_only_observed_is_forwarded_what_would_be_refused_and_the_log_says_so(self) -> None:
        world = self.world(fleet={**FLEET, DEPLOYMENT: FLEET[DEPLOYMENT] + "  mode: observe\n"}, limits={"repeatedCalls": 3})
        with Client(world, "--run", "r1") as client:
            self.assertIsNone(reason(client.call("payments__refund", {"payment": "p", "amount": 4000})))
            self.assertIsNone(reason(client.call("payments__drop-all", {})))
            self.assertEqual(reason(client.call("crm__anything", {})), "not-granted", "the operator has no server for it")
            for _ in range(2):
                self.assertIsNone(reason(client.call("payments__lookup", {})))
            self.assertIsNone(reason(client.call("payments__lookup", {})))
            self.assertEqual(reason(client.call("payments__lookup", {})), "loop", "the operator's own limits hold")
            world.replace(DEPLOYMENT, "  mode: observe\n", "")
            world.commit("For real")
            world.reconcile()
            self.assertEqual(reason(client.call("payments__refund", {"payment": "q", "amount": 4000})), "arguments")
        lines = [line for line in world.decisions() if line.get("verdict") == "would-refuse"]
        would = [(line["operation"], line["reason"]) for line in lines if line["kind"] == "intent"]
        self.assertEqual(len(lines), 2 * len(would), "an outcome has the verdict of its intent")
        self.assertIn(("payments.refund", "arguments"), would)
        self.assertIn(("payments__drop-all", "not-granted"), would)
        self.assertEqual([call["name"] for call in world.calls()], ["refund", "drop-all", "lookup", "lookup", "lookup"])


if __name__ == "__main__":
    unittest.main()
