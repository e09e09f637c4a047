"""The records that hold what the user wants. Durations are seconds, names of files are absolute.

Law: a secret is shown by no repr, str or JSON; `reveal` is the only way to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bridge.core.inputs import InputSpec
from bridge.core.maintenance import Maintenance

RESERVED_SITES = ("bridge",)  # <base>/bridge/ is the bridge's own


class Secret:
    """A text that must not be shown. `reveal` is the only way to it, so that a search finds every use."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "<secret>" if self._text else "<no secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Tls(NamedTuple):
    """How to trust the broker and be trusted. Names of files are absolute or empty."""

    ca: str
    cert: str
    key: str
    is_insecure: bool  # accept any certificate


class Broker(NamedTuple):
    host: str
    port: int
    username: str
    password: Secret
    tls: Tls | None
    client_id: str  # "": one that the installation keeps (state.client_id)
    keepalive_s: int
    protocol: str  # auto, 5, 3.1.1


class Publish(NamedTuple):
    format: str  # text, json
    is_raw: bool
    refresh_s: float
    forget_after_s: float | None  # None: never
    deadband: Mapping[str, float]  # dotted point -> smallest change, in the point's unit


class Intervals(NamedTuple):
    """Seconds between reads: a point's own, else its class's, else its tier's. Points are dotted: `battery.soc`."""

    tiers_s: Mapping[str, float]
    classes_s: Mapping[str, float]
    points_s: Mapping[str, float]


class RuleChoice(NamedTuple):
    packs: tuple[str, ...]  # names of packs that come with the program
    files: tuple[str, ...]  # the user's own, absolute
    params: Mapping[str, Mapping[str, Any]]  # pack -> param -> value
    disable: frozenset[str]  # alerts


class Site(NamedTuple):
    name: str  # "": the GX's serial, known once the GX was asked
    gx: str  # base URL, no slash at the end
    source: str
    timeout_s: float
    intervals: Intervals
    publish: Publish
    rules: RuleChoice
    profile: Mapping[str, Any]
    extra: tuple[str, ...]  # quick-reference documents, absolute
    inputs: tuple[InputSpec, ...]
    maintenance: tuple[Maintenance, ...]
    time_zone: str  # IANA name; "": that of the process


class Settings(NamedTuple):
    sites: tuple[Site, ...]
    broker: Broker
    base_topic: str
    state_directory: Path
    log_level: str
    file: str  # the config file, "" when there is none
