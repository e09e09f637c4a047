"""Who is to blame when a broker hangs up."""

from __future__ import annotations

import pytest

from bridge.sinks.broker import End
from bridge.sinks.suspects import Suspects


def close(suspects, in_flight=(), lasted_s=0.1, now=0.0, end=End.CLOSED):
    return suspects.ended(end, lasted_s, list(in_flight), now)


def test_the_message_in_flight_twice_is_parked():
    """Two early closes make the sender careful, two more with the same message alone in flight park it."""
    suspects = Suspects()
    assert close(suspects) is None
    assert not suspects.is_careful
    assert close(suspects) is None
    assert suspects.is_careful
    assert close(suspects, ["v/bad"]) is None
    assert close(suspects, ["v/bad"]) == "v/bad"
    assert suspects.parked == {"v/bad"}


def test_nobody_is_accused_for_being_there_once():
    """Different messages in flight are chance, not guilt."""
    suspects = Suspects()
    for topic in ("v/1", "v/2", "v/3", "v/4", "v/5"):
        assert close(suspects, [topic]) is None
    assert suspects.parked == set()


def test_several_in_flight_accuse_nobody():
    """With more than one message in flight nobody knows which it was."""
    suspects = Suspects()
    for _ in range(6):
        assert close(suspects, ["v/1", "v/2"]) is None


@pytest.mark.parametrize("end", [End.LOST, End.UNREACHABLE, End.LOGIN, End.TAKEN_OVER])
def test_other_endings_accuse_nobody(end):
    """A broken network is not the message's fault."""
    suspects = Suspects()
    for _ in range(6):
        assert close(suspects, ["v/1"], end=end) is None
    assert not suspects.is_careful


def test_a_connection_that_lasted_clears_everybody():
    """After ten seconds the early closes before do not count any more."""
    suspects = Suspects()
    close(suspects)
    close(suspects)
    close(suspects, lasted_s=11.0)
    assert not suspects.is_careful
    close(suspects)
    assert not suspects.is_careful


def test_hanging_up_with_nothing_in_flight_again_and_again_is_a_takeover():
    """Four such closes within three minutes mean a second client; it stays so until a connection lasts."""
    suspects = Suspects()
    for now in (0.0, 20.0, 40.0):
        close(suspects, lasted_s=15.0, now=now)
        assert not suspects.is_taken_over
    close(suspects, lasted_s=15.0, now=60.0)
    assert suspects.is_taken_over
    close(suspects, lasted_s=400.0, now=1_000.0)
    assert not suspects.is_taken_over


def test_a_broker_that_restarts_now_and_then_is_no_takeover():
    """Four closes over an hour are restarts."""
    suspects = Suspects()
    for now in range(0, 36_000, 600):
        close(suspects, lasted_s=599.0, now=float(now))
    assert not suspects.is_taken_over


def test_a_poison_message_is_not_taken_for_a_takeover():
    """While a message in flight explains the closing, nobody else is suspected."""
    suspects = Suspects()
    for _ in range(2):
        close(suspects)
    for _ in range(8):
        close(suspects, ["v/bad"])
    assert not suspects.is_taken_over


def test_a_takeover_acquits_who_was_parked():
    """When hanging up goes on with nothing in flight, the parked message was not the reason."""
    suspects = Suspects()
    for _ in range(2):
        close(suspects)
    assert [close(suspects, ["v/status"]) for _ in range(2)] == [None, "v/status"]
    for _ in range(4):
        close(suspects)
    assert suspects.is_taken_over
    assert suspects.parked == set()
