#!/usr/bin/env python3
"""Measures Ensign against the tools that people would use instead, in the same run on the same machine.

    bench/bench.py                                  # all rows; about ten minutes on two cores
    bench/bench.py --only change --agents 1000,10000
    bench/bench.py --json figures.json

bench/README.md says what each row measures, and what not. A missed target is printed, never an exit status:
times depend on the machine. The exit status is 1 only when something measured did not work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import generate
import imports
from measure import ENVIRONMENT, ROOT, Broken, Machine, Sample, Series, note
from peers import compile_scanner, install_check_jsonschema, signing_key
from report import Line, Row, duration, figures, table, times

REFERENCE = 10_000
# Shape checks with check-jsonschema take seconds for a few hundred files: this many are timed, the rest is multiplied.
SAMPLE = 300
LEDGER_ENTRIES = 1_000
GIT_VERIFIED = 30
# The deploy hook's work tree has seven files an agent: above this it is left out.
MOST_CHECKED_OUT = 20_000


class Bench:
    def __init__(self, machine: Machine, sizes: list[int], runs: int) -> None:
        self.machine = machine
        self.sizes = sizes
        self.runs = runs
        self.hosts: dict[int, Host] = {}

    @property
    def slow_runs(self) -> int:
        """For what takes seconds."""
        return max(2, self.runs // 4)

    @property
    def reference(self) -> int:
        """The size that rows about one size use."""
        smaller = [size for size in self.sizes if size <= REFERENCE]
        return max(smaller) if smaller else min(self.sizes)

    def host(self, agents: int) -> Host:
        """The host that no-op, change and verify share: reconciled once, and everything observed once."""
        if agents not in self.hosts:
            self.hosts[agents] = Host(self.machine, agents)
        return self.hosts[agents]

    # MARK: 1

    def validate(self) -> Row:
        agents = self.reference
        machine = self.machine
        fleet = machine.fleet(agents)
        scanner = compile_scanner(machine)
        scan = Series("one libyaml event scan of the same blobs (C)")
        ours = Series("ensign validate")
        for number in range(self.slow_runs + 1):
            first = machine.run([scanner, str(fleet)])
            second = machine.run([machine.ensign, "validate", "--repo", str(fleet), "--quiet"])
            if number:  # the first fills the page cache
                scan.samples.append(first)
                ours.samples.append(second)
        counts = machine.output([scanner, str(fleet)])
        row = Row("validate", f"validate {agents:,} agents ({counts})")
        ratio = ours.seconds / scan.seconds
        row.add(scan.label, scan, peer=True)
        row.add(ours.label, ours, f"{times(ratio)} of the scan", "<= 4x", ratio <= 4)
        row.add("  processor time", text=duration(ours.cpu), ratio=f"{times(ours.cpu / scan.cpu)} of the scan's")
        row.add("  peak memory", text=f"{ours.memory / 1e6:.0f} MB", target="<= 250 MB", passed=ours.memory <= 250e6)
        self.check_jsonschema(row, fleet, agents, ours)
        return row

    def check_jsonschema(self, row: Row, fleet: Path, agents: int, ours: Series) -> None:
        machine = self.machine
        label = "check-jsonschema, the project's own schemas"
        if not machine.has_verb("schema"):
            row.add(label, text="skipped: this ensign has no 'schema'", peer=True)
            return
        tool = install_check_jsonschema(machine)
        if tool is None:
            row.add(label, text="skipped: pip could not install it", peer=True)
            return
        total = 0.0
        memory = 0
        taken = 0
        files = 0
        for kind, count, paths in (
            ("Agent", agents * 2, [
                f"{agent.folder(version)}/agent.yaml" for agent in spread(agents, SAMPLE // 5)
                for version in generate.VERSIONS
            ]),
            ("Deployment", agents * 3, [
                agent.deployment_path(environment) for agent in spread(agents, SAMPLE // 5)
                for environment in generate.ENVIRONMENTS
            ]),
        ):
            folder = machine.place("sample")
            folder.mkdir()
            schema = machine.work / f"{kind}.schema.json"
            schema.write_text(machine.output([machine.ensign, "schema", kind]))
            names = []
            for number, path in enumerate(paths):
                name = folder / f"{number}.yaml"
                name.write_text(machine.output(["git", "-C", str(fleet), "show", f"main:{path}"]) + "\n")
                names.append(str(name))
            command = [tool, "--schemafile", str(schema)]
            one = machine.run([*command, names[0]])
            one = min(one, machine.run([*command, names[0]]), key=lambda sample: sample.seconds)
            many = machine.run([*command, *names])
            # Starting Python and compiling the schema is paid once, however many files there are.
            total += one.seconds + (count - 1) * (many.seconds - one.seconds) / (len(names) - 1)
            memory = max(memory, many.memory)
            taken += len(names)
            files += count
        version = machine.output([tool, "--version"]).split()[-1]
        peer = Series(f"{label} ({version}): {taken} of {files:,} files, extrapolated", [Sample(total, total, memory)])
        ratio = total / ours.seconds
        row.add(peer.label, peer, peer=True)
        row.add("  ensign is faster by", text="", ratio=times(ratio), target="aim >= 50x", passed=ratio >= 50)

    # MARK: 2

    def nothing(self) -> Row:
        machine = self.machine
        hosts = [self.host(agents) for agents in self.sizes]
        version = Series("ensign version")
        series = {host.agents: Series(f"ensign reconcile, {host.agents:,} agents") for host in hosts}
        for number in range(2 * self.runs + 2):
            sample = machine.run([machine.ensign, "version"])
            if number >= 2:
                version.samples.append(sample)
            for host in hosts:
                sample = machine.run(host.reconcile)
                if number >= 2:
                    series[host.agents].samples.append(sample)
        row = Row("nothing", "reconcile with nothing to do")
        row.add(version.label, version, peer=True)
        smallest = series[self.sizes[0]]
        for host in hosts:
            ours = series[host.agents]
            extra = ours.seconds - version.seconds
            row.add(ours.label, ours, f"+{duration(extra)}", "<= +10 ms", extra <= 0.010)
            if host.agents >= 100 * self.sizes[0]:
                ratio = ours.seconds / smallest.seconds
                row.add(f"  of {self.sizes[0]:,} agents", ratio=times(ratio), target="<= 1.3x", passed=ratio <= 1.3)
        return row

    # MARK: 3

    def change(self) -> Row:
        row = Row("change", "one agent's version changed: the whole post-receive hook")
        machine = self.machine
        if not machine.has_verb("hook"):
            row.add("skipped: this ensign has no 'hook'")
            return row
        key = signing_key(machine)
        hosts = [self.host(agents) for agents in self.sizes if agents >= REFERENCE] or [self.host(self.reference)]
        stock = {host.agents: Series(f"git diff-tree + 2 git commit-tree -S, {host.agents:,} agents") for host in hosts}
        ours = {host.agents: Series(f"ensign hook post-receive, {host.agents:,} agents") for host in hosts}
        deploy = {
            host.agents: Series(f"the deploy hook of today: git checkout -f, {host.agents:,} agents")
            for host in hosts if host.agents <= MOST_CHECKED_OUT
        }
        gate = {
            host.agents: Series(f"ensign hook pre-receive after a valid push, {host.agents:,} agents") for host in hosts
        }
        for host in hosts:
            if host.agents in deploy:
                host.check_out(first=True)
        for number in range(2 * self.runs + 1):
            for host in hosts:
                old, new = host.push()
                os.sync()
                first = host.stock(old, new, key)
                second = host.hook(old, new)
                if number:
                    stock[host.agents].samples.append(first)
                    ours[host.agents].samples.append(second)
                if host.agents in deploy:
                    third = host.check_out()
                    if number:
                        deploy[host.agents].samples.append(third)
                if number < 6 and host.agents in deploy:
                    # The first one checks the whole fleet: seconds, and a minute for 100,000 agents.
                    update = f"{old} {new} refs/heads/main\n"
                    sample = machine.run([machine.ensign, "hook", "pre-receive"], where=host.path, standard_input=update,
                                         environment={"GIT_DIR": "."})
                    if number:
                        gate[host.agents].samples.append(sample)
        smallest = hosts[0].agents
        for host in hosts:
            peer, mine = stock[host.agents], ours[host.agents]
            ratio = mine.seconds / peer.seconds
            row.add(peer.label, peer, peer=True)
            is_reference = host.agents <= REFERENCE
            row.add(
                mine.label, mine, f"{times(ratio)} of git", "<= 1x" if is_reference else "",
                ratio <= 1 if is_reference else None)
            if host.agents >= 10 * smallest:
                growth = mine.seconds / ours[smallest].seconds
                row.add(f"  of {smallest:,} agents", ratio=times(growth), target="<= 1.5x", passed=growth <= 1.5)
            if host.agents in deploy:
                other = deploy[host.agents]
                row.add(other.label, other, f"{times(other.seconds / mine.seconds)} of ensign", peer=True)
                row.add(gate[host.agents].label, gate[host.agents])
        return row

    # MARK: 4

    def cold(self) -> Row:
        agents = self.reference
        machine = self.machine
        ours = Series(f"ensign reconcile, {agents:,} agents, one environment")
        peer = Series("git checkout of the same files")
        files = 0
        for _ in range(self.slow_runs):
            path = machine.host(agents, "cold")
            os.sync()
            reconcile = [machine.ensign, "reconcile", "--quiet", "--env", ENVIRONMENT, "--repo", str(path)]
            ours.samples.append(machine.run(reconcile))
            # The same bytes: the ledger's tree is the live directory. Packed, as a clone would have them.
            tree = machine.output(["git", "-C", str(path), "rev-parse", f"refs/ensign/ledger/{ENVIRONMENT}^{{tree}}"])
            files = len(machine.output(["git", "-C", str(path), "ls-tree", "-r", "--name-only", tree]).splitlines())
            machine.output(["git", "-C", str(path), "repack", "-d", "-q"])
            target = machine.place("checkout")
            target.mkdir()
            os.sync()
            peer.samples.append(
                machine.run(
                    ["git", "--git-dir", str(path), "--work-tree", str(target), "checkout", "-f", tree, "--", "."],
                    where=target, environment={"GIT_INDEX_FILE": str(machine.place("index"))}))
        row = Row("cold", f"first reconcile ({files:,} files)")
        row.add(peer.label, peer, peer=True)
        row.add(ours.label, ours, f"{times(ours.seconds / peer.seconds)} of git")
        for host in self.hosts.values():
            if host.agents != agents and host.cold is not None:
                row.add(f"ensign reconcile, {host.agents:,} agents, one run", Series("", [host.cold]))
        return row

    # MARK: 5

    def verify(self) -> Row:
        machine = self.machine
        row = Row("verify", "verify the ledger, for each entry")
        if not (machine.has_verb("verify") and machine.has_verb("hook") and machine.has_verb("keys")):
            row.add("skipped: this ensign has no 'verify'")
            return row
        host = self.host(self.reference)
        git = ["git", "-C", str(host.path)]
        ref = f"refs/ensign/ledger/{ENVIRONMENT}"
        entries = machine.output([*git, "rev-list", "--first-parent", ref]).splitlines()
        while len(entries) < LEDGER_ENTRIES:
            host.hook(*host.push())
            entries = machine.output([*git, "rev-list", "--first-parent", ref]).splitlines()
        note("packing the ledger ...")
        machine.output([*git, "gc", "--quiet"])
        signers = machine.work / "allowed_signers"
        keys = machine.output([machine.ensign, "keys", "--env", ENVIRONMENT, "--repo", str(host.path)])
        signers.write_text(keys + "\n")
        sample = entries[:: max(1, len(entries) // GIT_VERIFIED)][:GIT_VERIFIED]
        peer = Series(f"git verify-commit, one by one ({len(sample)} of the entries)", per=len(sample))
        files = 2 * host.agents
        ours = Series(
            f"ensign verify, all {len(entries)}, with the first reconcile's {files:,} files", per=len(entries))
        # The first reconcile's outcome alone has two files for each agent. A shallow clone ends after it: what is read
        # there are entries of one change each, and the verdict is "incomplete".
        single = machine.place("shallow")
        machine.output(["git", "init", "--quiet", "--bare", str(single)])
        depth = f"--depth={len(entries) - 3}"
        machine.output(
            ["git", "-C", str(single), "fetch", "--quiet", depth, f"file://{host.path}", f"{ref}:{ref}"])
        changes = Series(f"ensign verify, {len(entries) - 3} entries of one change each", per=len(entries) - 3)
        for _ in range(self.slow_runs + 1):
            total = Sample()
            for entry in sample:
                total += machine.run(
                    ["git", "-c", f"gpg.ssh.allowedSignersFile={signers}", "-c", "gpg.format=ssh", "-C",
                     str(host.path), "verify-commit", entry])
            peer.samples.append(total)
            ours.samples.append(machine.run([machine.ensign, "verify", "--env", ENVIRONMENT, "--repo", str(host.path)]))
            changes.samples.append(
                machine.run([machine.ensign, "verify", "--env", ENVIRONMENT, "--repo", str(single)], expect=1))
        row.title += f" ({host.agents:,} agents)"
        row.add(peer.label, peer, peer=True)
        for series in (changes, ours):
            ratio = peer.seconds / series.seconds
            row.add(series.label, series, f"{times(ratio)} faster", ">= 100x", ratio >= 100)
        row.add("  the whole run", text=duration(ours.seconds * ours.per))
        return row


class Host:
    """A bare repository that deploys one environment, as a server would."""

    def __init__(self, machine: Machine, agents: int) -> None:
        self.machine = machine
        self.agents = agents
        self.path = machine.host(agents, "host")
        self.pushes = 0
        self.deployed = self.path
        self.reconcile = [machine.ensign, "reconcile", "--quiet", "--env", ENVIRONMENT, "--repo", str(self.path)]
        note(f"first reconcile of {agents:,} agents ...")
        self.cold = machine.run(self.reconcile)
        note("observing everything once ...")
        machine.run([*self.reconcile, "--observe", "all"])

    def git(self, *arguments: str) -> str:
        return self.machine.output(["git", "-C", str(self.path), *arguments])

    def push(self) -> tuple[str, str]:
        """What receive-pack has done when it calls post-receive: one more commit, and the branch points to it."""
        old = self.git("rev-parse", "refs/heads/main")
        # Each agent goes to 1.1.0 once; after that many pushes they go back, which Ensign calls a rollback.
        round_, step = divmod(self.pushes, self.agents)
        index = step * 7_919 % self.agents
        self.pushes += 1
        new = generate.write_change(str(self.path), index, generate.VERSIONS[1 - round_ % 2], old, self.pushes)
        self.git("update-ref", "refs/heads/main", new, old)
        return old, new

    def hook(self, old: str, new: str) -> Sample:
        ref = f"refs/ensign/ledger/{ENVIRONMENT}"
        before = self.git("rev-parse", ref)
        sample = self.machine.run(
            [self.machine.ensign, "hook", "post-receive"], where=self.path,
            standard_input=f"{old} {new} refs/heads/main\n", environment={"GIT_DIR": "."})
        if self.git("rev-parse", f"{ref}^2") != new or self.git("rev-parse", f"{ref}~2") != before:
            raise Broken("the hook recorded something else than one intent and one outcome")
        return sample

    def stock(self, old: str, new: str, key: Path) -> Sample:
        """What stock git needs to find the change and to sign two commits."""
        run = self.machine.run
        git = ["git", "--git-dir", str(self.path)]
        signing = [*git, "-c", "gpg.format=ssh", "-c", f"user.signingkey={key}", "commit-tree", "-S"]
        return (
            run([*git, "diff-tree", "-r", old, new])
            + run([*signing, "-p", old, "-p", new, "-m", "intent", f"{new}^{{tree}}"])
            + run([*signing, "-p", old, "-p", new, "-m", "outcome", f"{new}^{{tree}}"])
        )

    def check_out(self, first: bool = False) -> Sample:
        if first:
            note(f"checking out {self.agents:,} agents for the deploy hook ...")
            self.deployed = self.machine.place("deployed")
            self.deployed.mkdir()
        return self.machine.run(
            ["git", "--git-dir", str(self.path), "--work-tree", str(self.deployed), "checkout", "-f"])


def spread(agents: int, count: int) -> list[generate.Agent]:
    """Agents from all over the fleet."""
    return [generate.Agent(number * agents // count) for number in range(count)]


def heading(machine: Machine) -> str:
    model = "unknown processor"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return (
        f"{machine.output([machine.ensign, 'version'])}; {machine.output(['git', '--version'])}; "
        f"{os.cpu_count()} cores, {model}, Linux {platform.release()}; "
        f"load {os.getloadavg()[0]:.1f} before"
    )


def main() -> int:
    rows: dict[str, Callable[[Bench], Row]] = {
        "validate": Bench.validate, "nothing": Bench.nothing, "change": Bench.change, "cold": Bench.cold,
        "verify": Bench.verify, "import": lambda bench: imports.measure(bench.machine, bench.slow_runs),
    }
    parser = argparse.ArgumentParser(description="Measure Ensign against what people would use instead.")
    parser.add_argument("--agents", default="1000,10000,100000", help="sizes of fleets, default %(default)s")
    parser.add_argument("--runs", type=int, default=10, help="runs; twice as many of what takes milliseconds")
    parser.add_argument("--only", action="append", choices=list(rows), metavar="ROW", help=f"one of {', '.join(rows)}")
    parser.add_argument("--json", metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--ensign", default=str(ROOT / ".build/release/ensign"), help="the binary, default %(default)s")
    parser.add_argument("--work", default=str(ROOT / ".build/bench"), help="where fleets are kept, default %(default)s")
    arguments = parser.parse_args()
    sizes = sorted({int(size) for size in arguments.agents.split(",")})
    output = Path(arguments.json).resolve() if arguments.json else None
    ensign = Path(arguments.ensign).resolve()
    if not ensign.exists():
        note(f"there is no {ensign}; build it first: make build")
        return 1
    machine = Machine(Path(arguments.work).resolve(), ensign)
    title = heading(machine)
    bench = Bench(machine, sizes, arguments.runs)
    done: list[Row] = []
    failed = False
    for name in arguments.only or rows:
        note(f"row {name}")
        start = time.monotonic()
        try:
            done.append(rows[name](bench))
        except Broken as error:
            failed = True
            done.append(Row(name, name, [Line(f"failed: {str(error).splitlines()[0]}")]))
            note(str(error))
        note(f"row {name} took {time.monotonic() - start:.0f} s")
    print(title)
    print(table(done, machine.floor))
    if output:
        output.write_text(json.dumps(figures(done, title), indent=1) + "\n")
    machine.clean()
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
