#!/usr/bin/env python3
"""How often the judge is wrong and how many samples it needs, beside the rules that people would use instead.

    bench/judge.py                          # everything; some minutes
    bench/judge.py --only fall --trials 500
    bench/judge.py --json judge.json

Needs numpy and scipy: make bench installs them into the benchmark's own virtual environment. Every figure of Ensign's
comes from `ensign judge` reading lines; seeds are fixed. bench/README.md says what is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import optimize, stats

ROOT = Path(__file__).resolve().parent.parent
SEED = 20_261_121
# A side, for 80 % power at the same one-sided error: Fisher's exact test.
FIXED = {0.90: 342, 0.85: 110, 0.80: 59, 0.50: 11}
Draw = Callable[[np.random.Generator, int], np.ndarray]


class Judge:
    def __init__(self, binary: Path) -> None:
        self.binary = binary
        self.lines = 0
        self.seconds = 0.0

    def run(self, metric: str, stable: np.ndarray, canary: np.ndarray, weight: float = 0.5, seed: int = 1) -> list[dict]:
        """Judges trials: a row of samples for each. They alternate, or are drawn with the canary's weight."""
        order = np.random.default_rng(seed)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as rules:
            rules.write(f"metrics: [{metric}]\n")
            rules.flush()
            began = time.monotonic()
            process = subprocess.Popen(
                [self.binary, "judge", "--rules", rules.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            name = metric.split("name: ")[1].split(",")[0]

            def feed() -> None:
                assert process.stdin
                for trial in range(len(stable)):
                    head = f'{{"trial":"{trial}","metric":"{name}","variant":"'
                    s = [f'{head}stable","value":{value:.12g}}}\n' for value in stable[trial].tolist()]
                    c = [f'{head}canary","value":{value:.12g}}}\n' for value in canary[trial].tolist()]
                    if weight == 0.5:
                        lines = [line for pair in zip(s, c) for line in pair]
                    else:
                        lines, i, j = [], 0, 0
                        for takes in (order.random(len(s) + len(c)) < weight).tolist():
                            if takes and j < len(c):
                                lines.append(c[j])
                                j += 1
                            elif not takes and i < len(s):
                                lines.append(s[i])
                                i += 1
                    self.lines += len(lines)
                    process.stdin.write("".join(lines).encode())
                process.stdin.close()

            feeder = threading.Thread(target=feed)
            feeder.start()
            assert process.stdout
            results = [json.loads(line) for line in process.stdout]
            feeder.join()
            if process.wait() != 0 or len(results) != len(stable):
                sys.exit("judge.py: ensign judge did not do its work")
            self.seconds += time.monotonic() - began
        return results


def rate(p: float) -> Draw:
    return lambda random, n: (random.random(n) < p).astype(int)


def lognormal(sigma: float, factor: float = 1.0) -> Draw:
    return lambda random, n: factor * 0.02 * np.exp(sigma * random.standard_normal(n))


def rows(draw: Draw, trials: int, samples: int, salt: int) -> np.ndarray:
    return np.array([draw(np.random.default_rng([SEED, salt, trial]), samples) for trial in range(trials)])


def share(results: list[dict], verdict: str) -> float:
    return sum(result["verdict"] == verdict for result in results) / len(results)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def quantiles(results: list[dict], *verdicts: str) -> tuple[float, float]:
    """Median and 90th percentile of the samples a side until one of the verdicts; infinite for trials without."""
    counts = [result["lines"] / 2 if result["verdict"] in verdicts else np.inf for result in results]
    return tuple(float(np.quantile(counts, q, method="higher")) for q in (0.5, 0.9))  # type: ignore[return-value]


def shown(count: float) -> str:
    return "-" if np.isinf(count) else f"{count:,.0f}"


def table(title: str, header: list[str], lines: list[list[str]]) -> None:
    print(f"\n{title}\n")
    widths = [max(len(row[i]) for row in [header, *lines]) for i in range(len(header))]
    for row in [header, *lines]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


# What people use instead.


def z_test_ever(stable: np.ndarray, canary: np.ndarray) -> np.ndarray:
    """Whether a one-sided two-proportion z-test at 0.05, repeated at each sample from the 10th, ever rejects."""
    n = np.arange(1, stable.shape[1] + 1)
    s, c = stable.cumsum(1) / n, canary.cumsum(1) / n
    pooled = (s + c) / 2
    deviation = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-300))
    return ((s - c) / deviation > stats.norm.ppf(0.95))[:, 9:].any(1)


def welch_ever(stable: np.ndarray, canary: np.ndarray) -> np.ndarray:
    """The same for means: a one-sided Welch test."""
    n = np.arange(1, stable.shape[1] + 1)
    s, c = stable.cumsum(1) / n, canary.cumsum(1) / n
    variance = (stable**2).cumsum(1) / n - s**2 + (canary**2).cumsum(1) / n - c**2
    return ((c - s) / np.sqrt(np.maximum(variance / n, 1e-300)) > stats.norm.ppf(0.95))[:, 9:].any(1)


def kayenta_fails(stable: np.ndarray, canary: np.ndarray, low_is_bad: bool) -> bool:
    """Kayenta's Mann-Whitney rule: the confidence interval (0.98) of the shift, as R's wilcox.test computes it, lies
    beyond 0.25 times the estimated shift on the bad side."""
    n, m = len(canary), len(stable)
    ordered = np.sort(stable)

    def z(shift: float, correct: float = 0.0) -> float:
        moved = canary - shift
        below = np.searchsorted(ordered, moved, "left")
        upto = np.searchsorted(ordered, moved, "right")
        w = (below + (upto - below) / 2).sum() - n * m / 2
        _, ties = np.unique(np.concatenate([moved, stable]), return_counts=True)
        total = n + m
        sigma = np.sqrt(n * m / 12 * ((total + 1) - (ties**3 - ties).sum() / (total * (total - 1))))
        return 0.0 if sigma == 0 else (w - correct) / sigma

    low, high = canary.min() - stable.max(), canary.max() - stable.min()
    limit = stats.norm.ppf(0.99)

    def root(target: float) -> float:
        if z(low) <= target:
            return low
        if z(high) >= target:
            return high
        return float(optimize.brentq(lambda shift: z(shift) - target, low, high, xtol=1e-4))

    if low == high:
        return False
    tolerance = 0.25 * abs(root(0))
    return root(-limit) < -tolerance if low_is_bad else root(limit) > tolerance


LOOKS = (50, 100, 200, 400, 700, 1000, 1500, 2000)


def kayenta_ever(stable: np.ndarray, canary: np.ndarray, low_is_bad: bool, trials: int = 200) -> float:
    failed = 0
    for s, c in zip(stable[:trials], canary[:trials]):
        failed += any(kayenta_fails(s[:n], c[:n], low_is_bad) for n in LOOKS if n <= len(s))
    return failed / min(trials, len(stable))


SUCCESS = "{name: success, kind: rate, good: true, margin: 0.05}"
COST = "{name: cost, kind: distribution, unit: USD, margin: 20%}"


def same(judge: Judge, trials: int, figures: dict) -> None:
    """No difference: how many canaries fail, with a look after every sample, 2,000 a side."""
    lines = []
    cases = [(f"success {p}", SUCCESS, rate(p), True) for p in (0.5, 0.9, 0.99)]
    cases += [(f"cost, lognormal {sigma}", COST, lognormal(sigma), False) for sigma in (1.0, 2.0)]
    for number, (title, metric, draw, is_rate) in enumerate(cases):
        stable, canary = rows(draw, trials, 2000, 2 * number), rows(draw, trials, 2000, 2 * number + 1)
        results = judge.run(metric, stable, canary)
        other = (z_test_ever if is_rate else welch_ever)(stable, canary).mean()
        kayenta = kayenta_ever(stable, canary, is_rate)
        figures[f"same/{title}"] = {"fail": share(results, "fail"), "pass": share(results, "pass")}
        lines.append([title, percent(share(results, "fail")), percent(share(results, "pass")), percent(other), percent(kayenta)])
    table(
        f"No difference, confidence 0.95, {trials:,} trials of 2,000 samples a side: false alarms (target: at most 5 %)",
        ["metric", "fail", "pass", "z or Welch test, each sample", "Kayenta, 8 looks"],
        lines,
    )


def fall(judge: Judge, trials: int, figures: dict) -> None:
    """Success falling from 0.95."""
    lines = []
    for number, (p, fixed) in enumerate(FIXED.items()):
        stable, canary = rows(rate(0.95), trials, 2000, 50 + 2 * number), rows(rate(p), trials, 2000, 51 + 2 * number)
        results = judge.run(SUCCESS, stable, canary)
        # Until the verdict, right or wrong: how many are wrong is a column of its own.
        median, high = quantiles(results, "fail", "pass")
        by200 = sum(r["verdict"] == "fail" and r["lines"] <= 400 for r in results) / trials
        fisher = fisher_power(stable, canary, 200)
        kayenta = sum(kayenta_fails(s[:200], c[:200], True) for s, c in zip(stable[:300], canary[:300])) / min(300, trials)
        figures[f"fall/{p}"] = {
            "median": median, "p90": high, "fixed": fixed, "by200": by200, "by2000": share(results, "fail"),
            "pass": share(results, "pass"),
        }  # fmt: skip
        lines.append([
            f"0.95 -> {p}", str(fixed), f"{shown(median)} ({median / fixed:.2f})", f"{shown(high)} ({high / fixed:.2f})",
            percent(by200), percent(share(results, "fail")), percent(share(results, "pass")), percent(fisher), percent(kayenta),
        ])  # fmt: skip
    table(
        f"Success falls, margin 0.05, {trials:,} trials, samples a side (targets: median 1.2, 90th percentile 2.5 times Fisher)",
        ["change", "Fisher", "median", "90th pct", "by 200", "by 2,000", "false pass", "Fisher at 200", "Kayenta at 200"],
        lines,
    )


def fisher_power(stable: np.ndarray, canary: np.ndarray, n: int) -> float:
    s, c = stable[:, :n].sum(1), canary[:, :n].sum(1)
    return float((stats.hypergeom.cdf(c, 2 * n, s + c, n) <= 0.05).mean())


def good(judge: Judge, trials: int, figures: dict) -> None:
    """A good canary: samples until pass, by rate, margin and weight; and false passes at exactly the margin."""
    lines = []
    number = 100
    for p, margin in ((0.5, 0.1), (0.9, 0.05), (0.95, 0.05), (0.95, 0.1), (0.99, 0.01), (0.99, 0.05)):
        metric = SUCCESS.replace("0.05", str(margin))
        # The samples a side that a fixed-size test needs for 80 % power.
        fixed = int(6.18 * 2 * p * (1 - p) / margin**2)
        cells = [f"success {p}", str(margin), str(fixed)]
        for weight in (0.5, 0.05):
            number += 2
            size = min(max(6 * fixed, 800), 6000)
            canary = rows(rate(p), trials // 2, size if weight == 0.5 else size // 2, number)
            stable = rows(rate(p), trials // 2, size if weight == 0.5 else int(size / 2 * (1 / weight - 1)), number + 1)
            results = judge.run(metric, stable, canary, weight)
            median, high = canary_quantiles(results, "success")
            figures[f"good/{p}/{margin}/{weight}"] = {"median": median, "p90": high, "pass": share(results, "pass")}
            cells += [shown(median), shown(high)]
        stable = rows(rate(p), trials, 2000, number + 50)
        worse = rows(rate(p - margin), trials, 2000, number + 51)
        results = judge.run(metric, stable, worse)
        figures[f"good/{p}/{margin}/false"] = share(results, "pass")
        lines.append([*cells, percent(share(results, "pass"))])
    table(
        "A canary as good as stable: its own samples until pass (false pass: worse by exactly the margin; at most 5 %)",
        ["metric", "margin", "fixed size", "median", "90th pct", "weight 5 %: median", "90th pct", "false pass"],
        lines,
    )


def canary_quantiles(results: list[dict], metric: str) -> tuple[float, float]:
    counts = [r["metrics"][metric]["samples"]["canary"] if r["verdict"] == "pass" else np.inf for r in results]
    return tuple(float(np.quantile(counts, q, method="higher")) for q in (0.5, 0.9))  # type: ignore[return-value]


def costs(judge: Judge, trials: int, figures: dict) -> None:
    """Costs: equal, rising by 10 to 100 %, by exactly the margin, and 70 times in the mean through rare huge ones."""
    lines = []
    number = 200
    trials //= 4
    for sigma in (0.5, 1.0, 1.5):
        # Fixed size for 80 % power on the logarithms, for the rise or, of equal costs, for the margin.
        def fixed(rise: float) -> int:
            return int(6.18 * 2 * sigma**2 / np.log(1 + rise) ** 2)

        for title, draw, size in (
            ("equal", lognormal(sigma), fixed(0.2)),
            ("+10 %", lognormal(sigma, 1.1), fixed(0.1)),
            ("+20 %", lognormal(sigma, 1.2), fixed(0.2)),
            ("+30 %", lognormal(sigma, 1.3), fixed(0.3)),
            ("+40 %", lognormal(sigma, 1.4), fixed(0.4)),
            ("+100 %", lognormal(sigma, 2.0), fixed(1.0)),
            ("mean x 70", rare(sigma), None),
        ):
            number += 2
            n = 3000
            stable, canary = rows(lognormal(sigma), trials, n, number), rows(draw, trials, n, number + 1)
            results = judge.run(COST, stable, canary)
            fail, passed = quantiles(results, "fail"), quantiles(results, "pass")
            figures[f"costs/{sigma}/{title}"] = {
                "fail": share(results, "fail"), "pass": share(results, "pass"), "medianFail": fail[0], "medianPass": passed[0],
            }  # fmt: skip
            lines.append([
                str(sigma), title, "-" if size is None else f"{size:,}", percent(share(results, "fail")), shown(fail[0]), shown(fail[1]),
                percent(share(results, "pass")), shown(passed[0]), shown(passed[1]),
            ])  # fmt: skip
    table(
        f"Lognormal costs, margin 20 %, {trials:,} trials of 3,000 samples a side",
        ["sigma", "canary", "fixed size", "fail", "median", "90th pct", "pass", "median", "90th pct"],
        lines,
    )


def rare(sigma: float) -> Draw:
    """One run in a hundred costs 7,000 times as much: the mean is 71 times the stable one, the median the same."""

    def draw(random: np.random.Generator, n: int) -> np.ndarray:
        values = lognormal(sigma)(random, n)
        return np.where(random.random(n) < 0.01, 7000 * values, values)

    return draw


SECTIONS = {"same": same, "fall": fall, "good": good, "costs": costs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=ROOT / ".build/release/ensign")
    parser.add_argument("--only", action="append", choices=SECTIONS)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    judge = Judge(arguments.binary)
    figures: dict = {}
    for name, section in SECTIONS.items():
        if not arguments.only or name in arguments.only:
            section(judge, arguments.trials, figures)
    if judge.seconds:
        figures["linesPerMinute"] = judge.lines / judge.seconds * 60
        print(f"\n{judge.lines:,} lines, {judge.lines / judge.seconds * 60 / 1e6:.0f} million a minute, making them included")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
