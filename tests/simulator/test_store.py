"""Do services answer for roots, nodes and leafs as the three kinds of implementation do?"""

from __future__ import annotations

from typing import Any

import pytest

from bridge.simulator.store import Root, Store

NAME = "com.victronenergy.thing.tty0"
LEAFS = {"Dc/0/Voltage": 50.0, "Dc/0/Current": -1.5, "Soc": [], "Zero": 0}


def store(root: Root = Root.TREE) -> Store:
    made = Store()
    made.add(NAME, dict(LEAFS), root)
    return made


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        (Root.TREE, "/", LEAFS),
        (Root.TREE, "/Dc", {"0/Voltage": 50.0, "0/Current": -1.5}),
        (Root.TREE, "/Dc/0", {"Voltage": 50.0, "Current": -1.5}),
        (Root.TREE, "/Soc", []),
        (Root.TREE, "/Zero", 0),
        (Root.FLAT, "/", LEAFS),
        (Root.FLAT, "/Dc/0/Voltage", 50.0),
        (Root.EMPTY, "/", []),
        (Root.EMPTY, "/Dc/0/Voltage", 50.0),
    ],
)
def test_roots_nodes_and_leafs_that_answer(root: Root, path: str, expected: Any) -> None:
    """Keys are relative to what was asked, without a leading slash, in the service's order."""
    value = store(root).value(NAME, path)
    assert value == expected
    if isinstance(expected, dict):
        assert list(value) == list(expected)


@pytest.mark.parametrize(
    ("root", "path"),
    [
        (Root.FLAT, "/Dc"),
        (Root.EMPTY, "/Dc"),
        (Root.TREE, "/Nope"),
        (Root.TREE, "Dc"),
        (Root.TREE, "/Dc/"),
        (Root.TREE, "//Dc"),
        (Root.TREE, "/D"),
        (Root.TREE, "/Dc x"),
        (Root.TREE, ""),
    ],
)
def test_what_is_not_available(root: Root, path: str) -> None:
    """Nodes of flat and empty services, unknown and malformed paths."""
    with pytest.raises(KeyError):
        store(root).value(NAME, path)


def test_a_pinned_leaf_wins_over_the_device_until_it_is_unpinned() -> None:
    """What a test sets stays, in the leaf, in nodes and in the root, while the device goes on publishing."""
    made = store()
    made.pin(NAME, "/Soc", 7)
    made.publish(NAME, {"Soc": 60.0})
    assert made.value(NAME, "/Soc") == 7
    assert made.value(NAME, "/")["Soc"] == 7
    made.unpin(NAME, "/Soc")
    assert made.value(NAME, "/Soc") == 60.0


def test_pinning_creates_what_is_unknown_and_none_is_no_value() -> None:
    """A test can invent services and paths, hostile ones too."""
    made = store()
    made.pin("com.victronenergy.tank.x", "/Level", None)
    assert made.value("com.victronenergy.tank.x", "/Level") == []
    assert "com.victronenergy.tank.x" in made.names()


def test_a_removed_leaf_is_gone_everywhere_until_it_is_unpinned() -> None:
    """404 for the leaf, absent in the root; back after unpin of the service."""
    made = store()
    made.remove(NAME, "/Zero")
    with pytest.raises(KeyError):
        made.value(NAME, "/Zero")
    assert "Zero" not in made.value(NAME, "/")
    made.unpin(NAME)
    assert made.value(NAME, "/Zero") == 0


def test_dropped_services_are_off_the_bus_and_a_bus_that_is_down_is_empty() -> None:
    """Presence is what names() says; unknown names are mistakes, not silence."""
    made = store()
    made.drop(NAME)
    assert made.names() == []
    assert made.find(NAME) is None
    made.restore()
    made.is_bus_up = False
    assert made.names() == []
    with pytest.raises(KeyError):
        made.value(NAME, "/Zero")
    made.is_bus_up = True
    assert made.names() == [NAME]
    with pytest.raises(KeyError):
        made.drop("com.victronenergy.other")


def test_a_renamed_service_keeps_its_leafs() -> None:
    """The old name is gone, the new one answers."""
    made = store()
    made.rename(NAME, "com.victronenergy.thing.tty1")
    assert made.names() == ["com.victronenergy.thing.tty1"]
    assert made.value("com.victronenergy.thing.tty1", "/Zero") == 0
