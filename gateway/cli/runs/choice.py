"""Which run a command is about."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gateway.cli.asking import project_option

F = TypeVar("F", bound=Callable[..., Any])


def run_argument(function: F) -> F:
    """`RUN` (id or name) and `--project-id`, as `run` and `project`."""
    return click.argument("run")(project_option(function))
