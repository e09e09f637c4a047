"""Are the compact tables of leafs read as they are meant?"""

from __future__ import annotations

from bridge.simulator.leafs import expand, leafs


def test_braces_stand_for_every_combination() -> None:
    """Names and ranges of numbers multiply, in order."""
    assert expand("A/{0..1}/{x,y}") == ["A/0/x", "A/0/y", "A/1/x", "A/1/y"]
    assert expand("Plain") == ["Plain"]


def test_values_are_json_and_none_is_the_empty_array() -> None:
    """`= 1` is an int, `= 1.0` a float, no `=` is D-Bus's no value; order is kept, comments are not leafs."""
    found = leafs('\n# note\nB = 1.0\n  A = 1\nC\nD/{a,b} = "x"\n')
    assert list(found.items()) == [("B", 1.0), ("A", 1), ("C", []), ("D/a", "x"), ("D/b", "x")]
    assert isinstance(found["A"], int)
    assert isinstance(found["B"], float)
