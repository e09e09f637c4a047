"""Which points a rule may name, and what each of them is.

Rules write `battery.cell_voltage.max`, topics `battery/cell_voltage/max`. The catalogue knows most names; `record`
rules and the config's inputs add theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bridge.core.catalogue import Catalogue
from bridge.core.nearest import nearest
from bridge.core.paths import point_pattern
from bridge.model import Kind, PointSpec

ANY_CLASS = "*"  # `each: "*"`: a rule for every device, whatever its class


class Type(NamedTuple):
    """What values an expression has. `labels` are those of an enum or alarm, which travels as its number."""

    name: str  # number truth text label any
    labels: Mapping[int, str] = {}
    is_ordered: bool = False  # alarms: ok < warning < alarm


NUMBER = Type("number")
TRUTH = Type("truth")
TEXT = Type("text")
ANY = Type("any")  # of what is wrong already, so that one mistake gives one message

_TYPES = {
    Kind.BOOL: TRUTH,
    Kind.STRING: TEXT,
    Kind.FIRMWARE: TEXT,
    Kind.JSON: TEXT,
}


class Known(NamedTuple):
    """A point that exists: its topic name below the site or below its device, and what it is."""

    name: str
    unit: str
    type: Type


def type_of(spec: PointSpec) -> Type:
    """Return the type that the values of a catalogue row have in rules."""
    if spec.kind in (Kind.ENUM, Kind.ALARM):
        return Type("label", spec.labels, spec.kind is Kind.ALARM)
    return _TYPES.get(spec.kind, NUMBER)


class _Names:
    """The names of one class, or of the site: exact ones and templates such as `alarms/{phase}/overload`."""

    def __init__(self, rows: Iterator[PointSpec]) -> None:
        self.exact: dict[str, Known] = {}
        self._templates: list[tuple[list[str], PointSpec]] = []
        for spec in rows:
            if "{" in spec.point:
                self._templates.append((spec.point.split("/"), spec))
            else:
                self.exact[spec.point] = Known(spec.point, spec.unit, type_of(spec))

    def find(self, name: str) -> Known | None:
        known = self.exact.get(name)
        if known is not None:
            return known
        levels = name.split("/")
        for template, spec in self._templates:
            # Patterns are slow to build and there are hundreds: look at the literal levels first.
            is_like = len(template) == len(levels) and all(a == b or "{" in a for a, b in zip(template, levels))
            if is_like and point_pattern(spec.point).fullmatch(name):
                return Known(name, spec.unit, type_of(spec))
        return None

    def all(self) -> list[str]:
        return [*self.exact, *(_example("/".join(levels)) for levels, _ in self._templates)]


class PointIndex:
    """All names a rule may use. Classes are read from the catalogue when a rule first names them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._classes: dict[str, _Names] = {}
        self._site: _Names | None = None
        self._class_list = frozenset(catalogue.class_names())

    def is_class(self, name: str) -> bool:
        """Tell whether `name` is a class of which a GX may have several devices."""
        return name in self._class_list and not self._catalogue.get(name).singleton

    def class_names(self) -> list[str]:
        return [name for name in sorted(self._class_list) if self.is_class(name)]

    def site(self, name: str) -> Known | None:
        """Return the site point of that topic name, or None."""
        return self._site_names().find(name)

    def of_class(self, kind: str, name: str) -> Known | None:
        """Return the point of that name on devices of class `kind` (`*`: on every device), or None."""
        return self._class_names(kind).find(name)

    def add_site(self, known: Known) -> None:
        self._site_names().exact[known.name] = known

    def add_to_class(self, kind: str, known: Known) -> None:
        self._class_names(kind).exact[known.name] = known

    def external_names(self) -> list[str]:
        return [name for name in self._site_names().exact if name.startswith("input/")]

    def like_site(self, name: str) -> str:
        """Return advice when a known site point, or one of a class, is close to `name`; else nothing."""
        head, _, rest = name.partition("/")
        if rest and self.is_class(head):
            names = [f"{head}/{known}" for known in self._class_names(head).all()]
            return did_you_mean(name, [*self._site_names().all(), *names])
        return did_you_mean(name, [*self._site_names().all(), *self.class_names()])

    def like_class(self, kind: str, name: str) -> str:
        return did_you_mean(name, self._class_names(kind).all())

    def _site_names(self) -> _Names:
        if self._site is None:
            self._site = _Names(_with_parts(self._catalogue.site_points()))
            for name, (spec, _) in self._catalogue.sums().items():
                self._site.exact[name] = Known(name, spec.unit, type_of(spec))
            for name in ("site/online", "site/stale"):
                self._site.exact[name] = Known(name, "", TRUTH)
        return self._site

    def _class_names(self, kind: str) -> _Names:
        names = self._classes.get(kind)
        if names is None:
            # A class that no document describes has the rows that hold for every device.
            names = self._classes[kind] = _Names(_with_parts(self._catalogue.get(kind).rows()))
        return names


def _with_parts(rows: Iterator[PointSpec]) -> Iterator[PointSpec]:
    for spec in rows:
        parts = [part for _, part in spec.fields]
        yield from parts if parts else [spec]


def _example(template: str) -> str:
    """Return a template as one would write it: `alarms/{phase}/overload` -> `alarms/l1/overload`."""
    return re.sub(r"\{(\w+)\}", lambda match: "l1" if match[1] == "phase" else "0", template)


def did_you_mean(word: str, known: list[str]) -> str:
    """Return `; did you mean "x"?`, names as rules write them, or nothing when no known name is close."""
    near = nearest(word, known)
    return f'; did you mean "{near.replace("/", ".")}"?' if near else ""
