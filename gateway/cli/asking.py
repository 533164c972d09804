"""Asking the gateway, and asking the user first."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gateway.client import Client

F = TypeVar("F", bound=Callable[..., Any])

PROJECT_VARIABLE = "MANTIK_PROJECT_ID"


@contextmanager
def gateway(project: str | None = None) -> Iterator["Client"]:
    """The gateway of MANTIK_API_URL."""
    from gateway.client import Client

    with Client(project=project) as client:
        yield client


def project_option(function: F) -> F:
    """`--project-id`, as `project`."""
    return click.option(
        "--project-id",
        "--project",
        "project",
        metavar="PROJECT",
        envvar=PROJECT_VARIABLE,
        show_envvar=True,
        help="Id or name of the project.",
    )(function)


def yes_option(function: F) -> F:
    """`--yes`, as `yes`."""
    return click.option("-y", "--yes", is_flag=True, help="Do it without asking.")(function)


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; a script is not asked. Ends the command when the answer is no."""
    if yes or not sys.stdin.isatty():
        return
    if not click.confirm(question, err=True):
        click.echo("Nothing was done.", err=True)
        raise click.exceptions.Exit(1)


def command_line(words: str, project: str | None) -> str:
    """A command to show to the user, with the project where the environment does not give it."""
    if project and os.environ.get(PROJECT_VARIABLE) != project:
        words += f" --project-id {_quoted(project)}"
    return words


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)
