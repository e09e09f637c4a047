"""What a backtest found, as tables for a terminal and as one document."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from bridge.commands.backtest_advice import written
from bridge.commands.backtest_runs import Outcome, Span
from bridge.commands.backtest_study import Advised, Result, Study, Sum
from bridge.commands.backtest_watch import median
from bridge.commands.table import table
from bridge.core.values import iso_time

_COLUMNS = ("fired", "told", "total", "median", "longest", "flaps", "firing", "unknown")


# -- for people ---------------------------------------------------------------------------------------------------


def lines(study: Study, seconds: float, cores: int) -> Iterator[str]:
    """Yield everything that a person reads; `seconds` is how long it took."""
    yield _head(study.outcomes, seconds, cores)
    yield ""
    if len(study.results) == 1 and not study.results[0].variant.params:
        yield from _alert_table(study.results[0].sums, study.by_device)
    else:
        yield from _variant_table(study.results, study.by_device)
    for result in study.results:
        for one in result.advised:
            yield ""
            yield from _advice(one, result.variant.label())


def _head(outcomes: Sequence[Outcome], seconds: float, cores: int) -> str:
    played = [one for one in outcomes if one.began_at < math.inf]
    if not played:
        return "there is nothing to play in this span"
    first, last = min(one.began_at for one in played), max(one.ended_at for one in played)
    total_s = sum(one.ended_at - one.began_at for one in played)
    kinds = Counter(one.input.kind for one in played)
    told = ", ".join(f"{count} {kind if count == 1 else _PLURALS[kind]}" for kind, count in sorted(kinds.items()))
    text = f"{told}: {span_text(total_s)} of values between {iso_time(first)[:19]}Z and {iso_time(last)[:19]}Z; "
    return text + f"played in {seconds:.1f} s on {cores} core{'s' if cores > 1 else ''}"


_PLURALS = {"recording": "recordings", "history": "histories", "VRM export": "VRM exports"}


def _alert_table(sums: Sequence[Sum], by_device: bool) -> list[str]:
    names = ["alert", "device"] if by_device else ["alert"]
    rows = [[*([one.rule, one.device or "-"] if by_device else [one.rule]), *_cells(one, by_device)] for one in sums]
    return _aligned([*names, *_COLUMNS], rows, len(names))


def _variant_table(results: Sequence[Result], by_device: bool) -> list[str]:
    names = ["params", "alert", "device"] if by_device else ["params", "alert"]
    rows = []
    for result in results:
        advice = {one.advice.rule: one.advice for one in result.advised}
        for one in result.sums:
            own = [result.variant.label(), one.rule, *([one.device or "-"] if by_device else [])]
            meant = advice.get(one.rule)
            clear = "-" if meant is None or meant.clear_at is None else f"{meant.sign} {meant.clear_at:g}"
            keep = "-" if meant is None else written(meant.keep_s)
            rows.append([*own, *_cells(one, by_device), clear, keep])
    return _aligned([*names, *_COLUMNS, "clear at", "or keep for"], rows, len(names))


def _cells(one: Sum, by_device: bool) -> list[str]:
    if not one.has_input:
        return ["no input", *["-"] * (len(_COLUMNS) - 1)]
    times = one.durations_s
    spans = [span_text(span) for span in (sum(times), median(times), max(times))] if times else ["-"] * 3
    return [
        str(len(times)),
        "-" if by_device else str(one.events["firing"]),  # events are counted per alert
        *spans,
        str(len(one.flaps)),
        _share(one.firing_s, one.existed_s),
        _share(one.unknown_s, one.watched_s),
    ]


def _share(part_s: float, whole_s: float) -> str:
    if whole_s <= 0:
        return "-"
    percent = 100 * part_s / whole_s
    if 0 < percent < 0.05:
        return "<0.1 %"
    return f"{percent:.0f} %" if percent in (0.0, 100.0) else f"{percent:.1f} %"


def span_text(seconds: float) -> str:
    """Return a duration in two units at most: `45s`, `12m30s`, `2h05m`, `3d04h`; `12m` when there is no rest."""
    whole = round(seconds)
    for unit, unit_s, part, part_s in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= unit_s:
            rest = whole % unit_s // part_s
            return f"{whole // unit_s}{unit}" + (f"{rest:02}{part}" if rest else "")
    return f"{whole}s"


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return a table whose columns after the first `left` ones stand at the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def padded(row: Sequence[str]) -> list[str]:
        return [cell if column < left else cell.rjust(widths[column]) for column, cell in enumerate(row)]

    return table(padded(header), [padded(row) for row in rows])


def _advice(one: Advised, label: str) -> Iterator[str]:
    advice = one.advice
    flaps = f"{advice.flaps} flap{'s' if advice.flaps > 1 else ''}"
    yield f"{advice.rule}{' with ' + label if label else ''}: {flaps}. Run again with"
    yield f"  {advice.keep()}: {_effect(one.kept)}"
    if advice.clear_at is not None:
        yield f"  {advice.clear()}{advice.distance()}: {_effect(one.cleared)}"
    else:
        yield "  no clear limit is usable: the value is no single number, or recovers too far between two firings"


def _effect(one: Sum) -> str:
    fired, flaps = len(one.durations_s), len(one.flaps)
    return f"{flaps} flap{'' if flaps == 1 else 's'}, fired {fired} time{'' if fired == 1 else 's'}"


# -- for programs -------------------------------------------------------------------------------------------------


def document(study: Study, span: Span, faults: Sequence[str]) -> dict[str, Any]:
    """Return everything as JSON-able data."""
    return {
        "span": [iso_time(at) if math.isfinite(at) else None for at in (span.begin, span.end)],
        "flap_s": span.flap_s,
        "inputs": [_input(one) for one in study.outcomes],
        "faults": list(faults),
        "variants": [
            {
                "params": {f"{pack}.{name}": value for pack, name, value in result.variant.params},
                "alerts": [_alert(one, study.by_device) for one in result.sums],
                "advice": [_advised(one) for one in result.advised],
            }
            for result in study.results
        ],
    }


def _input(one: Outcome) -> dict[str, Any]:
    is_empty = one.began_at == math.inf
    return {
        "file": one.input.path,
        "kind": one.input.kind,
        "site": one.input.site or None,
        "from": None if is_empty else iso_time(one.began_at),
        "to": None if is_empty else iso_time(one.ended_at),
        "note": one.note or None,
        "fault": one.fault or None,
    }


def _alert(one: Sum, by_device: bool) -> dict[str, Any]:
    times = one.durations_s
    return {
        "alert": one.rule,
        **({"device": one.device or None} if by_device else {}),
        "has_input": one.has_input,
        "fired": len(times),
        "still_firing": one.still,
        **({} if by_device else {"events": dict(sorted(one.events.items()))}),
        "total_s": round(sum(times), 1),
        "median_s": round(median(times), 1) if times else None,
        "longest_s": round(max(times), 1) if times else None,
        "flaps": len(one.flaps),
        "firing_share": _ratio(one.firing_s, one.existed_s),
        "unknown_share": _ratio(one.unknown_s, one.watched_s),
        "watched_s": round(one.watched_s, 1),
    }


def _ratio(part_s: float, whole_s: float) -> float | None:
    return round(part_s / whole_s, 6) if whole_s > 0 else None


def _advised(one: Advised) -> dict[str, Any]:
    def effect(found: Sum) -> dict[str, int]:
        return {"flaps": len(found.flaps), "fired": len(found.durations_s)}

    has_clear = one.advice.clear_at is not None
    return {
        "alert": one.advice.rule,
        "flaps": one.advice.flaps,
        "keep_firing_for_s": one.advice.keep_s,
        "kept": effect(one.kept),
        "clear": one.advice.clear() if has_clear else None,
        "cleared": effect(one.cleared) if has_clear else None,
    }
