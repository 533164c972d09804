"""Which model a command is about."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gateway.cli.asking import project_option

F = TypeVar("F", bound=Callable[..., Any])


def model_argument(function: F) -> F:
    """`MODEL` (id or name) and `--project-id`, as `model` and `project`."""
    return click.argument("model")(project_option(function))
