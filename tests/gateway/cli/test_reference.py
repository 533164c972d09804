from pathlib import Path

import click
import pytest

from gateway.cli.application import application
from gateway.cli.reference import commands, page

ROOT = Path(__file__).parents[3]


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert written == page(), "run: python -m gateway.cli.reference > docs/reference/cli.md"


@pytest.mark.parametrize(("path", "command"), [(" ".join(p), c) for p, c in commands(application())])
def test_every_command_and_option_has_a_text(path: str, command: click.Command) -> None:
    assert command.help, path
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{path} {option.opts}"
