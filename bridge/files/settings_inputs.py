"""What `inputs:` of the config says: values that others publish, which rules read as `input.<name>`.

Law: light, `run` imports it. The words of a fault are a ValueError's; `config_file` knows its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bridge.core.inputs import InputSpec
from bridge.files.address import duration_s

MAX_AGE_S = 7200.0
"""How long a value is believed unless said otherwise: twice the hour after which most tariffs and forecasts are told
again, so that a message that is a minute late is not missed."""

_STEP = re.compile(r"""\.([^\s.\[\]'"*?$]+)|\[([0-9]{1,9})\]|\['([^']+)'\]|\["([^"]+)"\]""")
_EXAMPLES = "a path is written current.total, prices[0].value or ['a name with dots'].value"


def json_path(text: str) -> tuple[str | int, ...]:
    """Return the steps of a path into a JSON document; a `$` at its beginning changes nothing.

    Raises:
        ValueError: it is no such path. Wildcards, slices and filters name more than one value and are none.
    """
    plain = text.removeprefix("$")
    if plain == text and not text.startswith("["):
        plain = "." + text
    steps: list[str | int] = []
    at = 0
    while at < len(plain):
        found = _STEP.match(plain, at)
        if found is None:
            raise ValueError(f'"{text}" cannot be read from "{plain[at:][:40]}" on; {_EXAMPLES}')
        steps.append(int(found[2]) if found[2] else next(name for name in found.groups() if name))
        at = found.end()
    return tuple(steps)


def inputs_of(data: Mapping[str, Any]) -> tuple[InputSpec, ...]:
    """Return the inputs of a site in the order of writing; a text alone is a topic."""
    return tuple(_input(name, {"topic": one} if isinstance(one, str) else one) for name, one in data.items())


def _input(name: str, data: Mapping[str, Any]) -> InputSpec:
    return InputSpec(
        name=name,
        topic=data["topic"],
        path=json_path(data.get("path", "$")),
        kind=data.get("kind", "number"),
        unit=data.get("unit", ""),
        max_age_s=duration_s(data.get("max_age", MAX_AGE_S)),
    )
