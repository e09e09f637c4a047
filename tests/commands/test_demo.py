"""`victron-bridge demo` into a pipe: values and an alert come by themselves, with either broker."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.end_to_end.programs import Program, python
from tests.mosquitto import wait_until

WITHOUT_MOSQUITTO = (
    "import shutil, sys; from bridge.commands import demo_broker; demo_broker.shutil.which = lambda *a, **k: None; "
    "from bridge.cli import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.parametrize("is_embedded", [False, True], ids=["mosquitto", "embedded"])
def test_the_demo_shows_values_and_an_alert(is_embedded: bool) -> None:
    """Within a minute the grid fails, the alert is shown and resolved; SIGTERM ends it cleanly."""
    if is_embedded and importlib.util.find_spec("amqtt") is None:
        pytest.skip("the embedded broker (extra demo) is not installed")
    command = (sys.executable, "-c", WITHOUT_MOSQUITTO, "demo") if is_embedded else python("demo")
    with Program(*command) as demo:
        wait_until(lambda: "VALUES battery/soc" in demo.output(), 40.0, "values are shown")
        wait_until(lambda: "ALERT  firing critical grid_lost" in demo.output(), 40.0, "the alert is shown")
        assert ("amqtt" in demo.output()) is is_embedded
        assert demo.end() == 0
        assert "Traceback" not in demo.output()
