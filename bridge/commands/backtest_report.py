"""What a backtest found, added up per alert, as tables for a terminal and as one document."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bridge.commands.backtest_advice import Advice
from bridge.commands.backtest_runs import Outcome
from bridge.commands.backtest_watch import Flap, Tally, median
from bridge.commands.table import table
from bridge.core.values import iso_time

_COLUMNS = ("fired", "told", "total", "median", "longest", "flaps", "firing", "unknown")


class Sum(NamedTuple):
    """What an alert did, of one device or of all, in all inputs."""

    rule: str
    device: str
    has_input: bool  # at least one device or site had the points that it reads
    durations_s: tuple[float, ...]
    still: int  # firings that had not ended at the end of an input
    flaps: tuple[Flap, ...]
    existed_s: float
    firing_s: float
    watched_s: float
    unknown_s: float
    events: Counter[str]  # of all devices: an event counts once

    def cells(self) -> list[str]:
        if not self.has_input:
            return ["no input", *["-"] * (len(_COLUMNS) - 1)]
        told = self.events["firing"]
        spans = [sum(self.durations_s), median(self.durations_s), max(self.durations_s)] if self.durations_s else []
        return [
            str(len(self.durations_s)),
            str(told),
            *([span_text(span) for span in spans] or ["-", "-", "-"]),
            str(len(self.flaps)) if self.durations_s else "-",
            _share(self.firing_s, self.existed_s),
            _share(self.unknown_s, self.watched_s),
        ]

    def document(self, by_device: bool) -> dict[str, Any]:
        times = self.durations_s
        return {
            "alert": self.rule,
            **({"device": self.device or None} if by_device else {}),
            "has_input": self.has_input,
            "fired": len(times),
            "still_firing": self.still,
            "events": dict(sorted(self.events.items())),
            "total_s": round(sum(times), 1),
            "median_s": round(median(times), 1) if times else None,
            "longest_s": round(max(times), 1) if times else None,
            "flaps": len(self.flaps),
            "firing_share": _ratio(self.firing_s, self.existed_s),
            "unknown_share": _ratio(self.unknown_s, self.watched_s),
            "watched_s": round(self.watched_s, 1),
        }


def sums_of(outcomes: Iterable[Outcome], rules: Sequence[str], by_device: bool) -> list[Sum]:
    """Return one sum per alert, in the order of the rules, or one per alert and device."""
    tallies: dict[tuple[str, str], list[Tally]] = {}
    events: dict[str, Counter[str]] = {rule: Counter() for rule in rules}
    for outcome in outcomes:
        for tally in outcome.tallies:
            tallies.setdefault((tally.rule, tally.device if by_device else ""), []).append(tally)
        for (event, rule), count in outcome.events.items():
            events[rule][event] += count
    sums = []
    for rule in rules:
        devices = sorted(device for name, device in tallies if name == rule) or [""]
        sums += [_sum(rule, device, tallies.get((rule, device), []), events[rule]) for device in devices]
    return sums


def _sum(rule: str, device: str, tallies: Sequence[Tally], events: Counter[str]) -> Sum:
    return Sum(
        rule=rule,
        device=device,
        has_input=bool(tallies),
        durations_s=tuple(span for one in tallies for span in one.durations_s),
        still=sum(one.is_open for one in tallies),
        flaps=tuple(flap for one in tallies for flap in one.flaps),
        existed_s=sum(one.existed_s for one in tallies),
        firing_s=sum(one.firing_s for one in tallies),
        watched_s=sum(one.watched_s for one in tallies),
        unknown_s=sum(one.unknown_s for one in tallies),
        events=events,
    )


def _ratio(part_s: float, whole_s: float) -> float | None:
    return round(part_s / whole_s, 6) if whole_s > 0 else None


def _share(part_s: float, whole_s: float) -> str:
    if whole_s <= 0:
        return "-"
    percent = 100 * part_s / whole_s
    return (
        f"{percent:.1f} %"
        if 0.05 <= percent < 99.95
        else "0 %" if part_s == 0 else "<0.1 %" if percent < 1 else "100 %"
    )


def span_text(seconds: float) -> str:
    """Return a duration in two units at most: `45s`, `12m30s`, `2h05m`, `3d04h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return a table whose columns after the first `left` ones stand at the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def padded(row: Sequence[str]) -> list[str]:
        return [cell if column < left else cell.rjust(widths[column]) for column, cell in enumerate(row)]

    return table(padded(header), [padded(row) for row in rows])


def alert_table(sums: Sequence[Sum], by_device: bool) -> list[str]:
    """Return the lines of the table of all alerts."""
    names = [[one.rule, one.device or "-"] if by_device else [one.rule] for one in sums]
    header = ["alert", *(["device"] if by_device else []), *_COLUMNS]
    rows = [[*name, *_by_device(one, by_device)] for name, one in zip(names, sums)]
    return aligned(header, rows, len(header) - len(_COLUMNS))


def _by_device(one: Sum, by_device: bool) -> list[str]:
    cells = one.cells()
    if by_device:
        cells[1] = "-"  # events are counted per alert
    return cells


def variant_table(
    labels: Sequence[str], sums: Sequence[Sequence[Sum]], advice: Sequence[Sequence[Advice]]
) -> list[str]:
    """Return the lines of the table that compares variants: a row for each and each alert.

    Args:
        labels: the params of each variant.
        sums: of each variant.
        advice: of each variant.
    """
    rows = []
    for label, own, told in zip(labels, sums, advice):
        for one in own:
            meant = next((each for each in told if each.rule == one.rule), None)
            clear = f"{meant.sign} {meant.clear_at:g}" if meant is not None and meant.clear_at is not None else "-"
            keep = span_text(meant.keep_s) if meant is not None else "-"
            rows.append([label, one.rule, *one.cells(), clear, keep])
    return aligned(["params", "alert", *_COLUMNS, "clear at", "keep for"], rows, 2)


def head(outcomes: Sequence[Outcome], seconds: float, cores: int) -> str:
    """Return what was played, in one line."""
    played = {str(one.input): one for one in outcomes if one.began_at < math.inf and not one.fault}
    if not played:
        return "nothing to play in this span"
    first = min(one.began_at for one in played.values())
    last = max(one.ended_at for one in played.values())
    total_s = sum(one.ended_at - one.began_at for one in played.values())
    kinds = Counter(one.input.kind for one in played.values())
    told = ", ".join(f"{count} {kind}{'s' if count > 1 and kind != 'history' else ''}" for kind, count in kinds.items())
    text = f"{told}: {span_text(total_s)} of values between {iso_time(first)[:19]}Z and {iso_time(last)[:19]}Z; "
    return text + f"played in {seconds:.1f} s on {cores} core{'s' if cores > 1 else ''}"
