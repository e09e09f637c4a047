"""The keys of a rule as it is written, and the reading of their plain values.

Every mistake is collected with its place; reading goes on, so that an author sees all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from bridge.core.nearest import nearest
from bridge.core.parser import duration_s
from bridge.errors import ConfigError, RuleError

Path = tuple[str | int, ...]
Mark = tuple[int, int]
T = TypeVar("T")

PACK_KEYS = ("pack", "description", "needs", "inputs", "params", "rules")
RECORD_KEYS = ("record", "each", "expr", "unit", "precision")
ALERT_KEYS = (
    *("alert", "each", "expr", "for", "clear", "keep_firing_for", "severity", "on_unknown", "labels", "inhibited_by"),
    *("repeat", "escalate", "value", "summary", "description", "action", "source"),
)
SEVERITIES = ("info", "warning", "critical")
ON_UNKNOWN = ("hold", "clear", "fire")
MAX_COLUMN = 120  # a text beyond it was folded from several lines, and the place in it is none in the file
MAX_DURATION_S = 366 * 86400.0
_ALERT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_RECORD_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}(\.[a-z0-9_]{1,64}){1,8}", re.ASCII)
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)


class Pack(NamedTuple):
    """One file of rules, not yet looked at.

    `marks` and `keys` give line and column of the value or of the key at a path such as ("rules", 3, "expr"): a map
    or a function; what they do not know has no place.
    """

    file: str
    data: Any
    marks: Mapping[Path, Mark] | Callable[[Path], Mark | None] = {}
    keys: Mapping[Path, Mark] | Callable[[Path], Mark | None] = {}


class Faults:
    """Collects the mistakes of all packs."""

    def __init__(self) -> None:
        self.errors: list[ConfigError] = []

    def add(self, pack: Pack, path: Path, message: str, at_key: bool = False, inside: RuleError | None = None) -> None:
        """Note a mistake.

        Args:
            path: where it is; the nearest part that has a place counts.
            at_key: the key is wrong, not its value.
            inside: the mistake in an expression, whose place is added to that of its value.
        """
        line, column = (_find(pack.keys, path) if at_key else None) or _nearest_mark(pack, path)
        if inside is not None and line and inside.column <= MAX_COLUMN:
            column = column + inside.column - 1 if inside.line == 1 else inside.column
            line += inside.line - 1
        self.errors.append(ConfigError(_name_of(pack.data, path) + message, pack.file, line, column))


def _find(marks: Any, path: Path) -> Mark | None:
    found = marks(path) if callable(marks) else marks.get(path)
    return (int(found[0]), int(found[1])) if found else None


def _nearest_mark(pack: Pack, path: Path) -> Mark:
    for end in range(len(path), -1, -1):
        found = _find(pack.marks, path[:end])
        if found:
            return found
    return 0, 0


def _name_of(data: Any, path: Path) -> str:
    """Return `rule "name": ` for a path inside a rule."""
    if len(path) < 2 or path[0] != "rules":
        return ""
    try:
        rule = data["rules"][path[1]]
        name = rule.get("alert") or rule.get("record") or f"number {int(path[1]) + 1}"
    except (TypeError, KeyError, IndexError, AttributeError):
        name = f"number {int(path[1]) + 1}"
    return f'rule "{name}": '


class Fields:
    """Reads the values of one map of a pack."""

    def __init__(self, pack: Pack, path: Path, data: Mapping[str, Any], faults: Faults) -> None:
        self.pack = pack
        self.path = path
        self.data = data
        self.faults = faults
        self.is_sound = True

    def fault(self, key: str | None, message: str, inside: RuleError | None = None) -> None:
        self.is_sound = False
        self.faults.add(self.pack, (*self.path, key) if key else self.path, message, inside=inside)

    def place_of(self, key: str) -> str:
        """Return where a key stands, for the message of another: `file`, and `:line` where it is known."""
        line, _ = _nearest_mark(self.pack, (*self.path, key))
        return f"{self.pack.file}:{line}" if line else self.pack.file

    def check_keys(self, known: Sequence[str], required: Iterable[str]) -> None:
        """Note unknown and missing keys."""
        for key in self.data:
            if key not in known:
                near = nearest(str(key), known)
                advice = f'did you mean "{near}"?' if near else f"known are {', '.join(known)}"
                self.is_sound = False
                self.faults.add(self.pack, (*self.path, key), f'the key "{key}" is unknown; {advice}', at_key=True)
        for key in required:
            if self.data.get(key) is None:
                self.fault(None, f'the key "{key}" is missing')

    def text(self, key: str, default: str = "") -> str:
        value = self.data.get(key)
        if value is None:
            return default
        if isinstance(value, bool | int | float) and key in ("expr", "clear", "value"):
            return str(value).lower()
        if not isinstance(value, str):
            self.fault(key, f"{key} must be a text, not {_kind(value)}")
            return default
        return value

    def choice(self, key: str, known: Sequence[str], default: str) -> str:
        value = self.text(key, default)
        if value in known:
            return value
        near = nearest(value, known)
        advice = f'; did you mean "{near}"?' if near else ""
        self.fault(key, f'{key} "{value}" is none of {", ".join(known)}{advice}')
        return default

    def duration(self, key: str, where: Mapping[str, Any] | None = None, least_s: float = 0.0) -> float:
        """Return a duration in seconds, 0 when it is not written."""
        value = (self.data if where is None else where).get(key)
        if value is None or (value == 0 and not isinstance(value, bool)):
            return 0.0
        seconds = duration_s(value) if isinstance(value, str) else None
        if seconds is None:
            advice = f'; did you mean "{value:g}s"?' if isinstance(value, int | float) else ""
            self.fault(key, f"{key}: {value!r} is no duration; write 30s, 5m, 2h, 7d or 4w{advice}")
            return 0.0
        if not least_s <= seconds <= MAX_DURATION_S:
            limit = f"short; {least_s:g}s is the least" if seconds < least_s else "long; 366d is the most"
            self.fault(key, f"{key}: {value} is too {limit}")
            return 0.0
        return seconds

    def whole(self, key: str, default: int, most: int) -> int:
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            self.fault(key, f"{key} must be a whole number from 0 to {most}")
            return default
        return value

    def names(self, key: str) -> list[str]:
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.fault(key, f"{key} must be a list of names, as in [site_offline]")
            return []
        return list(value)

    def labels(self, key: str) -> dict[str, str]:
        value = self.data.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.fault(key, f"{key} must be a map of names to texts")
            return {}
        labels = {}
        for name, text in value.items():
            if not isinstance(name, str) or not _LABEL.fullmatch(name) or isinstance(text, list | Mapping | None):
                self.fault(key, f"{key}: {name!r} is no label; write name: text, the name in snake_case")
                continue
            labels[name] = str(text)
        return labels

    def own_name(self, key: str) -> str:
        """Return the name of the rule itself."""
        name = self.text(key)
        pattern = _RECORD_NAME if key == "record" else _ALERT_NAME
        if name and not pattern.fullmatch(name):
            example = "battery.cell_spread" if key == "record" else "battery_soc_low"
            self.fault(key, f'"{name}" is no name; write lower case like {example}')
        return name

    def tried(self, key: str, work: Callable[[], T]) -> T | None:
        """Return what `work` returns, or note its RuleError."""
        try:
            return work()
        except RuleError as error:
            is_text = key in ("expr", "clear", "value")
            self.fault(key, error.message if is_text else f"{key}: {error.message}", error if is_text else None)
            return None


def _kind(value: Any) -> str:
    names = {dict: "a map", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
