"""The records that are written to disk come back as they were."""

from __future__ import annotations

import json

from bridge.core.topics import SiteTopics
from bridge.model import Message
from tests.core.test_topics import EVENT


def test_an_undelivered_event_survives_the_state_file() -> None:
    """What `to_row` gives is JSON, and `from_row` gives the same message back."""
    message = SiteTopics("victron", "home").alert_event(EVENT, 1030.0)
    assert Message.from_row(json.loads(json.dumps(message.to_row()))) == message
