"""What rows report: one table for people, every figure for programs."""

from __future__ import annotations

from dataclasses import dataclass, field

from measure import Series


@dataclass
class Line:
    label: str
    series: Series | None = None
    # Against what, for people: "x libyaml".
    ratio: str = ""
    target: str = ""
    passed: bool | None = None
    text: str = ""
    peer: bool = False


@dataclass
class Row:
    name: str
    title: str
    lines: list[Line] = field(default_factory=list)

    def add(self, *arguments: object, **keywords: object) -> None:
        self.lines.append(Line(*arguments, **keywords))  # type: ignore[arg-type]


def duration(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.1f} µs"
    if seconds < 0.1:
        return f"{seconds * 1e3:.2f} ms"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def times(value: float) -> str:
    return f"{value:.2f}x" if value < 10 else f"{value:,.0f}x"


def table(rows: list[Row], floor: int) -> str:
    lines = [("", "median", "peak MB", "ratio", "target", "")]
    titles: dict[int, str] = {}
    for row in rows:
        titles[len(lines)] = row.title
        for line in row.lines:
            memory = ""
            if line.series and line.series.samples and line.series.memory:
                peak = line.series.memory
                memory = f"{peak / 1e6:.0f}" if peak > floor * 1.05 else f"< {floor / 1e6:.0f}"
            verdict = "" if line.passed is None else "PASS" if line.passed else "MISS"
            lines.append((
                "  " + line.label, line.text or (duration(line.series.seconds) if line.series else ""), memory,
                line.ratio, line.target, verdict))
    widths = [max(len(cells[column]) for cells in lines) for column in range(6)]
    out = []
    for number, cells in enumerate(lines):
        if number in titles:
            out += ["", titles[number]]
        out.append("  ".join(
            cell.ljust(width) if column in (0, 3, 4, 5) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))).rstrip())
    return "\n".join(out)


def figures(rows: list[Row], title: str) -> dict[str, object]:
    return {
        "v": 1, "machine": title, "rows": [
            {
                "row": row.name, "title": row.title, "lines": [
                    {
                        "label": line.label.strip(), "peer": line.peer, "text": line.text, "ratio": line.ratio,
                        "target": line.target, "pass": line.passed,
                        "series": None if line.series is None else {
                            "per": line.series.per, "medianSeconds": line.series.seconds,
                            "medianCPUSeconds": line.series.cpu, "peakBytes": line.series.memory,
                            "seconds": [sample.seconds for sample in line.series.samples],
                        },
                    }
                    for line in row.lines
                ],
            }
            for row in rows
        ],
    }
