"""Tests of `inputs:` in the config: paths into JSON, defaults, and the short form."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.inputs import InputSpec
from bridge.core.points import NUMBER, TEXT, TRUTH
from bridge.files.settings import load_settings
from bridge.files.settings_inputs import json_path

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$", ()),
        ("price", ("price",)),
        ("$.current.total", ("current", "total")),
        ("current.total", ("current", "total")),
        ("prices[0].value", ("prices", 0, "value")),
        ("$[12][3]", (12, 3)),
        ("[0]", (0,)),
        ("['a.b']['c d']", ("a.b", "c d")),
        ('x["it\'s"].y-z', ("x", "it's", "y-z")),
        ("0.1", ("0", "1")),
    ],
)
def test_a_path_is_a_row_of_steps(text: str, path: tuple[str | int, ...]) -> None:
    """Names are texts, indices numbers; a leading $ changes nothing."""
    assert json_path(text) == path


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("", "."),
        ("a..b", "..b"),
        ("a.", "."),
        ("a[*]", "[*]"),
        ("a[-1]", "[-1]"),
        ("a[1:2]", "[1:2]"),
        ("a[?(@.x>1)]", "[?(@.x>1)]"),
        ("$..price", "..price"),
        ("a b", " b"),
        ("a[0", "[0"),
        ("a['']", "['']"),
        ("$price", "price"),
        ("a[0]b", "b"),
    ],
)
def test_what_is_no_path_is_refused(text: str, rest: str) -> None:
    """Whatever may name several values or nothing is an error that says from where on."""
    with pytest.raises(ValueError, match="a path is written current.total, prices") as caught:
        json_path(text)
    assert f'cannot be read from "{rest}" on' in str(caught.value)


def test_inputs_are_merged_by_name() -> None:
    """A topic alone is a whole input; a site adds to the inputs of the top and replaces them."""
    home, cabin = load_settings({"config": FIXTURES / "settings.inputs.good.yaml"}, {"HOME": "/h"}).sites
    price = InputSpec("price", "tariff/price", (), "number", "", 7200.0)
    later = InputSpec("next_price", "tariff/json", ("prices", 1, "next.value"), "number", "ct/kWh", 86400.0)
    assert home.inputs == (price, later)
    own = InputSpec("price", "victron/home/battery/soc", (), "text", "", 7200.0)
    assert cabin.inputs == (own, later, InputSpec("door", "hut/door", (), "truth", "", 7200.0))
    assert [(one.known.name, one.known.type) for one in cabin.inputs] == [
        ("input/price", TEXT),
        ("input/next_price", NUMBER),
        ("input/door", TRUTH),
    ]
