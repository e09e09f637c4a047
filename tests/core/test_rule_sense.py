"""Tests of contradictions: what can never fire, never end or ends while it holds is told; what may make sense is not."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.rules import compile_packs
from bridge.errors import ConfigErrors
from tests.core.small_site import alert, catalogue, pack

PARAMS = {"low": 20, "high": 80, "none": None, "flag": True}
SAME_WAY = "looks the same way as expr"


def messages(rule: dict[str, Any]) -> list[str]:
    try:
        compile_packs([pack([rule], PARAMS)], catalogue())
    except ConfigErrors as found:
        return [error.message.partition('": ')[2] for error in found.errors]
    return []


@pytest.mark.parametrize(
    ("expr", "keys", "message"),
    [
        ("true", {}, "expr can never change: it reads no point, no input and no clock"),
        ("3 < params.low", {}, "expr can never change"),
        ("params.flag or 0 / 0 > 1", {}, "expr can never change"),
        ('profile.chemistry == "lfp"', {}, "expr can never change"),
        ("battery.soc / 0 > 3", {}, "/ 0 is always unknown; write 0 / 0 if that is meant"),
        ("battery.soc // 0.0 > 3", {}, "// 0 is always unknown"),
        ("battery.soc % 0 > 3", {}, "% 0 is always unknown"),
        ("battery.soc < 20", {"clear": "battery.power / 0 > 1"}, "/ 0 is always unknown"),
        ("battery.soc < 20", {"clear": "battery.soc < 20"}, "clear is the same as expr"),
        ("battery.soc < params.low", {"clear": "battery.soc<20"}, "clear is the same as expr"),
        (
            "battery.soc < params.low",
            {"clear": "battery.soc >= 15"},
            "between 15 and 20 clear (>= 15) holds while expr (< 20) holds, too; move one of the limits",
        ),
        ("battery.soc > 80", {"clear": "battery.soc < params.high + 5"}, "between 85 and 80 clear (< 85) holds"),
        ("20 > battery.soc", {"clear": "15 < battery.soc"}, "between 15 and 20 clear (> 15) holds"),
        ("battery.soc <= 20", {"clear": "battery.soc >= 20"}, "at 20 clear (>= 20) holds"),
        ("battery.soc < 20", {"clear": "battery.soc < 25"}, SAME_WAY),
        ("battery.soc >= 20", {"clear": "battery.soc > 25"}, SAME_WAY),
        (
            "battery.soc < 20",
            {"escalate": {"after": "2h", "severity": "warning"}},
            'severity "warning" is not higher than the alert\'s own, "warning"; write critical',
        ),
        ("battery.soc < 20", {"escalate": {"after": "2h", "severity": "info"}}, 'severity "info" is not higher'),
        (
            "battery.soc < 20",
            {"severity": "critical", "escalate": {"after": "2h", "severity": "critical"}},
            'severity "critical" is not higher than the alert\'s own, "critical"; nothing is, leave escalate out',
        ),
        ("battery.soc < 20", {"repeat": "59s"}, "repeat: 59s is too short; 60s is the least"),
        ("battery.soc < 20", {"repeat": "367d"}, "repeat: 367d is too long; 366d is the most"),
        ("avg_over_time(battery.soc, 500ms) < 20", {}, "a window of 0.5 s; it lasts from 1s to 366d"),
        ("avg_over_time(battery.soc, 60w) < 20", {}, "it lasts from 1s to 366d"),
    ],
)
def test_a_contradiction_is_told(expr: str, keys: dict[str, Any], message: str) -> None:
    """One message, which says what would be right."""
    found = messages(alert("a", expr, **keys))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("expr", "clear"),
    [
        ("battery.soc < 20", "battery.soc >= 20"),
        ("battery.soc < 20", "battery.soc > 20"),
        ("battery.soc <= 20", "battery.soc > 20"),
        ("battery.soc > 80", "battery.soc < 75"),
        ("battery.soc < 20", "battery.power > 15"),
        ("battery.soc < params.none", "battery.soc > 15"),
        ("battery.soc < 20", "battery.soc > 15 and battery.power > 0"),
        ("battery.soc < battery.power", "battery.soc >= 15"),
        ("hour() >= 22", "hour() < 6"),
        ("coalesce(battery.soc, 0 / 0) < 20", "true"),
        ("battery.soc / 2 < 0 / 20", "battery.soc % 2 > 0"),
        ("not site.online", "site.online"),
        ("any(battery[*].soc < 3)", "all(battery[*].soc > 4)"),
    ],
)
def test_what_may_make_sense_passes(expr: str, clear: str) -> None:
    """What depends on points, or on a param that nobody set, is the author's business."""
    assert messages(alert("a", expr, clear=clear, escalate={"after": "2h", "severity": "critical"})) == []
