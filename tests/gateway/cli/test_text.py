import pytest

from gateway.cli.text import ForTerminal, visible
from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import RUN, Wire

HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b2J\x1b[31mred\x1b[0m\tb\r\n"
SAFE = "a]0;title[2J2J\x1b[31mred\x1b[0m\tb\r\n"


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_a_log_keeps_its_colours_and_loses_its_commands(step: int) -> None:
    shown = ForTerminal()
    assert "".join(shown.feed(HOSTILE[n : n + step]) for n in range(0, len(HOSTILE), step)) == SAFE


def test_what_is_reviewed_shows_all() -> None:
    assert visible("rm\x1b[8m -r\r\x00\tü\n") == "rm\\x1b[8m -r\\x0d\\x00\tü\n"


def test_stored_logs_are_exact_but_on_a_terminal(mantik: Mantik, wire: Wire) -> None:
    wire.log = HOSTILE.encode()
    assert mantik("runs", "logs", RUN, "--no-follow").out.encode() == wire.log
    assert mantik("runs", "logs", RUN, "--no-follow", terminal=True).out == SAFE
