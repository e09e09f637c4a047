"""Tests of the names of records: what nobody could read, or is another topic, is refused with what would be right."""

from __future__ import annotations

import pytest

from bridge.core.points import NUMBER, Known
from bridge.core.rules import compile_packs
from bridge.errors import ConfigErrors
from tests.core.small_site import alert, catalogue, pack, program


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("site.mean", "site.mean is read as the site's point mean; name it own.mean"),
        ("site.battery.mean", "site.battery.mean is read as the site's point battery.mean; name it battery.mean"),
        ("params.mean", "params.mean is read as a param: list mean under params, or name the record own.mean"),
        ("profile.cells", "profile.cells is read as a fact of the site; name it own.cells"),
        (
            "input.price",
            "input.price is read as a value that others publish; list price under inputs, or name the record own.price",
        ),
        (
            "device.heat",
            "device.heat is read as a fact of the rule's own device; name it own.heat, or with `each` <class>.heat",
        ),
        ("alerts.many", "topics that begin with alerts are the bridge's own; name it own.many"),
        ("battery.512.mean", "battery.512 is a device in topics; write a word there, as in battery.mean"),
        ("battery.512", "battery.512 is a device in topics; write a word there, as in battery.number_512"),
        ("battery.soc", "battery.soc is a point of the catalogue already; rename the record"),
    ],
)
def test_a_name_that_means_something_else_is_refused(name: str, message: str) -> None:
    """One message, which says what the name means and which would be right."""
    with pytest.raises(ConfigErrors) as caught:
        compile_packs([pack([{"record": name, "expr": "battery.power"}])], catalogue(), inputs=[_PRICE])
    assert [error.message for error in caught.value.errors] == [f'rule "{name}": {message}']


_PRICE = Known("input/price", "", NUMBER)


@pytest.mark.parametrize("name", ["battery.mean", "sites.mean", "own.mean.l1", "own.l1.7"])
def test_other_names_are_read_as_they_are_written(name: str) -> None:
    """A rule reads the record by its own name."""
    compiled = program([{"record": name, "expr": "battery.power"}, alert("one", f"{name} > 3")])
    assert [one.name for one in compiled.rules[0].expr.formula.inputs] == [name.replace(".", "/")]
