"""The words of subscriptions are the same wherever they stand, and a user finds each of them explained."""

from typing import get_args

import pytest

from gateway.cli.notifications import EVENTS
from gateway.schemas.subscriptions import EventWord, SubscriptionKind
from gateway.subscriptions.telling import one_line
from gateway.subscriptions.words import NEXT_STEPS, OF_USERS, DeliveryState, EventName, Kind
from tests.docs.pages import ROOT


def test_the_command_line_and_the_api_know_the_same_events() -> None:
    assert EVENTS == get_args(EventWord) == OF_USERS
    assert {*OF_USERS, EventName.TEST} == set(EventName) == set(NEXT_STEPS)
    assert get_args(SubscriptionKind) == tuple(Kind)


def test_each_event_and_state_is_explained() -> None:
    page = (ROOT / "docs/how-to/get-notified.md").read_text()
    rows = [word for word in (*OF_USERS, *DeliveryState) if f"| `{word}` |" not in page]
    assert rows == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("train", "train"),
        ("a\r\nBcc: b@c", "a Bcc: b@c"),
        ("\x1b[31mred\x00", "[31mred"),
        ("x" * 101, "x" * 97 + "..."),
        ("\N{SNOWMAN}", "\N{SNOWMAN}"),
    ],
)
def test_a_name_in_a_sentence_is_one_short_line(name: str, shown: str) -> None:
    assert one_line(name) == shown
