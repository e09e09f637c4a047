"""The params of packs: what a pack writes, and what a site's config sets over it.

A param is a constant of the program. What a config sets must be a param that the pack has, and of the same sort.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from bridge.core.nearest import nearest
from bridge.core.parser import duration_s
from bridge.core.rule_fields import Fields
from bridge.errors import ConfigError

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def read_params(fields: Fields, pack: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params of a pack as they hold at a site; mistakes are noted.

    Args:
        fields: of the pack.
        pack: its name.
        overrides: param -> value, from the site's config.
    """
    written = fields.data.get("params") or {}
    if not isinstance(written, Mapping):
        fields.fault("params", "params must be a map of names to values")
        return {}
    params = {str(name): _param(value) for name, value in written.items()}
    for name, value in params.items():
        if isinstance(value, list | Mapping):
            fields.fault("params", f"the param {name} must be a number, a text, true, false or a duration")
    for name, value in overrides.items():
        known, given = params.get(name), _param(value)
        message = ""
        if name not in params:
            near = nearest(str(name), params)
            advice = f'did you mean "{near}"?' if near else f"it has {', '.join(params) or 'none'}"
            message = f'the pack "{pack}" has no param "{name}"; {advice}'
        elif known is not None and given is not None and _sort(given) != _sort(known):
            message = f"{value!r} is {_sort(given)}, but the param is {_sort(known)} ({known!r})"
        if message:
            fields.faults.errors.append(ConfigError(message, key=f"rules.params.{pack}.{name}"))
        else:
            params[name] = given
    return params


def params_of_no_pack(overrides: Mapping[str, Mapping[str, Any]], packs: Collection[str]) -> Iterator[ConfigError]:
    """Yield a mistake for every pack that the config sets params of and that is not there."""
    for pack in overrides:
        if pack not in packs:
            near = nearest(str(pack), packs)
            advice = f'did you mean "{near}"?' if near else f"there are {', '.join(packs) or 'none'}"
            yield ConfigError(f'there is no pack "{pack}"; {advice}', key=f"rules.params.{pack}")


def _param(value: Any) -> Any:
    """Return a param's value; a duration is a number of seconds, a date such as 2021-05-01 the Unix time it begins."""
    if not isinstance(value, str):
        return value
    seconds = duration_s(value)
    if seconds is None and _DATE.fullmatch(value):
        with suppress(ValueError):  # the 31st of February stays a text, which no date can be compared with
            return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
    return value if seconds is None else seconds


def _sort(value: Any) -> str:
    return {bool: "true or false", str: "a text"}.get(type(value), "a number")
